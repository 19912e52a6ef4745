"""ThunderSMS as its reference page says: requests out, answers in, webhooks in. Tables, one row per published fact."""

from __future__ import annotations

import hmac
import json
from typing import Any

import httpx
import pytest

from pipeline import __version__
from pipeline.model.capabilities import ChannelCapabilities, provider_language
from pipeline.model.messages import Message
from pipeline.model.reasons import Reason
from pipeline.records.internal import Receipt, SendCommand, WalkStep
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders import registry
from pipeline.senders.provider import Answer, BadWebhook, Opened, Probe, Report, Unplaced, Unsendable, Webhook
from pipeline.senders.providers.thundersms import CAPABILITIES, ThunderSms
from pipeline.senders.providers.thundersms.languages import spoken
from pipeline.senders.providers.thundersms.tables import meaning
from pipeline.settings import Settings
from tests.unit.senders.doubles import PHONE, command

A, C, R, S = AttemptResult, ResultClass, Reason, AttemptStatus
BASE = "https://portal.thundersms.com/api/v2"
VERIFY = "5a0c1f7e-2b64-4d0e-9a3b-7f1e86c2d915"
CODE = "482913"
OPENED = Opened(recipient=PHONE, code=CODE)
REFERENCE = "v1_1_aairem"
NOW_MS = 1_764_000_000_000


def thundersms(**settings: Any) -> ThunderSms:
    section = {"kind": "thundersms", "enabled": True, "access_token": "token-1", **settings}
    loaded = registry.load(Settings.model_validate({"providers": {"thunder": section}}))["thunder"]
    assert isinstance(loaded, ThunderSms)
    return loaded


PROVIDER = thundersms()


def message(text: str = "Code {code}", *, wished: bool = False, language: str = "en") -> Message:
    return Message(template=text, wished=wished, language=language)


# Requests ------------------------------------------------------------------------------------------------------------

FLOW = {"channels": {"voice": {"from": "+4930111", "flow_id": "5876"}}}
ACCOUNT = {"channels": {"sms": {"from": "ACME"}, "whatsapp": {}, "viber": {"from": "adef759b"}, "voice": {}}}

REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], bytes]] = {
    "sms": (
        {},
        {},
        {},
        b'{"channels":[{"name":"sms","recipient":{"to":"491711234567"},"order":0}],'
        b'"payload":{"length":6,"timeout":300,"token":"482913","foreign_id":"v1_1_aairem"}}',
    ),
    "sms with our text, the person's address and the account's sender": (
        ACCOUNT,
        {},
        {"message": message("Ihr Code: {code}"), "end_user_ip": "203.0.113.7", "valid_s": 55},
        b'{"channels":[{"name":"sms","from":"ACME","recipient":{"to":"491711234567"},"order":0}],'
        b'"payload":{"length":6,"timeout":55,"token":"482913","template":"Ihr Code: {token}",'
        b'"ip_address":"203.0.113.7","foreign_id":"v1_1_aairem"}}',
    ),
    "the step's sender goes before the account's": (
        ACCOUNT,
        {"sender": "OTHER"},
        {},
        b'{"channels":[{"name":"sms","from":"OTHER","recipient":{"to":"491711234567"},"order":0}],'
        b'"payload":{"length":6,"timeout":300,"token":"482913","foreign_id":"v1_1_aairem"}}',
    ),
    "a code of the provider's": (
        {},
        {"channel": Channel.WHATSAPP, "code_length": 8},
        {"code": None},
        b'{"channels":[{"name":"whatsapp","recipient":{"to":"491711234567"},"order":0}],'
        b'"payload":{"length":8,"timeout":300,"foreign_id":"v1_1_aairem"}}',
    ),
    "voice speaks its flow, in the wished language": (
        FLOW,
        {"channel": Channel.VOICE, "language": "pt-BR"},
        {"message": message()},
        b'{"channels":[{"name":"voice","from":"+4930111","recipient":{"to":"491711234567"},"order":0,'
        b'"flow_id":"5876","language":"pt_BR"}],'
        b'"payload":{"length":6,"timeout":300,"token":"482913","foreign_id":"v1_1_aairem"}}',
    ),
    "voice speaks a text only where the step wishes it, in the text's language": (
        {},
        {"channel": Channel.VOICE, "flow_id": "12", "language": "de"},
        {"message": message("Say {code}", wished=True, language="en-GB")},
        b'{"channels":[{"name":"voice","recipient":{"to":"491711234567"},"order":0,'
        b'"flow_id":"12","language":"en_GB"}],'
        b'"payload":{"length":6,"timeout":300,"token":"482913","template":"Say {token}","foreign_id":"v1_1_aairem"}}',
    ),
    "viber gives up when the code is dead": (
        ACCOUNT,
        {"channel": Channel.VIBER},
        {"valid_s": 240},
        b'{"channels":[{"name":"viber","from":"adef759b","recipient":{"to":"491711234567"},"order":0,"ttl":240}],'
        b'"payload":{"length":6,"timeout":240,"token":"482913","foreign_id":"v1_1_aairem"}}',
    ),
    "a ttl shortens the message's life and not the code's": (
        {},
        {"channel": Channel.VIBER, "ttl_s": 60, "valid_until_at": NOW_MS + 200_000},
        {"valid_s": 60},
        b'{"channels":[{"name":"viber","recipient":{"to":"491711234567"},"order":0,"ttl":60}],'
        b'"payload":{"length":6,"timeout":200,"token":"482913","foreign_id":"v1_1_aairem"}}',
    ),
    "the account's own text is used": (
        {"own_texts": False},
        {},
        {"message": message()},
        b'{"channels":[{"name":"sms","recipient":{"to":"491711234567"},"order":0}],'
        b'"payload":{"length":6,"timeout":300,"token":"482913","foreign_id":"v1_1_aairem"}}',
    ),
    "the reference at the top": (
        {"foreign_id_place": "request"},
        {},
        {},
        b'{"channels":[{"name":"sms","recipient":{"to":"491711234567"},"order":0}],'
        b'"payload":{"length":6,"timeout":300,"token":"482913"},"foreign_id":"v1_1_aairem"}',
    ),
    "the reference in each channel": (
        {"foreign_id_place": "channels"},
        {},
        {},
        b'{"channels":[{"name":"sms","recipient":{"to":"491711234567"},"order":0,'
        b'"meta":{"foreign_id":"v1_1_aairem"}}],"payload":{"length":6,"timeout":300,"token":"482913"}}',
    ),
    "a walk": (
        {"walk_channels": True, "channels": {"sms": {"from": "ACME"}, "viber": {}, "voice": {"flow_id": "5876"}}},
        {
            "wait_s": 45,
            "walk": [
                WalkStep(index=1, channel=Channel.VIBER, wait_s=45, ttl_s=40, sender="agent"),
                WalkStep(index=2, channel=Channel.VOICE, wait_s=60, language="en-US"),
            ],
        },
        {"walk": ("+491711234567", "+4930901820"), "message": message(), "valid_s": 250},
        b'{"channels":[{"name":"sms","from":"ACME","recipient":{"to":"491711234567"},"order":0,"wait":45},'
        b'{"name":"viber","from":"agent","recipient":{"to":"491711234567"},"order":1,"wait":60,"ttl":40},'
        b'{"name":"voice","recipient":{"to":"4930901820"},"order":2,"flow_id":"5876","language":"en_US"}],'
        b'"payload":{"length":6,"timeout":250,"token":"482913","template":"Code {token}","foreign_id":"v1_1_aairem"}}',
    ),
}


@pytest.mark.parametrize(("settings", "wishes", "opened", "body"), REQUESTS.values(), ids=REQUESTS)
def test_a_send_becomes_exactly_this_request(
    settings: dict[str, Any], wishes: dict[str, Any], opened: dict[str, Any], body: bytes
) -> None:
    given = Opened(**({"recipient": PHONE, "code": CODE} | opened))
    request = thundersms(**settings).build(command(provider="thunder", **wishes), given, NOW_MS)
    assert (request.method, str(request.url), request.content) == ("POST", f"{BASE}/verify/send", body)
    assert dict(request.headers) == {
        "host": "portal.thundersms.com",
        "authorization": "Bearer token-1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"verification-pipeline/{__version__}",
        "content-type": "application/json",
        "content-length": str(len(body)),
    }


def asked(kind: CommandKind, **wishes: Any) -> SendCommand:
    return command(provider="thunder", kind=kind, **({"provider_message_id": VERIFY} | wishes))


GETS = [
    (CommandKind.CHECK, "482913", f"/verify/check/{VERIFY}/482913"),
    (CommandKind.CHECK, " 482-913", f"/verify/check/{VERIFY}/482913"),
    (CommandKind.CHECK, "ab12", f"/verify/check/{VERIFY}/AB12"),
    (CommandKind.LOOKUP, None, f"/verify/search/{VERIFY}"),
    (CommandKind.CANCEL, None, f"/verify/cancel/{VERIFY}"),
]


@pytest.mark.parametrize(("kind", "typed", "path"), GETS)
def test_checks_look_ups_and_cancels_are_gets_by_the_provider_s_id(
    kind: CommandKind, typed: str | None, path: str
) -> None:
    request = PROVIDER.build(asked(kind), Opened(recipient="", code=typed), NOW_MS)
    assert (request.method, str(request.url), request.content) == ("GET", BASE + path, b"")
    assert dict(request.headers) == {
        "host": "portal.thundersms.com",
        "authorization": "Bearer token-1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"verification-pipeline/{__version__}",
    }


@pytest.mark.parametrize("typed", ["", "..", "../../auth/me", "1/2?x=#", "123", "12345678901", "四八二九", "9" * 65])
def test_what_can_be_no_code_is_asked_as_one_that_is_none_either(typed: str) -> None:
    request = PROVIDER.build(asked(CommandKind.CHECK), Opened(recipient="", code=typed), NOW_MS)
    assert str(request.url) == f"{BASE}/verify/check/{VERIFY}/0"


def test_an_id_stays_one_part_of_the_path() -> None:
    request = PROVIDER.build(asked(CommandKind.CANCEL, provider_message_id="../a b?c"), OPENED, NOW_MS)
    assert request.url.raw_path == b"/api/v2/verify/cancel/%2E%2E%2Fa%20b%3Fc"


@pytest.mark.parametrize("kind", [CommandKind.CHECK, CommandKind.LOOKUP, CommandKind.CANCEL])
def test_nothing_finds_a_message_without_the_provider_s_id(kind: CommandKind) -> None:
    with pytest.raises(Unsendable) as problem:
        PROVIDER.build(asked(kind, provider_message_id=None), OPENED, NOW_MS)
    assert problem.value.reason is R.UNSUPPORTED_BY_PROVIDER
    assert all(not each.finds_lost_s for each in CAPABILITIES.channels.values())


def test_there_is_nothing_to_report_a_success_to() -> None:
    with pytest.raises(Unsendable):
        PROVIDER.build(asked(CommandKind.REPORT), OPENED, NOW_MS)
    assert not any(each.report for each in CAPABILITIES.channels.values())


UNSENDABLE: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], Reason]] = [
    ({}, {"channel": Channel.EMAIL}, {}, R.UNSUPPORTED_BY_PROVIDER),
    ({"channels": {"sms": {}}}, {"channel": Channel.VIBER}, {}, R.UNSUPPORTED_BY_PROVIDER),
    ({}, {"channel": Channel.VOICE}, {}, R.UNSUPPORTED_BY_PROVIDER),
    ({}, {"options": {"dlt_entity_id": "1"}}, {}, R.UNKNOWN_OPTION),
    ({}, {}, {"recipient": "jo@example.org"}, R.INVALID_RECIPIENT),
    ({}, {"walk": [WalkStep(channel=Channel.SMS)]}, {}, R.INVALID_STEPS),
    ({"own_texts": False}, {"text": "Code {code}"}, {}, R.UNSUPPORTED_BY_PROVIDER),
    ({"own_texts": False}, {"template": "welcome"}, {}, R.UNSUPPORTED_BY_PROVIDER),
    *(
        ({}, {}, {"code": code}, R.UNSUPPORTED_BY_PROVIDER)
        for code in ("123", "12345678901", "0123", "12a4", "١٢٣٤", " 1234")
    ),
]


@pytest.mark.parametrize(("settings", "wishes", "opened", "reason"), UNSENDABLE)
def test_what_cannot_be_carried_is_found_before_any_call(
    settings: dict[str, Any], wishes: dict[str, Any], opened: dict[str, Any], reason: Reason
) -> None:
    given = Opened(**({"recipient": PHONE, "code": CODE} | opened))
    with pytest.raises(Unsendable) as problem:
        thundersms(**settings).build(command(**wishes), given, NOW_MS)
    assert problem.value.reason is reason
    assert str(given.code) not in problem.value.detail


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ("en-US", "en_US"), ("pt_BR", "pt_BR"), ("zh-Hant-TW", "zh_TW"), ("es-419", "es_419"), ("de", "de_DE"),
        ("pt", "pt_BR"), ("zh-Hans", "zh_CN"), ("zh-Hant", "zh_TW"), ("EN-gb", "en_GB"), ("eo", "eo"),
        ("de-1996", "de_DE"),
    ],
)  # fmt: skip
def test_spoken_languages_are_told_with_an_underscore_and_a_likely_region(tag: str, told: str) -> None:
    assert spoken(tag) == told


def test_capabilities_hold_what_the_requests_need() -> None:
    channels = CAPABILITIES.channels
    assert set(channels) == {Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.VIBER}
    for each in channels.values():
        assert (each.code_min, each.code_max, each.code_leading_zero, each.provider_code) == (4, 10, False, (4, 10))
        assert each.check
        assert each.cancel
        assert each.sender
        assert each.walk is None
    assert {channel for channel, each in channels.items() if each.flow_id} == {Channel.VOICE}
    assert {channel: each.ttl for channel, each in channels.items() if each.ttl} == {Channel.VIBER: (30, 1_209_600)}
    assert provider_language(channels[Channel.VOICE], "sw") == ("sw", True)


def able_with(**settings: Any) -> dict[Channel, ChannelCapabilities]:
    section = {"kind": "thundersms", "enabled": True, "access_token": "t", **settings}
    return dict(registry.capabilities(Settings.model_validate({"providers": {"thunder": section}}))["thunder"].channels)


def test_nobody_waits_for_reports_that_no_page_promises() -> None:
    assert not any(each.receipts for each in able_with().values())
    assert all(each.receipts for each in able_with(requires_receipts=True).values())
    assert all(each.lookups_s for each in able_with().values())


def test_without_texts_of_ours_nothing_is_promised_that_only_a_text_could_carry() -> None:
    for channel, each in able_with(own_texts=False).items():
        assert (each.text, each.amount, each.brand) == (False, False, False)
        assert provider_language(each, "de") == (("de", True) if channel is Channel.VOICE else (None, False))


def test_it_walks_only_where_that_is_switched_on_and_on_voice_only_with_a_flow() -> None:
    plain = able_with(walk_channels=True)
    assert all(each.walk and each.walk.any_plan and Channel.VOICE not in each.walk.channels for each in plain.values())
    speaking = able_with(walk_channels=True, channels={"sms": {}, "voice": {"flow_id": "1"}})
    walk = speaking[Channel.SMS].walk
    assert walk is not None
    assert walk.channels == {Channel.SMS, Channel.VOICE}
    assert (walk.own_code, walk.code_min, walk.code_max, walk.provider_code) == (True, 4, 10, (4, 10))
    assert not any(each.walk for each in able_with().values())


def test_a_voice_step_needs_a_flow_where_the_account_names_none() -> None:
    assert able_with()[Channel.VOICE].needs_flow_id
    assert not able_with(channels={"voice": {"flow_id": "1"}})[Channel.VOICE].needs_flow_id
    assert not able_with()[Channel.SMS].needs_flow_id


# Answers -------------------------------------------------------------------------------------------------------------


def interpret(
    status: int,
    body: object,
    kind: CommandKind = CommandKind.SEND,
    headers: dict[str, str] | None = None,
    **wishes: Any,
) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PROVIDER.interpret(asked(kind, **wishes), OPENED, httpx.Response(status, content=content, headers=headers))


STARTED = {
    "id": VERIFY,
    "status": "sent",
    "foreign_id": None,
    "created_at": "2026-01-15 09:30:11",
    "expire_at": "2026-01-15 09:32:11",
}


@pytest.mark.parametrize("http_status", [200, 202])
@pytest.mark.parametrize(
    "body",
    [
        STARTED,
        {"id": VERIFY, "to": "491711234567", "reference": None, "status": "sent"},
        {"id": VERIFY, "status": "AWAITING-DLR"},
        {"id": VERIFY, "status": 200},
        {"id": VERIFY, "status": "OK"},
        {"id": VERIFY},
    ],
)
def test_an_answer_with_an_id_is_accepted_also_of_older_deployments(http_status: int, body: dict[str, Any]) -> None:
    assert interpret(http_status, body) == Answer(
        result=A.ACCEPTED, provider_message_id=VERIFY, used_channel=Channel.SMS
    )


def test_which_channel_a_walk_took_is_not_known_from_its_start() -> None:
    assert interpret(200, STARTED, walk=[WalkStep(channel=Channel.VOICE)]).used_channel is None


def test_an_id_with_a_status_in_no_table_is_in_doubt_and_can_be_looked_up() -> None:
    answer = interpret(200, {"id": VERIFY, "status": "perhaps"})
    assert (answer.result, answer.unmapped, answer.provider_message_id) == (A.IN_DOUBT, True, VERIFY)


PLAIN = {"status": "error", "message": "No."}
REFUSALS: list[tuple[int, object, tuple[AttemptResult, ResultClass, Reason]]] = [
    (400, PLAIN, (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED)),
    (400, {"message": "Insufficient balance"}, (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED)),
    (402, {"message": "You have no credits left."}, (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED)),
    (403, {"message": "insufficient Credit"}, (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED)),
    (422, {"message": "Your balance is low."}, (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED)),
    (401, {"message": "Unauthenticated."}, (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED)),
    (401, b"<html>", (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED)),
    (403, PLAIN, (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED)),
    (404, PLAIN, (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR)),
    (409, PLAIN, (A.NOT_SENT, C.ROUTE, R.THROTTLED)),
    (422, {"message": "The channels field is required."}, (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED)),
    (422, {"message": "No.", "errors": {"channels.0.recipient.to": ["x"]}},
     (A.REJECTED, C.RECIPIENT, R.RECIPIENT_REJECTED)),
    (422, {"message": "The recipient is required"}, (A.REJECTED, C.RECIPIENT, R.RECIPIENT_REJECTED)),
    (429, {"message": "Too Many Attempts."}, (A.NOT_SENT, C.ROUTE, R.THROTTLED)),
    (500, {"message": "Server Error"}, (A.IN_DOUBT, C.NONE, R.IN_DOUBT)),
    (503, b"", (A.IN_DOUBT, C.NONE, R.IN_DOUBT)),
    # The HTTP status in the body of an answer that came with another one.
    (200, {"status": "error", "code": 422, "message": "No."}, (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED)),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "row"), REFUSALS)
def test_each_published_refusal_of_a_send_means_this(
    status: int, body: object, row: tuple[AttemptResult, ResultClass, Reason]
) -> None:
    answer = interpret(status, body)
    assert (answer.result, answer.result_class, answer.reason, answer.unmapped) == (*row, False)
    assert answer.throttled is (row[2] is R.THROTTLED)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""), (200, b"<html>"), (200, b"[]"), (200, {}), (200, {"id": ""}), (200, {"status": "error"}),
        (200, {"id": None, "code": True}), (201, STARTED), (302, b""), (405, PLAIN), (413, PLAIN), (418, b"\xff"),
    ],
)  # fmt: skip
def test_an_answer_in_no_table_is_counted_and_in_doubt(status: int, body: object) -> None:
    answer = interpret(status, body)
    assert (answer.result, answer.reason, answer.unmapped) == (A.IN_DOUBT, R.IN_DOUBT, True)


def test_a_conflict_concerns_one_person_and_a_rate_everybody() -> None:
    assert (interpret(409, PLAIN).pauses_provider, interpret(409, PLAIN).retry_after_s) == (False, 1.0)
    many = interpret(429, b"", headers={"Retry-After": "7"})
    assert (many.pauses_provider, many.retry_after_s) == (True, 7.0)


def test_a_detail_names_fields_and_never_quotes_the_provider() -> None:
    body = {"message": f"{PHONE} {CODE} is wrong", "errors": {"payload.token": [CODE], f"x {PHONE}": []}}
    assert interpret(422, body).detail == "HTTP 422 (payload.token)"


# Checks

VERDICTS: dict[str, Answer] = {
    "success": Answer(result=A.ACCEPTED, valid=True),
    "invalid": Answer(result=A.ACCEPTED, valid=False),
    "failed": Answer(result=A.ACCEPTED, valid=False),
    "expired": Answer(result=A.ACCEPTED, valid=False),
    "OTP already verified": Answer(result=A.ACCEPTED, already_verified=True),
}


@pytest.mark.parametrize(("word", "answer"), VERDICTS.items())
def test_only_the_status_in_the_body_is_a_verdict_on_a_code(word: str, answer: Answer) -> None:
    assert interpret(200, {"id": VERIFY, "status": word}, CommandKind.CHECK) == answer


@pytest.mark.parametrize(
    ("status", "body", "result", "unmapped"),
    [
        (200, {"id": VERIFY, "status": "Success"}, A.IN_DOUBT, True),
        (200, {"id": "another", "status": "success"}, A.IN_DOUBT, True),
        (200, {"id": "another", "status": "OTP already verified"}, A.IN_DOUBT, True),
        (200, {"id": VERIFY, "status": 200}, A.IN_DOUBT, True),
        (200, b"<html>", A.IN_DOUBT, True),
        (401, {"message": "Unauthenticated."}, A.NOT_SENT, False),
        (404, PLAIN, A.NOT_SENT, False),
        (429, b"", A.NOT_SENT, False),
        (500, b"", A.IN_DOUBT, False),
        (418, b"", A.IN_DOUBT, True),
    ],
)
def test_what_is_no_verdict_is_never_taken_for_one(
    status: int, body: object, result: AttemptResult, unmapped: bool
) -> None:
    answer = interpret(status, body, CommandKind.CHECK)
    assert (answer.result, answer.valid, answer.already_verified, answer.unmapped) == (result, None, False, unmapped)


# Look-ups


def searched(status: str, *legs: tuple[str, str], **wishes: Any) -> Answer:
    entries = [
        {"id": "38d7", "to": "491711234567", "from": "VERIFY", "channel": name, "event_id": "00a1:1", "status": word}
        for name, word in legs
    ]
    body = {"id": VERIFY, "to": "491711234567", "reference": None, "status": status, "channels": entries}
    return interpret(200, body, CommandKind.LOOKUP, **wishes)


SMS, VOICE, WHATSAPP = Channel.SMS, Channel.VOICE, Channel.WHATSAPP
NONE: tuple[tuple[str, str], ...] = ()
WALK = {"walk": [WalkStep(channel=Channel.VOICE), WalkStep(channel=Channel.WHATSAPP)]}

LOOKUPS: list[tuple[str, tuple[tuple[str, str], ...], dict[str, Any], AttemptStatus, Channel | None, Reason | None]] = [
    ("sent", NONE, {}, S.SENT, None, None),
    ("sent", (("sms", "sent"),), {}, S.SENT, SMS, None),
    ("sent", (("sms", "failed"),), {}, S.FAILED, SMS, R.UNDELIVERED),
    ("sent", (("sms", "delivered"),), {}, S.DELIVERED, SMS, None),
    ("sent", (("tts", "ANSWER"),), {"channel": VOICE}, S.DELIVERED, VOICE, None),
    ("sent", (("whatsapp", "read"),), {"channel": WHATSAPP}, S.READ, WHATSAPP, None),
    # Not a channel of ours.
    ("sent", (("rcs", "read"),), {}, S.SENT, None, None),
    ("expired", NONE, {}, S.EXPIRED, None, R.UNDELIVERED),
    ("deleted", NONE, {}, S.EXPIRED, None, R.UNDELIVERED),
    ("failed", NONE, {}, S.FAILED, None, R.UNDELIVERED),
    ("verified", NONE, {}, S.DELIVERED, None, None),
    # The entry decides, but who typed the code has the message.
    ("expired", (("sms", "DELIVRD"),), {}, S.DELIVERED, SMS, None),
    ("failed", (("sms", "sent"),), {}, S.SENT, SMS, None),
    ("verified", (("sms", "failed"),), {}, S.DELIVERED, SMS, None),
    ("verified", (("whatsapp", "read"),), {"channel": WHATSAPP}, S.READ, WHATSAPP, None),
    # A walk ends badly only when its last channel has.
    ("sent", (("sms", "failed"),), WALK, S.SENT, None, None),
    ("failed", (("sms", "failed"),), WALK, S.FAILED, SMS, R.UNDELIVERED),
    ("sent", (("sms", "failed"), ("voice", "sent")), WALK, S.SENT, VOICE, None),
    ("sent", (("sms", "delivered"), ("voice", "BUSY")), WALK, S.DELIVERED, SMS, None),
    ("sent", (("sms", "failed"), ("voice", "BUSY"), ("whatsapp", "BLACKLST")), WALK, S.UNDELIVERED, WHATSAPP,
     R.RECIPIENT_BLOCKED),
]  # fmt: skip


@pytest.mark.parametrize(("status", "legs", "wishes", "told", "channel", "reason"), LOOKUPS)
def test_a_look_up_tells_of_the_message_by_the_entry_of_its_channel(
    status: str,
    legs: tuple[tuple[str, str], ...],
    wishes: dict[str, Any],
    told: AttemptStatus,
    channel: Channel | None,
    reason: Reason | None,
) -> None:
    assert searched(status, *legs, **wishes) == Answer(
        result=A.ACCEPTED, provider_message_id=VERIFY, status=told, used_channel=channel, reason=reason
    )


def test_a_status_in_no_table_is_unknown_and_counted() -> None:
    answer = searched("sent", ("sms", "HUH"))
    assert (answer.result, answer.status, answer.unmapped) == (A.ACCEPTED, S.UNKNOWN, True)
    assert searched("huh").unmapped


def test_a_message_refused_for_our_own_set_up_raises_an_alarm() -> None:
    assert searched("sent", ("sms", "NO-CREDITS")).alarm is not None
    assert searched("sent", ("sms", "ABSENT-SUB")).alarm is None


def test_a_look_up_answered_with_another_message_says_nothing_of_ours() -> None:
    answer = interpret(200, {"id": "another", "status": "expired", "channels": []}, CommandKind.LOOKUP)
    assert (answer.result, answer.status, answer.unmapped) == (A.IN_DOUBT, S.NONE, True)


@pytest.mark.parametrize(("status", "body"), [(404, PLAIN), (200, {"id": VERIFY, "status": "failed"})])
def test_an_id_nobody_knows_is_not_found(status: int, body: dict[str, Any]) -> None:
    answer = interpret(status, body, CommandKind.LOOKUP)
    assert answer.not_found
    assert all(each.not_found_after_s is None for each in CAPABILITIES.channels.values())


@pytest.mark.parametrize(
    ("status", "result", "throttled"),
    [(401, A.IN_DOUBT, False), (403, A.IN_DOUBT, False), (422, A.IN_DOUBT, False), (500, A.IN_DOUBT, False),
     (429, A.NOT_SENT, True), (418, A.IN_DOUBT, False)],
)  # fmt: skip
def test_a_refused_look_up_says_nothing_of_its_message(status: int, result: AttemptResult, throttled: bool) -> None:
    answer = interpret(status, PLAIN, CommandKind.LOOKUP)
    assert (answer.result, answer.status, answer.throttled) == (result, S.NONE, throttled)


# Cancels


@pytest.mark.parametrize("word", VERDICTS)
def test_a_cancel_is_done_also_where_nothing_is_left_to_stop(word: str) -> None:
    answer = interpret(200, {"id": VERIFY, "status": word}, CommandKind.CANCEL)
    assert (answer.result, answer.detail is None) == (A.ACCEPTED, word == "success")
    assert interpret(404, PLAIN, CommandKind.CANCEL).result is A.ACCEPTED


def test_a_cancel_without_a_known_answer_is_in_doubt() -> None:
    assert interpret(200, b"", CommandKind.CANCEL).unmapped
    assert interpret(500, b"", CommandKind.CANCEL).result is A.IN_DOUBT
    assert interpret(401, b"", CommandKind.CANCEL).result is A.REJECTED


# Statuses ------------------------------------------------------------------------------------------------------------

MEANT: dict[AttemptStatus, str] = {
    S.QUEUED: "queued AWAITING-DLR",
    S.SENT: "sent dispatched",
    S.DELIVERED: "DELIVRD delivered ANSWER COMPLETED verified",
    S.READ: "read",
    S.UNDELIVERED: "INVALID-SUB INV-NUMBER BARRED HANDSET-ERR BLACKLST blacklist SERIES-BLK SERIES-BLOCK DNDNUMB "
    "NOTALLOWED OPTOUT-REJ NOT-OPTIN SPAM REJECTED rejected DUPLICATE CONGESTION",
    S.FAILED: "NO-CREDITS NO-ACCOUNT SNDR-BLOCK INV-SENDER TEMPLATE-NOT-FOUND INV-TEMPLATE PROMO-TMOUT DLT-REJECTED "
    "DLT-INV-TMID DLT-INV-ENTITY DLT-INV-TM-ID DLT-TM-VAR-EXECEED DLT-ENTITY-NOT-FOUND DLT-TM-BLACKLST "
    "DLT-ENTITY-BLACKLST DLT-HEADER-INACTIVE DLT-TM-INACTIVE DLT-SENDER-NOT-REG-TM INV-PROVISION INV-SERVICE "
    "INV-SCHEDULE ABSENT-SUB MOB-OFF MEMEXEC HANDSET-BUSY NET-ERR FAILED failed UNDELIV SERVER-ERR THROTTLED offline "
    "REJ-MULTIPART BUSY NOANSWER CANCEL CHANUNAVAIL",
    S.EXPIRED: "EXPIRED expired deleted",
    S.UNKNOWN: "TIMEOUT-DLR RECEIVED MISSED",
}


@pytest.mark.parametrize(
    ("status", "word"), [(status, word) for status, words in MEANT.items() for word in words.split()]
)
def test_each_published_word_means_this_in_whatever_case(status: AttemptStatus, word: str) -> None:
    for told in (word, word.lower(), f" {word} "):
        found = meaning(told)
        assert found is not None
        assert found.status is status
        assert (found.reason is None) is (status not in (S.UNDELIVERED, S.FAILED, S.EXPIRED))


@pytest.mark.parametrize("word", ["", "DELIVERED!", "DLT", "x" * 100, None, 7, True, ["sent"]])
def test_any_other_word_means_nothing(word: object) -> None:
    assert meaning(word) is None


# Webhooks ------------------------------------------------------------------------------------------------------------

AT = 1_764_000_000_000
TIMES = {"deliv_time": "2021-04-09 16:27:51", "sent_time": "2021-04-09 16:27:35", "submit_time": "2021-04-09 16:27:39"}
SMS_PUSH = {
    "id": "b34e35ad-fe34-4a8b-977c-b21cd76cd7d6:1",
    "mobile": "491711234567",
    "status": "DELIVRD",
    "credits": "2.0000",
    "units": 2,
    **TIMES,
    "cid": None,
    "custom": None,
}
CALL = {
    "bridge": "", "from": "4930111", "to": "491711234567", "source": "api", "mid": "c-77", "flow_id": "5876",
    "start_at": "2021-04-09 16:27:35", "end_at": "2021-04-09 16:27:51", "duration": 16, "status": "NOANSWER",
    "recording_url": None,
}  # fmt: skip


def pushed(channel: str, status: str, **fields: Any) -> dict[str, Any]:
    payload = {"id": "a418d672", "channel": channel, "from": "4930111", "to": "491711234567", "status": status}
    return {"event": f"{channel}:message:status", "payload": payload | fields}


def report(status: AttemptStatus, reason: Reason | None = None, at: int = AT) -> Report:
    shown = DeliveryStatus(
        verification_id="v1",
        attempt_id="v1.1",
        provider="thunder",
        status=status,
        reason=reason,
        occurred_at=at,
        received_at=AT,
    )
    return Report(shown, REFERENCE)


def unplaced(
    message_id: str, channel: Channel | None, status: AttemptStatus, told: str, reason: Any = None
) -> Unplaced:
    return Unplaced(
        Receipt(
            provider="thunder",
            provider_message_id=message_id,
            channel=channel,
            status=status,
            told=told,
            reason=reason,
            occurred_at=AT,
            received_at=AT,
        )
    )


SMS_ID = "b34e35ad-fe34-4a8b-977c-b21cd76cd7d6"
STAMP = "2025-11-24T15:59:58.500000Z"
PUSHES: list[tuple[object, list[Report | Unplaced]]] = [
    (pushed("whatsapp", "delivered", foreign_id=REFERENCE), [report(S.DELIVERED)]),
    (pushed("viber", "read", foreign_id=REFERENCE), [report(S.READ)]),
    (pushed("rcs", "sent", foreign_id=REFERENCE), [report(S.SENT)]),
    (pushed("whatsapp", "failed", foreign_id=REFERENCE), [report(S.FAILED, R.UNDELIVERED)]),
    (pushed("whatsapp", "deleted", foreign_id=REFERENCE), [report(S.EXPIRED, R.UNDELIVERED)]),
    (pushed("whatsapp", "huh", foreign_id=REFERENCE), [report(S.UNKNOWN)]),
    (pushed("whatsapp", "read", foreign_id=REFERENCE, read_at=STAMP), [report(S.READ, at=AT - 1_500)]),
    (pushed("whatsapp", "sent", foreign_id=REFERENCE, timestamp=STAMP), [report(S.SENT, at=AT - 1_500)]),
    (pushed("whatsapp", "sent", foreign_id=REFERENCE, timestamp="2021-06-18T14:48:06Z"), [report(S.SENT)]),
    (pushed("whatsapp", "sent"), [unplaced("a418d672", Channel.WHATSAPP, S.SENT, "sent")]),
    (pushed("rcs", "sent", foreign_id=None), [unplaced("a418d672", None, S.SENT, "sent")]),
    # Other traffic of the account.
    (pushed("whatsapp", "sent", foreign_id="order-77"), []),
    (SMS_PUSH, [unplaced(SMS_ID, Channel.SMS, S.DELIVERED, "DELIVRD")]),
    (SMS_PUSH | {"custom": "9882"}, [unplaced(SMS_ID, Channel.SMS, S.DELIVERED, "DELIVRD")]),
    (SMS_PUSH | {"cid": REFERENCE}, [report(S.DELIVERED)]),
    (SMS_PUSH | {"custom": REFERENCE, "status": "BLACKLST"}, [report(S.UNDELIVERED, R.RECIPIENT_BLOCKED)]),
    (SMS_PUSH | {"status": f"to {PHONE}"}, [unplaced(SMS_ID, Channel.SMS, S.UNKNOWN, "")]),
    ({"event": "sms:message:status", "payload": SMS_PUSH}, [unplaced(SMS_ID, Channel.SMS, S.DELIVERED, "DELIVRD")]),
    (CALL, [unplaced("c-77", Channel.VOICE, S.FAILED, "NOANSWER", R.UNDELIVERED)]),
    # Not ours.
    ({"event": "whatsapp:message:in", "payload": {"id": "1"}}, []),
    ({"event": "viber:unsubscription", "payload": {}}, []),
    ({"id": "d105", "receiver": "491711234567", "type": "sender", "value": "X", "status": "created"}, []),
]


@pytest.mark.parametrize(("body", "told"), PUSHES)
def test_each_webhook_becomes_these_reports(body: object, told: list[Report | Unplaced]) -> None:
    assert PROVIDER.statuses(Webhook(body=json.dumps(body).encode(), received_at=AT)) == told


def test_a_webhook_composed_as_a_form_is_read_too() -> None:
    form = httpx.Request("POST", "https://x/", data={k: str(v) for k, v in (SMS_PUSH | {"cid": REFERENCE}).items()})
    webhook = Webhook(body=form.content, headers={"content-type": form.headers["content-type"]}, received_at=AT)
    assert PROVIDER.statuses(webhook) == [report(S.DELIVERED)]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"event":"whatsapp:message:status"}', b'{"event":"viber:message:status","payload":[]}',
     b'{"event":[]}', b'{"event":{},"payload":{}}', b'{"event":7}',
     json.dumps(SMS_PUSH | {"status": None}).encode(), json.dumps(SMS_PUSH | {"id": None}).encode()],
)  # fmt: skip
def test_a_body_that_is_not_as_documented_is_refused(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        PROVIDER.statuses(Webhook(body=body, received_at=AT))


def signed(body: bytes, webhook_id: str) -> str:
    return hmac.new(webhook_id.encode(), body, "sha256").hexdigest()


RAW = json.dumps(pushed("whatsapp", "read")).encode()
RAW_SMS = json.dumps(SMS_PUSH).encode()
RIGHT = signed(RAW, "wh-2")
BEARER = "Bearer secret-1"


@pytest.mark.parametrize(
    ("settings", "headers", "body", "right"),
    [
        ({}, {"authorization": BEARER}, RAW, True),
        ({}, {"Authorization": "Bearer secret-2"}, RAW, True),
        ({}, {"Authorization": "Bearer secret-3"}, RAW, False),
        ({}, {"Authorization": "secret-1"}, RAW, False),
        ({}, {"Authorization": "bearer secret-1"}, RAW, False),
        ({}, {"Authorization": "Bearer "}, RAW, False),
        ({}, {}, RAW, False),
        # Nobody told us the ids of the webhooks: a signature cannot be checked.
        ({}, {"Authorization": BEARER, "Signature": "0" * 64}, RAW, True),
        ({"webhook_id": ["wh-1", "wh-2"]}, {"Authorization": BEARER, "signature": RIGHT}, RAW, True),
        ({"webhook_id": ["wh-1"]}, {"Authorization": BEARER, "Signature": RIGHT}, RAW, False),
        ({"webhook_id": "wh-2"}, {"Authorization": BEARER, "Signature": RIGHT}, RAW + b" ", False),
        ({"webhook_id": "wh-2"}, {"Authorization": BEARER, "Signature": RIGHT.upper()}, RAW, False),
        ({"webhook_id": "wh-2"}, {"Authorization": BEARER}, RAW, False),
        ({"webhook_id": "wh-2"}, {"Signature": RIGHT}, RAW, False),
        # Pushes of SMS and voice have none, and a wrong one all the same is a forgery.
        ({"webhook_id": "wh-2"}, {"Authorization": BEARER}, RAW_SMS, True),
        ({"webhook_id": "wh-2"}, {"Authorization": BEARER, "Signature": RIGHT}, RAW_SMS, False),
    ],
)
def test_a_webhook_is_believed_for_its_bearer_token_and_the_signature_it_must_have(
    settings: dict[str, Any], headers: dict[str, str], body: bytes, right: bool
) -> None:
    provider = thundersms(webhook_secret=["secret-1", "secret-2"], **settings)
    assert provider.webhooks_enabled
    assert provider.verify_signature(Webhook(body=body, headers=headers, received_at=AT), max_age_s=300) is right


def test_the_signature_is_the_published_hmac_of_rfc_4231() -> None:
    """Test case 2 of https://www.rfc-editor.org/rfc/rfc4231, as the platform publishes no vector."""
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    provider = thundersms(webhook_secret="secret-1", webhook_id="Jefe")
    headers = {"Authorization": BEARER, "Signature": digest}
    webhook = Webhook(body=b"what do ya want for nothing?", headers=headers, received_at=AT)
    assert provider.verify_signature(webhook, max_age_s=300)


def test_without_a_secret_webhooks_are_off() -> None:
    assert not PROVIDER.webhooks_enabled
    for bearer in ("Bearer ", "Bearer", ""):
        webhook = Webhook(body=RAW, headers={"Authorization": bearer}, received_at=AT)
        assert not PROVIDER.verify_signature(webhook, max_age_s=300)


ASKED = b'{"validation_key": "9012XX", "challenge": "a234qwe"}'


@pytest.mark.parametrize(
    ("key", "body", "query", "answer"),
    [
        ("", ASKED, {"token": "9012XX"}, b'{"challenge":"a234qwe"}'),
        ("9012XX", ASKED, {"token": "9012XX"}, b'{"challenge":"a234qwe"}'),
        ("9012XX", ASKED, {}, b'{"challenge":"a234qwe"}'),
        ("9012XX", ASKED, {"token": "other"}, None),
        ("other", ASKED, {"token": "9012XX"}, None),
        ("other", ASKED, {"token": "other"}, None),
        ("", b'{"challenge": "a234qwe"}', {"token": "9012XX"}, None),
        ("", b'{"validation_key": "k", "challenge": "c", "more": 1}', {}, None),
        ("", b'{"validation_key": "k", "challenge": {}}', {}, None),
        ("", RAW, {}, None),
        ("", b"", {}, None),
    ],
)
def test_only_a_question_for_the_challenge_is_answered_with_it(
    key: str, body: bytes, query: dict[str, str], answer: bytes | None
) -> None:
    provider = thundersms(webhook_secret="s", webhook_validation_key=key)
    assert provider.handshake(Webhook(body=body, query=query)) == answer


# The probe -----------------------------------------------------------------------------------------------------------


def test_the_probe_asks_for_the_token_s_owner() -> None:
    request = PROVIDER.probe(NOW_MS)
    assert (request.method, str(request.url), request.content) == ("GET", f"{BASE}/auth/me", b"")
    good = httpx.Response(200, content=b'{"id":7}')
    assert PROVIDER.probed(good) == Probe(True, "the access token is accepted")
    for status in (401, 403, 429, 500):
        probe = PROVIDER.probed(httpx.Response(status, content=b"token-1"))
        assert not probe.ok
        assert f"HTTP {status}" in probe.detail
        assert "token-1" not in probe.detail


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"", b"OK", b"[]", b"{}"])
def test_a_page_that_anybody_gets_is_no_statement_on_the_token(page: bytes) -> None:
    probe = PROVIDER.probed(httpx.Response(200, content=page))
    assert (probe.ok, "base_url" in probe.detail) == (False, True)


def test_another_base_address_is_used_as_given() -> None:
    request = thundersms(base_url="http://127.0.0.1:8090/thundersms/api/v2/").build(command(), OPENED, 0)
    assert str(request.url) == "http://127.0.0.1:8090/thundersms/api/v2/verify/send"
