"""Neutrino as its reference page says. Tables, one row per published fact."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from pipeline import __version__
from pipeline.model.capabilities import provider_language
from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders.provider import Answer, BadWebhook, Opened, Unsendable, Webhook
from pipeline.senders.providers.neutrino import CAPABILITIES, ERRORS, Neutrino
from pipeline.settings import NeutrinoSettings
from tests.unit.senders.doubles import PHONE, command


def neutrino(**settings: Any) -> Neutrino:
    account = {"user_id": "user-1", "api_key": "key-1"} | settings
    return Neutrino(instance="neutrino", settings=NeutrinoSettings.model_validate(account))


PROVIDER = neutrino()
OPENED = Opened(recipient=PHONE, code="482913")

# Requests ------------------------------------------------------------------------------------------------------------

REQUESTS = {
    "sms": (
        {},
        "482913",
        "/sms-verify",
        b"number=%2B491711234567&security-code=482913&language-code=de",
    ),
    "sms with brand and limits": (
        {"brand": "Ac & Me", "options": {"limit_ttl": "2", "limit": "5"}, "language": "pt-BR"},
        "4829",
        "/sms-verify",
        b"number=%2B491711234567&security-code=4829&language-code=pt&brand-name=Ac+%26+Me&limit=5&limit-ttl=2",
    ),
    "voice": (
        {"channel": Channel.VOICE, "brand": "Acme", "options": {"playback_delay": "1200"}, "language": "en-US"},
        "482913111",
        "/phone-verify",
        b"number=%2B491711234567&security-code=482913111&language-code=en&playback-delay=1200",
    ),
    "a code of the provider's": (
        {"code_length": 12, "language": "ar"},
        None,
        "/sms-verify",
        b"number=%2B491711234567&code-length=12&language-code=en",
    ),
}


@pytest.mark.parametrize(("wishes", "code", "path", "body"), REQUESTS.values(), ids=REQUESTS)
def test_a_command_becomes_exactly_this_request(
    wishes: dict[str, Any], code: str | None, path: str, body: bytes
) -> None:
    request = PROVIDER.build(command(provider="neutrino", **wishes), Opened(recipient=PHONE, code=code), 0)
    assert (request.method, str(request.url), request.content) == ("POST", "https://neutrinoapi.net" + path, body)
    assert dict(request.headers) == {
        "host": "neutrinoapi.net",
        "user-id": "user-1",
        "api-key": "key-1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/x-www-form-urlencoded",
        "user-agent": f"verification-pipeline/{__version__}",
        "content-length": str(len(body)),
    }


def test_a_number_is_never_read_as_national() -> None:
    request = PROVIDER.build(command(country="DE"), OPENED, 0)
    assert b"country-code" not in request.content
    assert request.content.startswith(b"number=%2B49")


@pytest.mark.parametrize(
    "code",
    ["123", "1234567890", "0123", "12a4", "١٢٣٤", " 1234"],
    ids=["short", "int32", "zero", "letter", "arabic", "space"],
)  # fmt: skip
@pytest.mark.parametrize("channel", [Channel.SMS, Channel.VOICE])
def test_a_code_that_would_change_on_the_way_is_never_sent(code: str, channel: Channel) -> None:
    with pytest.raises(Unsendable) as problem:
        PROVIDER.build(command(channel=channel), Opened(recipient=PHONE, code=code), 0)
    assert problem.value.reason is Reason.UNSUPPORTED_BY_PROVIDER
    assert code not in problem.value.detail


@pytest.mark.parametrize(
    ("channel", "options", "reason"),
    [
        (Channel.EMAIL, {}, Reason.UNSUPPORTED_BY_PROVIDER),
        (Channel.SMS, {"playback_delay": "1"}, Reason.UNKNOWN_OPTION),
        (Channel.SMS, {"ignore_risk": "true"}, Reason.UNKNOWN_OPTION),
        (Channel.SMS, {"limit": "0"}, Reason.INVALID_FIELD),
        (Channel.SMS, {"limit": "ten"}, Reason.INVALID_FIELD),
        (Channel.SMS, {"limit_ttl": "366"}, Reason.INVALID_FIELD),
        (Channel.VOICE, {"playback_delay": "-1"}, Reason.INVALID_FIELD),
        (Channel.VOICE, {"playback_delay": "9" * 5_000}, Reason.INVALID_FIELD),
    ],
)
def test_wishes_that_cannot_be_carried_are_never_dropped_silently(
    channel: Channel, options: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(Unsendable) as problem:
        PROVIDER.build(command(channel=channel, options=options), OPENED, 0)
    assert problem.value.reason is reason


def test_capabilities_hold_what_the_requests_need() -> None:
    for able in CAPABILITIES.channels.values():
        assert (able.code_min, able.code_max, able.code_leading_zero, able.receipts) == (4, 9, False, False)
        assert {provider_language(able, tag)[0] for tag in ("de", "en", "es", "fr", "it", "pt", "ru")} == {
            "de", "en", "es", "fr", "it", "pt", "ru",
        }  # fmt: skip
        assert provider_language(able, "ar") == ("en", False)
    assert set(CAPABILITIES.channels) == {Channel.SMS, Channel.VOICE}


# Answers -------------------------------------------------------------------------------------------------------------


def interpret(status: int, body: bytes, channel: Channel = Channel.SMS, code: str | None = "482913") -> Answer:
    opened = Opened(recipient=PHONE, code=code)
    return PROVIDER.interpret(command(channel=channel), opened, httpx.Response(status, content=body))


def ok(**fields: Any) -> bytes:
    return json.dumps({"number-valid": True, "security-code": "482913"} | fields).encode()


A = AttemptResult
C = ResultClass
R = Reason


@pytest.mark.parametrize(("channel", "field"), [(Channel.SMS, "sent"), (Channel.VOICE, "calling")])
def test_handed_over_is_sent_and_the_last_that_is_heard(channel: Channel, field: str) -> None:
    assert interpret(200, ok(**{field: True}), channel) == Answer(
        result=AttemptResult.ACCEPTED, status=AttemptStatus.SENT, number_valid=True, used_channel=channel
    )


@pytest.mark.parametrize(("channel", "field"), [(Channel.SMS, "sent"), (Channel.VOICE, "calling")])
def test_not_handed_over_is_not_sent_so_that_another_provider_may_try(channel: Channel, field: str) -> None:
    answer = interpret(200, ok(**{field: False}), channel)
    assert (answer.result, answer.result_class, answer.reason, answer.number_valid, answer.throttled) == (
        A.NOT_SENT,
        C.ROUTE,
        R.ROUTE_UNAVAILABLE,
        True,
        False,
    )


@pytest.mark.parametrize(("channel", "field"), [(Channel.SMS, "sent"), (Channel.VOICE, "calling")])
def test_an_account_may_doubt_that_nothing_was_sent(channel: Channel, field: str) -> None:
    doubting = neutrino(unsent_is_certain=False)
    opened = Opened(recipient=PHONE, code="482913")
    response = httpx.Response(200, content=ok(**{field: False}))
    answer = doubting.interpret(command(channel=channel), opened, response)
    assert (answer.result, answer.reason, answer.unmapped) == (A.IN_DOUBT, R.IN_DOUBT, False)


@pytest.mark.parametrize("sent", [False, None])
def test_an_invalid_number_is_the_recipients_rejection(sent: bool | None) -> None:
    answer = interpret(200, ok(**{"number-valid": False, "sent": sent}))
    assert (answer.result, answer.result_class, answer.reason, answer.number_valid) == (
        A.REJECTED,
        C.RECIPIENT,
        R.RECIPIENT_REJECTED,
        False,
    )


def test_another_code_than_ours_raises_an_alarm_and_lets_another_provider_send_ours() -> None:
    answer = interpret(200, ok(sent=True, **{"security-code": "82913"}))
    assert (answer.result, answer.result_class, answer.reason) == (A.REJECTED, C.CONTENT, R.PROVIDER_ERROR)
    assert answer.alarm is not None
    assert "82913" not in answer.alarm + str(answer.detail)


def test_the_echo_may_be_a_number_and_a_missing_one_is_told() -> None:
    assert interpret(200, ok(sent=True, **{"security-code": 482913})).alarm is None
    silent = interpret(200, b'{"number-valid":true,"sent":true}')
    assert (silent.result, silent.alarm is not None) == (A.ACCEPTED, True)


def test_a_code_the_provider_made_is_not_compared_nor_kept() -> None:
    answer = interpret(200, ok(sent=True, **{"security-code": "99999"}), code=None)
    assert (answer.result, answer.alarm, "99999" in repr(answer)) == (A.ACCEPTED, None, False)


REQUEST = (A.REJECTED, C.CONTENT, R.CONTENT_REJECTED)
ACCOUNT = (A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED)
CREDIT = (A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED)
FOREIGN = (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR)
DOWN = (A.NOT_SENT, C.ROUTE, R.ROUTE_UNAVAILABLE)
BUSY = (A.NOT_SENT, C.ROUTE, R.THROTTLED)
DOUBT = (A.IN_DOUBT, C.NONE, R.IN_DOUBT)

PUBLISHED_ERRORS = {
    1: REQUEST, 3: REQUEST, 9: REQUEST, 12: REQUEST, 44: REQUEST,
    18: FOREIGN, 45: FOREIGN,
    14: (A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    43: ACCOUNT, 10: ACCOUNT, 7: ACCOUNT, 8: ACCOUNT, 4: ACCOUNT, 2: ACCOUNT, 16: ACCOUNT, 31: ACCOUNT,
    19: CREDIT, 13: CREDIT,
    5: DOWN, 52: DOWN,
    6: BUSY, 11: BUSY, 15: BUSY,
    51: DOUBT,
    21: FOREIGN, 22: FOREIGN, 23: FOREIGN, 24: FOREIGN,
    17: FOREIGN, 26: FOREIGN, 27: FOREIGN, 28: FOREIGN,
    61: DOUBT, 62: DOUBT, 63: DOUBT, 64: DOUBT, 65: DOUBT, 66: DOUBT, 67: DOUBT, 68: DOUBT, 69: DOUBT, 70: DOUBT,
    71: DOUBT,
}  # fmt: skip


@pytest.mark.parametrize("status", [400, 403, 500])
@pytest.mark.parametrize(("code", "row"), PUBLISHED_ERRORS.items())
def test_each_published_error_means_this_whatever_the_http_status(
    code: int, row: tuple[AttemptResult, ResultClass, Reason], status: int
) -> None:
    answer = interpret(status, json.dumps({"api-error": code, "api-error-msg": f"no {PHONE}"}).encode())
    assert (answer.result, answer.result_class, answer.reason, answer.unmapped) == (*row, False)
    assert answer.throttled is (row == BUSY)
    assert answer.detail == f"HTTP {status} api-error {code}"


def test_no_published_error_is_missing_from_the_table() -> None:
    assert set(ERRORS) == set(PUBLISHED_ERRORS)


def test_a_busy_line_of_one_person_does_not_stop_the_others() -> None:
    busy, full = (interpret(400, b'{"api-error":%d}' % code) for code in (15, 6))
    assert (busy.pauses_provider, busy.retry_after_s) == (False, 5.0)
    assert (full.pauses_provider, full.retry_after_s) == (True, 1.0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"number-valid":true}'),
        (200, b'{"number-valid":"yes","sent":true}'),
        (200, b'{"number-valid":true,"sent":1}'),
        (200, b'{"number-valid":true,"calling":true}'),
        # Two statements that cannot both be true: the message may be out there.
        (200, b'{"number-valid":false,"sent":true}'),
        (302, b""),
        (400, b'{"api-error":99}'),
        (400, b'{"api-error":"14"}'),
        (400, b'{"api-error":true}'),
        (400, b'{"api-error":99999999999999999999999}'),
        (400, b'{"api-error":491711234567}'),
        (502, b"bad gateway"),
    ],
)
def test_an_answer_in_no_table_is_counted_and_in_doubt(status: int, body: bytes) -> None:
    answer = interpret(status, body)
    assert (answer.result, answer.reason, answer.unmapped) == (AttemptResult.IN_DOUBT, Reason.IN_DOUBT, True)
    assert "491711234567" not in str(answer.detail)


@pytest.mark.parametrize("body", [b"", b"<html>slow down</html>", b"{}"])
@pytest.mark.parametrize(("headers", "after_s"), [({}, 1.0), ({"Retry-After": "7"}, 7.0)])
def test_a_429_without_an_error_of_the_api_is_throttled(body: bytes, headers: dict[str, str], after_s: float) -> None:
    answer = PROVIDER.interpret(command(), OPENED, httpx.Response(429, headers=headers, content=body))
    assert (answer.result, answer.reason, answer.throttled) == (AttemptResult.NOT_SENT, Reason.THROTTLED, True)
    assert (answer.retry_after_s, answer.pauses_provider, answer.unmapped) == (after_s, True, True)


def test_an_error_of_the_api_goes_before_the_status_429() -> None:
    assert interpret(429, b'{"api-error":14}').reason is Reason.ROUTE_UNAVAILABLE
    assert interpret(429, b'{"api-error":51}').result is AttemptResult.IN_DOUBT


def test_an_error_in_a_200_answer_is_an_error() -> None:
    assert interpret(200, b'{"api-error":43,"number-valid":true,"sent":true}').result is AttemptResult.REJECTED


def test_there_are_no_webhooks() -> None:
    assert not PROVIDER.webhooks_enabled
    assert not PROVIDER.verify_signature(Webhook(), max_age_s=300)
    with pytest.raises(BadWebhook):
        PROVIDER.statuses(Webhook(body=b"{}", received_at=0))


def test_a_code_neutrino_made_is_taken_from_its_answer() -> None:
    answer = interpret(200, ok(sent=True, **{"security-code": "482913557799"}), code=None)
    assert (answer.result, answer.made_code) == (AttemptResult.ACCEPTED, "482913557799")
    assert "482913557799" not in repr(answer)


@pytest.mark.parametrize("told", [None, "", "abc", {"a": 1}, "1" * 13])
def test_a_code_nobody_knows_is_as_good_as_not_sent(told: Any) -> None:
    answer = interpret(200, ok(sent=True, **{"security-code": told}), code=None)
    assert (answer.result, answer.reason) == (AttemptResult.REJECTED, Reason.PROVIDER_ERROR)
    assert answer.alarm is not None


@pytest.mark.parametrize("kind", [CommandKind.CHECK, CommandKind.LOOKUP, CommandKind.REPORT, CommandKind.CANCEL])
def test_neutrino_has_nothing_but_sends(kind: CommandKind) -> None:
    with pytest.raises(Unsendable):
        PROVIDER.build(command(kind=kind), OPENED, 0)


def test_the_probe_asks_for_a_number_nobody_has() -> None:
    request = PROVIDER.probe(0)
    assert (request.method, str(request.url)) == (
        "GET",
        "https://neutrinoapi.net/phone-validate?number=%2B12025550100",
    )
    assert PROVIDER.probed(httpx.Response(200, content=b'{"valid":true}')).ok
    refused = httpx.Response(403, content=b'{"api-error":43,"api-error-msg":"ACCESS DENIED"}')
    assert PROVIDER.probed(refused) == (False, "HTTP 403 api-error 43")
