"""Bird as its reference page says: requests out, and what it can do. Tables, one row per published fact."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline import __version__
from pipeline.model.capabilities import Correlation, provider_language
from pipeline.model.reasons import Reason
from pipeline.records.types import Channel, CommandKind
from pipeline.senders.provider import Opened, Unsendable
from pipeline.senders.providers.bird import CAPABILITIES
from tests.unit.senders.doubles import PHONE, command
from tests.unit.senders.providers.bird_account import (
    ADDRESS,
    AGAIN,
    BASE,
    CHECK,
    EMAIL,
    ID,
    LOOKUP,
    LOST,
    NAVIGATOR,
    ON,
    OPENED,
    PROJECT,
    PROVIDER,
    SMS,
    TEMPLATE,
    TYPED,
    VERSION,
    WHATSAPP,
    bird,
)

CREATES: dict[str, tuple[dict[str, Any], dict[str, Any], Opened, str]] = {
    "sms": (
        {},
        {},
        OPENED,
        '{"identifier":{"phonenumber":"+491711234567"},"locale":"de","maxAttempts":10,"timeout":300,"codeLength":6,'
        f'"steps":[{{"channelId":"{SMS}"}}]}}',
    ),
    "sms by navigator": (
        {"navigator_id": NAVIGATOR, "max_attempts": 3},
        {"language": "pt-BR", "code_length": 12},
        Opened(recipient=PHONE, valid_s=3_601),
        '{"identifier":{"phonenumber":"+491711234567"},"locale":"pt-BR","maxAttempts":3,"timeout":3600,"codeLength":12,'
        f'"steps":[{{"navigatorId":"{NAVIGATOR}"}}]}}',
    ),
    "sms in a language bird does not write": (
        {},
        {"language": "sw"},
        Opened(recipient=PHONE, valid_s=29),
        '{"identifier":{"phonenumber":"+491711234567"},"maxAttempts":10,"timeout":30,"codeLength":6,'
        f'"steps":[{{"channelId":"{SMS}"}}]}}',
    ),
    "whatsapp": (
        {},
        {"channel": Channel.WHATSAPP, "language": "sw"},
        OPENED,
        '{"identifier":{"phonenumber":"+491711234567"},"locale":"sw","maxAttempts":10,"timeout":300,"codeLength":6,'
        f'"steps":[{{"channelId":"{WHATSAPP}","template":{{"projectId":"{PROJECT}","version":"{VERSION}",'
        '"locale":"sw"}}]}',
    ),
    "whatsapp by a template of one language": (
        {"templates": {"whatsapp": TEMPLATE | {"locale": "nl"}}},
        {"channel": Channel.WHATSAPP, "language": "nl-NL"},
        OPENED,
        '{"identifier":{"phonenumber":"+491711234567"},"locale":"nl-NL","maxAttempts":10,"timeout":300,"codeLength":6,'
        f'"steps":[{{"channelId":"{WHATSAPP}","template":{{"projectId":"{PROJECT}","version":"{VERSION}",'
        '"locale":"nl"}}]}',
    ),
    "email": (
        {},
        {"channel": Channel.EMAIL, "language": None},
        Opened(recipient=ADDRESS),
        '{"identifier":{"emailaddress":"Jo@xn--bcher-kva.example"},"maxAttempts":10,"timeout":300,"codeLength":6,'
        f'"steps":[{{"channelId":"{EMAIL}"}}]}}',
    ),
}


@pytest.mark.parametrize(("account", "wishes", "opened", "body"), CREATES.values(), ids=CREATES)
def test_a_send_becomes_exactly_this_request(
    account: dict[str, Any], wishes: dict[str, Any], opened: Opened, body: str
) -> None:
    request = bird(**account).build(command(provider="bird", **wishes), opened, 0)
    assert (request.method, str(request.url), request.content) == ("POST", f"{BASE}/verify", body.encode())
    assert dict(request.headers) == {
        "host": "api.bird.com",
        "authorization": "AccessKey key-1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": f"verification-pipeline/{__version__}",
        "content-length": str(len(body)),
    }


LIST_QUERY = "limit=25&startAt=2025-01-02T03%3A04%3A00.000Z&endAt=2025-01-02T03%3A04%3A20.000Z"
OTHERS: dict[str, tuple[dict[str, Any], dict[str, Any], Opened, str, str, bytes]] = {
    "a check": ({}, CHECK, TYPED, "POST", f"/verify/{ID}", b'{"code":"482913"}'),
    "a look-up by id": (ON, LOOKUP, OPENED, "GET", f"/verify/{ID}", b""),
    "a look-up of a lost answer": (ON, LOST, OPENED, "GET", f"/verify?{LIST_QUERY}", b""),
    "a list under other names": (
        ON | {"list_limit": 50, "names": {"limit": "size", "start": "from", "end": "to"}, "timeout_s": 20},
        LOST,
        OPENED,
        "GET",
        "/verify?size=50&from=2025-01-02T03%3A04%3A00.000Z&to=2025-01-02T03%3A04%3A30.000Z",
        b"",
    ),
    "a resend": (
        ON,
        {"provider_message_id": ID, "again": True},
        OPENED,
        "POST",
        f"/verify/{ID}/resend",
        b'{"stepIndex":0}',
    ),
    "a resend of a further step": (
        ON | {"names": {"step": "step"}},
        {"provider_message_id": ID, "again": True, "place": 2},
        OPENED,
        "POST",
        f"/verify/{ID}/resend",
        b'{"step":2}',
    ),
    "a failover": (
        ON,
        {"provider_message_id": ID, "place": 1, "channel": Channel.WHATSAPP},
        OPENED,
        "POST",
        f"/verify/{ID}/failover",
        b'{"stepIndex":1}',
    ),
    "an id that is no path": (ON, LOOKUP | {"provider_message_id": "../x?"}, OPENED, "GET", "/verify/..%2Fx%3F", b""),
}


@pytest.mark.parametrize(("account", "wishes", "opened", "method", "path", "body"), OTHERS.values(), ids=OTHERS)
def test_every_other_command_becomes_exactly_this_request(
    account: dict[str, Any], wishes: dict[str, Any], opened: Opened, method: str, path: str, body: bytes
) -> None:
    request = bird(**account).build(command(provider="bird", **wishes), opened, 0)
    assert (request.method, str(request.url), request.content) == (method, BASE + path, body)
    assert request.headers["authorization"] == "AccessKey key-1"
    assert ("content-type" in request.headers) is (method == "POST")


@pytest.mark.parametrize("again", [True, False], ids=["resend", "failover"])
def test_each_is_a_new_verification_until_its_path_is_known(again: bool) -> None:
    only_the_other = {name: path for name, path in AGAIN.items() if (name == "resend_path") is not again}
    asked = command(provider_message_id=ID, again=again)
    for account in ({}, only_the_other):
        assert str(bird(**account).build(asked, OPENED, 0).url) == f"{BASE}/verify"


def test_bird_is_told_of_further_steps_only_where_it_can_be_asked_for_them() -> None:
    asked = command(provider="bird", further=[Channel.WHATSAPP])
    for account, ways in ((AGAIN, [SMS, WHATSAPP]), ({}, [SMS])):
        steps = json.loads(bird(**account).build(asked, OPENED, 0).content)["steps"]
        assert [step["channelId"] for step in steps] == ways


@pytest.mark.parametrize(
    ("account", "goes_on"),
    [
        ({}, {}),
        (AGAIN, {Channel.SMS: {Channel.WHATSAPP}, Channel.WHATSAPP: {Channel.SMS}}),
        (AGAIN | {"channels": {"sms": SMS, "email": EMAIL}, "templates": {}}, {}),
    ],
)
def test_bird_goes_on_between_channels_of_one_number(
    account: dict[str, Any], goes_on: dict[Channel, set[Channel]]
) -> None:
    channels = bird(**account).capabilities.channels
    assert {channel: able.goes_on for channel, able in channels.items() if able.goes_on} == goes_on
    assert all(able.resends is (account != {}) for able in channels.values())


@pytest.mark.parametrize(
    ("account", "wishes", "opened"),
    [
        ({}, {"channel": Channel.VOICE}, OPENED),
        ({"channels": {"sms": SMS}}, {"channel": Channel.EMAIL}, OPENED),
        ({}, {}, TYPED),
        ({"channels": {"sms": SMS}} | AGAIN, {"further": [Channel.WHATSAPP]}, OPENED),
        ({}, {"code_length": 5}, OPENED),
        ({}, {"code_length": 13}, OPENED),
        ({}, {"kind": CommandKind.REPORT}, OPENED),
        ({}, {"kind": CommandKind.CANCEL}, OPENED),
        ({}, {"kind": CommandKind.UNKNOWN}, OPENED),
        ({}, {"kind": CommandKind.CHECK}, TYPED),
        ({}, CHECK, OPENED),
        ({}, LOOKUP, OPENED),
        ({}, LOST, OPENED),
        ({"list_path": "/verify"}, LOOKUP, OPENED),
        ({"get_path": "/verify/{id}"}, LOST, OPENED),
        (ON, {"kind": CommandKind.LOOKUP}, OPENED),
    ],
)
def test_what_bird_cannot_do_or_is_switched_off_is_never_sent(
    account: dict[str, Any], wishes: dict[str, Any], opened: Opened
) -> None:
    with pytest.raises(Unsendable) as problem:
        bird(**account).build(command(provider="bird", **wishes), opened, 0)
    assert problem.value.reason is Reason.UNSUPPORTED_BY_PROVIDER
    assert "482913" not in problem.value.detail


# What it can do ------------------------------------------------------------------------------------------------------


def test_bird_makes_and_checks_codes_of_six_to_twelve_digits_and_takes_none() -> None:
    assert set(CAPABILITIES.channels) == {Channel.SMS, Channel.WHATSAPP, Channel.EMAIL}
    for able in PROVIDER.capabilities.channels.values():
        assert (able.own_code, able.provider_code, able.check, able.min_validity_s) == (False, (6, 12), True, 30)
        assert (able.correlation, able.text, able.walk, able.report, able.cancel) == (
            Correlation.RECIPIENT,
            False,
            None,
            False,
            False,
        )


@pytest.mark.parametrize(
    ("account", "channels"),
    [
        ({"channels": {"sms": SMS}}, {Channel.SMS}),
        ({"channels": {"email": EMAIL, "sms": ""}}, {Channel.EMAIL}),
        ({"channels": {"email": EMAIL}, "navigator_id": NAVIGATOR}, {Channel.EMAIL, Channel.SMS}),
        ({"channels": {}, "navigator_id": NAVIGATOR}, {Channel.SMS}),
    ],
)
def test_only_configured_channels_are_offered(account: dict[str, Any], channels: set[Channel]) -> None:
    assert set(bird(**account).capabilities.channels) == channels


def test_look_ups_are_offered_only_where_their_path_is_set() -> None:
    def of(**account: str) -> tuple[bool, bool]:
        able = bird(**account).capabilities.channels[Channel.SMS]
        assert able.not_found_after_s is None
        return bool(able.lookups_s), bool(able.finds_lost_s)

    assert of() == (False, False)
    assert of(get_path="/verify/{id}") == (True, False)
    assert of(list_path="/verify") == (False, True)


@pytest.mark.parametrize(("timeout_s", "first_s"), [(0.5, 11), (10.0, 20), (30.0, 40)])
def test_a_lost_answer_is_looked_for_when_no_call_of_the_account_can_still_be_on_its_way(
    timeout_s: float, first_s: int
) -> None:
    able = bird(list_path="/verify", timeout_s=timeout_s).capabilities.channels[Channel.SMS]
    assert able.finds_lost_s == (first_s, 90)


def test_without_a_subscription_nobody_waits_for_receipts() -> None:
    assert not bird(requires_receipts=False).capabilities.channels[Channel.SMS].receipts


LANGUAGES = ["af", "ar", "de", "en", "es", "fr", "it", "nl", "pl", "pt", "ru", "tr"]


@pytest.mark.parametrize("tag", LANGUAGES)
def test_all_twelve_languages_of_sms_are_reached_by_their_tags_and_regions(tag: str) -> None:
    able = PROVIDER.capabilities.channels[Channel.SMS]
    assert provider_language(able, tag) == (tag, True)
    assert json.loads(PROVIDER.build(command(language=f"{tag}-ZZ"), OPENED, 0).content)["locale"] == f"{tag}-ZZ"


def test_a_language_that_sms_lack_is_left_to_bird_and_told() -> None:
    assert provider_language(PROVIDER.capabilities.channels[Channel.SMS], "sw") == (None, False)


def test_a_template_of_one_language_honours_only_that_one() -> None:
    able = bird(templates={"whatsapp": TEMPLATE | {"locale": "nl"}}).capabilities.channels[Channel.WHATSAPP]
    assert provider_language(able, "nl-BE") == ("nl", True)
    assert provider_language(able, "de") == ("nl", False)
