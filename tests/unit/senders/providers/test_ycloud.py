"""YCloud as its reference page says: requests out, answers in, webhooks in. Tables, one row per published fact."""

from __future__ import annotations

import hmac
import json
from typing import Any

import httpx
import pytest

from pipeline import __version__
from pipeline.model.capabilities import provider_language
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders.provider import Answer, BadWebhook, Opened, Unsendable, Webhook
from pipeline.senders.providers.ycloud import CAPABILITIES, YCloud
from pipeline.senders.providers.ycloud.tables import ERRORS, EVENTS, MESSAGE_STATUSES, START_STATUSES
from pipeline.settings import YCloudSettings
from tests.unit.senders.doubles import PHONE, command, ycloud

PROVIDER = ycloud()
OPENED = Opened(recipient=PHONE, code="482913")
REFERENCE = "v1_1_aairem"

# Requests ------------------------------------------------------------------------------------------------------------

REQUESTS = {
    "sms": (
        {},
        {},
        b'{"channel":"sms","to":"+491711234567","code":"482913","language":"de","externalId":"v1_1_aairem"}',
    ),
    "sms with sender": (
        {"sender": "Acme", "language": None},
        {},
        b'{"channel":"sms","to":"+491711234567","code":"482913","senderId":"Acme","language":"en",'
        b'"externalId":"v1_1_aairem"}',
    ),
    "sms to mainland China": (
        {"signature": "示例", "language": "zh-Hans-CN", "country": "CN"},
        {"recipient": "+8613800138000"},
        '{"channel":"sms","to":"+8613800138000","code":"482913","signature":"示例","language":"zh_CN",'
        '"externalId":"v1_1_aairem"}'.encode(),
    ),
    "a signature is for mainland China only": (
        {"signature": "示例"},
        {"recipient": "+85291234567"},
        b'{"channel":"sms","to":"+85291234567","code":"482913","language":"de","externalId":"v1_1_aairem"}',
    ),
    "voice": (
        {"channel": Channel.VOICE, "language": "pt-PT"},
        {},
        b'{"channel":"voice","to":"+491711234567","code":"482913","language":"pt_BR","externalId":"v1_1_aairem"}',
    ),
    "whatsapp": (
        {"channel": Channel.WHATSAPP, "language": "zh-TW"},
        {},
        b'{"channel":"whatsapp","to":"+491711234567","code":"482913","language":"zh_HK","externalId":"v1_1_aairem"}',
    ),
    "email": (
        {"channel": Channel.EMAIL, "language": "sw"},
        {"recipient": "jo@xn--bcher-kva.example", "code": "00482913"},
        b'{"channel":"email_code","to":"jo@xn--bcher-kva.example","code":"00482913","language":"en",'
        b'"externalId":"v1_1_aairem"}',
    ),
    "a code of the provider's": (
        {},
        {"code": None},
        b'{"channel":"sms","to":"+491711234567","language":"de","externalId":"v1_1_aairem"}',
    ),
}


@pytest.mark.parametrize(("wishes", "opened", "body"), REQUESTS.values(), ids=REQUESTS)
def test_a_command_becomes_exactly_this_request(wishes: dict[str, Any], opened: dict[str, Any], body: bytes) -> None:
    request = PROVIDER.build(
        command(reference=REFERENCE, **wishes), Opened(**({"recipient": PHONE, "code": "482913"} | opened)), 0
    )
    assert (request.method, str(request.url), request.content) == (
        "POST",
        "https://api.ycloud.com/v2/verify/verifications",
        body,
    )
    assert dict(request.headers) == {
        "host": "api.ycloud.com",
        "x-api-key": "key-1",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": f"verification-pipeline/{__version__}",
        "content-length": str(len(body)),
    }


def test_another_base_url_is_used_as_given() -> None:
    settings = YCloudSettings.model_validate({"api_key": "k", "base_url": "http://127.0.0.1:8090/ycloud/v2/"})
    request = YCloud(instance="ycloud", settings=settings).build(command(), OPENED, 0)
    assert str(request.url) == "http://127.0.0.1:8090/ycloud/v2/verify/verifications"


@pytest.mark.parametrize(
    ("wishes", "recipient", "code"),
    [
        ({}, PHONE, "123"),
        ({}, PHONE, "123456789"),
        ({}, PHONE, "12a456"),
        ({}, PHONE, "١٢٣٤٥٦"),
        ({"channel": Channel.VOICE}, PHONE, "1234567"),
        ({"channel": Channel.VIBER}, PHONE, "482913"),
        ({"signature": None}, "+8613800138000", "482913"),
    ],
)
def test_what_the_api_does_not_take_is_never_sent(wishes: dict[str, Any], recipient: str, code: str) -> None:
    with pytest.raises(Unsendable) as problem:
        PROVIDER.build(command(**wishes), Opened(recipient=recipient, code=code), 0)
    assert problem.value.reason is Reason.UNSUPPORTED_BY_PROVIDER
    assert code not in problem.value.detail


LANGUAGES = {
    "ar": "ar", "de": "de", "en": "en", "es": "es", "fr": "fr", "id": "id", "it": "it", "pt_BR": "pt_BR", "ru": "ru",
    "tr": "tr", "vi": "vi", "zh_CN": "zh_CN", "zh_HK": "zh_HK", "en-GB": "en", "de-CH-1996": "de", "pt": "pt_BR",
    "zh": "zh_CN", "zh-Hant-TW": "zh_HK", "zh-SG": "zh_CN",
}  # fmt: skip


@pytest.mark.parametrize(("wished", "tag"), LANGUAGES.items())
def test_all_thirteen_languages_are_reached_by_their_tags(wished: str, tag: str) -> None:
    for able in CAPABILITIES.channels.values():
        assert provider_language(able, wished) == (tag, True)
    assert len(set(LANGUAGES.values())) == 13


def test_a_language_the_provider_lacks_becomes_english_and_is_told() -> None:
    assert provider_language(CAPABILITIES.channels[Channel.SMS], "sw") == ("en", False)


# Answers -------------------------------------------------------------------------------------------------------------


def interpret(status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    return PROVIDER.interpret(command(), OPENED, httpx.Response(status, content=body, headers=headers))


def error(status: int, code: str, target: str | None = None, headers: dict[str, str] | None = None) -> Answer:
    message = f"the number {PHONE} and the code 482913"
    body = {"error": {"status": status, "code": code, "message": message, "target": target, "requestId": "req_1"}}
    return interpret(status, json.dumps(body).encode(), headers)


A = AttemptResult
C = ResultClass
R = Reason

PUBLISHED_ERRORS = {
    "BAD_REQUEST": (400, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "PARAM_INVALID": (400, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "PARAM_INVALID_LENGTH": (400, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "PARAM_MISSING": (400, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "PARAM_NOT_MATCH": (400, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "MESSAGING_REGION_UNSUPPORTED": (400, A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    "UNAUTHORIZED": (401, A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED),
    "ACCOUNT_LIMITED": (403, A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED),
    "ACCOUNT_UNAVAILABLE": (403, A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED),
    "FORBIDDEN": (403, A.REJECTED, C.ACCOUNT, R.ACCOUNT_REJECTED),
    "BALANCE_INSUFFICIENT": (403, A.REJECTED, C.ACCOUNT, R.CREDIT_EXHAUSTED),
    "RECIPIENT_IN_BLOCK_LIST": (403, A.REJECTED, C.RECIPIENT, R.RECIPIENT_BLOCKED),
    "RECIPIENT_UNSUBSCRIBED": (403, A.REJECTED, C.RECIPIENT, R.RECIPIENT_BLOCKED),
    "SENDER_ID_UNAVAILABLE": (403, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "SMS_SIGNATURE_UNAVAILABLE": (403, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "CONTENT_PROHIBITED": (403, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "EMAIL_DOMAIN_UNVERIFIED": (403, A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    "WHATSAPP_PHONE_NUMBER_UNAVAILABLE": (403, A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    "WHATSAPP_TEMPLATE_UNAVAILABLE": (403, A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    "WHATSAPP_WABA_UNAVAILABLE": (403, A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    "WHATSAPP_BUSINESS_ACCOUNT_UNAVAILABLE": (403, A.REJECTED, C.ROUTE, R.ROUTE_UNAVAILABLE),
    "NOT_FOUND": (404, A.REJECTED, C.ROUTE, R.PROVIDER_ERROR),
    "ALREADY_EXISTS": (409, A.IN_DOUBT, C.NONE, R.IN_DOUBT),
    "CONTENT_TOO_LARGE": (413, A.REJECTED, C.CONTENT, R.CONTENT_REJECTED),
    "TOO_MANY_REQUESTS": (429, A.NOT_SENT, C.ROUTE, R.THROTTLED),
    "ACCOUNT_RATE_LIMITED": (429, A.NOT_SENT, C.ROUTE, R.THROTTLED),
    "SENDER_RATE_LIMITED": (429, A.NOT_SENT, C.ROUTE, R.THROTTLED),
    "INTERNAL_SERVER_ERROR": (500, A.IN_DOUBT, C.NONE, R.IN_DOUBT),
    "SERVICE_UNAVAILABLE": (503, A.IN_DOUBT, C.NONE, R.IN_DOUBT),
}


@pytest.mark.parametrize(("code", "row"), PUBLISHED_ERRORS.items())
def test_each_published_error_means_this(code: str, row: tuple[int, AttemptResult, ResultClass, Reason]) -> None:
    status, result, kind, reason = row
    answer = error(status, code)
    assert (answer.result, answer.result_class, answer.reason, answer.unmapped) == (result, kind, reason, False)
    assert answer.throttled is (status == 429)
    assert answer.detail == f"HTTP {status} {code}, request req_1"


def test_no_published_error_is_missing_from_the_table() -> None:
    assert {code: status for code, (status, _) in ERRORS.items()} == {
        code: row[0] for code, row in PUBLISHED_ERRORS.items()
    }


@pytest.mark.parametrize("code", [code for code, row in PUBLISHED_ERRORS.items() if row[0] < 500])
@pytest.mark.parametrize("status", [500, 503])
def test_a_refusal_under_a_status_of_failure_is_no_certain_one(status: int, code: str) -> None:
    answer = error(status, code)
    assert (answer.result, answer.throttled, answer.unmapped) == (A.IN_DOUBT, False, True)
    assert answer.detail == f"HTTP {status} {code}, request req_1"


def test_a_wrong_parameter_is_the_recipients_fault_only_when_it_is_the_recipient() -> None:
    assert error(400, "PARAM_INVALID", "to").reason is Reason.RECIPIENT_REJECTED
    assert error(400, "PARAM_INVALID", "to").result_class is ResultClass.RECIPIENT
    assert error(400, "PARAM_INVALID", "senderId").result_class is ResultClass.CONTENT
    assert error(403, "FORBIDDEN", "to").result_class is ResultClass.ACCOUNT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 1.0), ("", 1.0), ("soon", 1.0), ("9999", 300.0), ("-3", 1.0), ("٣", 1.0), ("9" * 5_000, 1.0)],
)
def test_retry_after_is_honoured_within_reason(header: str, seconds: float) -> None:
    headers = httpx.Headers([(b"Retry-After", header.encode())])
    answer = PROVIDER.interpret(
        command(),
        OPENED,
        httpx.Response(429, content=b'{"error":{"code":"TOO_MANY_REQUESTS"}}', headers=headers),
    )
    assert (answer.throttled, answer.retry_after_s) == (True, seconds)


def test_too_many_requests_is_throttling_even_without_a_body() -> None:
    answer = interpret(429, b"slow down", {"Retry-After": "2"})
    assert (answer.throttled, answer.retry_after_s, answer.unmapped) == (True, 2.0, True)


PUBLISHED_STARTS = {
    "pending": (A.ACCEPTED, C.NONE, None, AttemptStatus.NONE),
    "approved": (A.ACCEPTED, C.NONE, None, AttemptStatus.DELIVERED),
    "blocked": (A.REJECTED, C.RECIPIENT, R.RECIPIENT_BLOCKED, AttemptStatus.UNDELIVERED),
    "undelivered": (A.REJECTED, C.ROUTE, R.UNDELIVERED, AttemptStatus.UNDELIVERED),
    "expired": (A.REJECTED, C.ROUTE, R.PROVIDER_ERROR, AttemptStatus.EXPIRED),
}


@pytest.mark.parametrize(("status", "row"), PUBLISHED_STARTS.items())
def test_not_every_200_is_a_yes(
    status: str, row: tuple[AttemptResult, ResultClass, Reason | None, AttemptStatus]
) -> None:
    answer = interpret(200, json.dumps({"id": "ve1", "status": status}).encode())
    assert (answer.result, answer.result_class, answer.reason, answer.status) == row
    assert set(PUBLISHED_STARTS) == set(START_STATUSES)


def test_the_answer_carries_id_channel_and_price() -> None:
    body = (
        b'{"id":"ve6a1b2c","status":"pending","to":"+16315550100","channel":"sms",'
        b'"sendTime":"2025-01-02T03:04:05.000Z","totalPrice":0.0085,"currency":"USD","externalId":"job42"}'
    )
    assert interpret(200, body) == Answer(
        result=AttemptResult.ACCEPTED,
        provider_message_id="ve6a1b2c",
        used_channel=Channel.SMS,
        cost="0.0085",
        currency="USD",
    )


def test_a_price_is_written_without_an_exponent() -> None:
    assert interpret(200, b'{"id":"v","totalPrice":1e-7,"currency":"USD"}').cost == "0.0000001"


def test_a_fallback_the_provider_makes_by_itself_is_told() -> None:
    answer = interpret(200, b'{"id":"v","status":"pending","channel":"whatsapp","smsFallbackEnabled":true}')
    assert (answer.used_channel, answer.detail) == (Channel.WHATSAPP, "the provider falls back to SMS by itself")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"id":"","status":"pending"}'),
        (200, b'{"id":"v","status":"teleported"}'),
        (200, b'{"id":"v","status":["pending"]}'),
        (200, b'{"id":{"a":1}}'),
        (201, b'{"id":"v","status":"pending"}'),
        (302, b""),
        (400, b'{"error":{"code":"NEW_CODE"}}'),
        (400, b'{"error":{"code":["x"]}}'),
        (400, b'{"error":"x"}'),
        (403, b"<html>blocked by a firewall</html>"),
        (502, b"bad gateway"),
        (599, b"\xff\xfe"),
    ],
)
def test_an_answer_in_no_table_is_counted_and_in_doubt(status: int, body: bytes) -> None:
    answer = interpret(status, body)
    assert (answer.result, answer.reason, answer.unmapped) == (AttemptResult.IN_DOUBT, Reason.IN_DOUBT, True)


def test_details_hold_nothing_the_provider_wrote_freely() -> None:
    hostile = {"code": f"X {PHONE}", "target": "482913 4", "message": PHONE, "requestId": "a b"}
    answer = interpret(400, json.dumps({"error": hostile}).encode(), {"YCloud-Request-ID": PHONE + " "})
    assert answer.detail == "HTTP 400"


# Webhooks ------------------------------------------------------------------------------------------------------------

AT = 1_735_787_045_000
RECEIVED_AT = AT + 3_600_000


def event(kind: str, **message: Any) -> bytes:
    fields = {
        "id": "m1",
        "to": PHONE,
        "externalId": "my_id-1_2_abcdef",
        "bizType": "verify",
        "verificationId": "ve_1",
        "updateTime": "2025-01-02T03:04:05.000Z",
    }
    return json.dumps(
        {
            "id": "evt_1",
            "type": kind,
            "apiVersion": "v2",
            "createTime": "2025-01-02T04:00:00.000Z",
            EVENTS.get(kind, "other"): fields | message,
        }
    ).encode()


def status_of(**differences: Any) -> DeliveryStatus:
    fields: dict[str, Any] = {
        "verification_id": "my_id-1",
        "attempt_id": "my_id-1.2",
        "provider": "ycloud",
        "status": AttemptStatus.DELIVERED,
        "occurred_at": AT,
        "received_at": RECEIVED_AT,
    }
    return DeliveryStatus(**(fields | differences))


PRICED = {"totalPrice": 0.05, "currency": "EUR"}
WEBHOOKS = {
    "sms delivered": (
        event("sms.message.updated", status="delivered", **PRICED),
        status_of(cost="0.05", currency="EUR"),
    ),
    "sms undelivered": (
        event("sms.message.updated", status="undelivered", errorCode="30003"),
        status_of(status=AttemptStatus.UNDELIVERED, reason="undelivered"),
    ),
    "sms failed": (
        event("sms.message.updated", status="failed"),
        status_of(status=AttemptStatus.FAILED, reason="undelivered"),
    ),
    "sms sent": (event("sms.message.updated", status="sent"), status_of(status=AttemptStatus.SENT)),
    "sms accepted": (event("sms.message.updated", status="accepted"), status_of(status=AttemptStatus.QUEUED)),
    "voice delivered": (event("voice.message.updated", status="delivered", verificationCode="482913"), status_of()),
    "voice undelivered": (
        event("voice.message.updated", status="undelivered"),
        status_of(status=AttemptStatus.UNDELIVERED, reason="undelivered"),
    ),
    "email sending": (event("email.delivery.updated", status="sending"), status_of(status=AttemptStatus.QUEUED)),
    "email delivered": (event("email.delivery.updated", status="delivered"), status_of()),
    "email failed": (
        event("email.delivery.updated", status="failed", errorMessage="jo@example.org is full"),
        status_of(status=AttemptStatus.FAILED, reason="undelivered"),
    ),
    "email without a time": (
        event("email.delivery.updated", status="delivered", updateTime=None),
        status_of(occurred_at=AT + 3_355_000),
    ),
    "whatsapp sent": (
        event("whatsapp.message.updated", status="sent", sendTime="2025-01-02T03:04:04.000Z"),
        status_of(status=AttemptStatus.SENT, occurred_at=AT - 1_000),
    ),
    "whatsapp delivered": (
        event("whatsapp.message.updated", status="delivered", deliverTime="2025-01-02T03:04:06.000Z"),
        status_of(occurred_at=AT + 1_000),
    ),
    "whatsapp read": (
        event("whatsapp.message.updated", status="read", readTime="2025-01-02T03:04:07.500Z"),
        status_of(status=AttemptStatus.READ, occurred_at=AT + 2_500),
    ),
    "whatsapp failed": (
        event("whatsapp.message.updated", status="failed"),
        status_of(status=AttemptStatus.FAILED, reason="undelivered"),
    ),
    "a status in no table": (
        event("sms.message.updated", status="vaporised"),
        status_of(status=AttemptStatus.UNKNOWN),
    ),
    "a status of an odd type": (
        event("sms.message.updated", status=["delivered"]),
        status_of(status=AttemptStatus.UNKNOWN),
    ),
}


@pytest.mark.parametrize(("body", "expected"), WEBHOOKS.values(), ids=WEBHOOKS)
def test_each_event_becomes_this_status(body: bytes, expected: DeliveryStatus) -> None:
    ((status, reference),) = PROVIDER.statuses(Webhook(body=body, received_at=RECEIVED_AT))
    assert status == expected
    assert reference == "my_id-1_2_abcdef"


def test_a_failed_whatsapp_is_no_end_where_ycloud_goes_on_by_sms_itself() -> None:
    settings = YCloudSettings.model_validate({"api_key": "k", "webhook_secret": "whsec_1", "whatsapp_falls_back": True})
    provider = YCloud(instance="ycloud", settings=settings)

    def told(body: bytes) -> list[AttemptStatus]:
        return [report[0].status for report in provider.statuses(Webhook(body=body, received_at=RECEIVED_AT))]

    assert told(event("whatsapp.message.updated", status="failed")) == []
    assert told(event("whatsapp.message.updated", status="sent")) == [AttemptStatus.SENT]
    assert told(event("sms.message.updated", status="delivered")) == [AttemptStatus.DELIVERED]
    assert told(event("sms.message.updated", status="undelivered")) == [AttemptStatus.UNDELIVERED]


@pytest.mark.parametrize(
    "told",
    [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2025-01-01T03:04:00Z",
        "2025-01-02T04:10:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_a_time_that_cannot_be_is_not_believed(told: str) -> None:
    body = event("whatsapp.message.updated", status="delivered", deliverTime=told)
    ((status, _),) = PROVIDER.statuses(Webhook(body=body, received_at=RECEIVED_AT))
    assert status.occurred_at == AT
    nothing_else = json.loads(body) | {"createTime": told}
    nothing_else["whatsappMessage"]["updateTime"] = told
    ((status, _),) = PROVIDER.statuses(Webhook(body=json.dumps(nothing_else).encode(), received_at=RECEIVED_AT))
    assert status.occurred_at == RECEIVED_AT


def test_all_events_and_message_statuses_are_in_the_tables() -> None:
    assert set(EVENTS) == {
        "sms.message.updated",
        "voice.message.updated",
        "email.delivery.updated",
        "whatsapp.message.updated",
    }
    assert set(MESSAGE_STATUSES) == {"accepted", "sending", "sent", "delivered", "read", "undelivered", "failed"}


@pytest.mark.parametrize(
    "body",
    [
        event("whatsapp.inbound_message.received"),
        event("sms.message.updated", status="delivered", bizType="marketing"),
        event("sms.message.updated", status="delivered", verificationId=None),
        event("sms.message.updated", status="delivered", externalId="somebody-elses"),
        event("sms.message.updated", status="delivered", externalId=None),
        event("sms.message.updated", status="delivered", externalId=7),
    ],
)
def test_events_that_are_not_of_our_verifications_are_ignored(body: bytes) -> None:
    assert PROVIDER.statuses(Webhook(body=body, received_at=RECEIVED_AT)) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type":7}', b'{"type":"sms.message.updated"}', b"\xff"])
def test_a_signed_body_that_is_no_event_is_told_apart(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        PROVIDER.statuses(Webhook(body=body, received_at=RECEIVED_AT))


VECTOR_A = (
    "whsec_test_6c2f0f6c3a6d4b16",
    1_700_000_000,
    b'{"id":"evt_01","type":"whatsapp.inbound_message.received","apiVersion":"v2"}',
    "4ee5dc4c43b9d27aa16b9e46a59ea8700d0b3b90d9da6139a302aa7a55cbdaa1",
)
VECTOR_B = (
    "whsec_local_sim_0001",
    1_735_787_045,
    b'{"id":"evt_sim_1","type":"sms.message.updated","apiVersion":"v2","createTime":"2025-01-02T03:04:05.000Z",'
    b'"sms":{"id":"sms_sim_1","to":"+16315550100","status":"delivered","externalId":"job-42","bizType":"verify",'
    b'"verificationId":"ve_sim_1"}}',
    "55fcc1ca9f78f4eac6a7786b5cc0ff966cc591345566049ce0855a9b5fd332c3",
)


def webhook(headers: dict[str, str], body: bytes, at_s: float) -> Webhook:
    return Webhook(headers=headers, body=body, received_at=round(at_s * 1_000))


def signed_by(*secrets: str) -> YCloud:
    settings = YCloudSettings.model_validate({"api_key": "k", "webhook_secret": list(secrets)})
    return YCloud(instance="ycloud", settings=settings)


@pytest.mark.parametrize(("secret", "at_s", "body", "digest"), [VECTOR_A, VECTOR_B], ids=["kit", "ours"])
def test_the_published_signature_vectors_hold(secret: str, at_s: int, body: bytes, digest: str) -> None:
    headers = {"ycloud-SIGNATURE": f"t={at_s},s={digest}"}
    assert signed_by(secret).verify_signature(webhook(headers, body, at_s + 1.5), max_age_s=300)
    assert not signed_by(secret).verify_signature(webhook(headers, body + b" ", at_s), max_age_s=300)
    assert not signed_by(secret + "x").verify_signature(webhook(headers, body, at_s), max_age_s=300)


def test_any_of_several_secrets_may_sign_while_one_is_replaced() -> None:
    secret, at_s, body, digest = VECTOR_A
    headers = {"YCloud-Signature": f"t={at_s},s={digest}"}
    assert signed_by("whsec_new", secret).verify_signature(webhook(headers, body, at_s), max_age_s=300)
    assert signed_by(secret, "whsec_new").verify_signature(webhook(headers, body, at_s), max_age_s=300)


@pytest.mark.parametrize(
    "header", ["t={t}, s={s}", "s={s},t={t}", " t={t} ,\ts={s} ", "v=2,t={t},nonce,s={s},s2=a=b", "t={t},s={s},"]
)
def test_the_fields_of_a_signature_come_in_any_order_and_among_others(header: str) -> None:
    secret, at_s, body, digest = VECTOR_A
    headers = {"YCloud-Signature": header.format(t=at_s, s=digest)}
    assert signed_by(secret).verify_signature(webhook(headers, body, at_s), max_age_s=300)


@pytest.mark.parametrize("max_age_s", [1, 300])
@pytest.mark.parametrize(("beyond_s", "valid"), [(-1, True), (0, True), (1, False)])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_signature_lives_as_long_as_it_is_allowed_to(
    max_age_s: int, beyond_s: int, valid: bool, direction: int
) -> None:
    secret, at_s, body, digest = VECTOR_A
    headers = {"YCloud-Signature": f"t={at_s},s={digest}"}
    now_s = at_s + direction * (max_age_s + beyond_s)
    assert signed_by(secret).verify_signature(webhook(headers, body, now_s), max_age_s=max_age_s) is valid


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1700000000",
        "s=" + VECTOR_A[3],
        f"t=1700000000,s={VECTOR_A[3].upper()}",
        f"t=1700000000,s={VECTOR_A[3]}0",
        f"t=+1700000000,s={VECTOR_A[3]}",
        f"t=1700000000;s={VECTOR_A[3]}",
        f"T=1700000000,S={VECTOR_A[3]}",
        f"t=1700000000,s={VECTOR_A[3]},s={VECTOR_A[3]}",
        f"t=1700000000,s={VECTOR_A[3]},t=1700000000",
        f"t=1700000000,s={VECTOR_A[3]},s=",
        f"t=１７００００００００,s={VECTOR_A[3]}",
    ],
)
def test_any_other_form_of_the_header_is_a_forgery(header: str) -> None:
    assert not signed_by(VECTOR_A[0]).verify_signature(
        webhook({"YCloud-Signature": header}, VECTOR_A[2], 1_700_000_000), max_age_s=300
    )


def test_a_trailing_dot_in_the_signed_text_is_a_forgery() -> None:
    digest = hmac.digest(VECTOR_A[0].encode(), b"1700000000." + VECTOR_A[2] + b".", "sha256").hex()
    headers = {"YCloud-Signature": f"t=1700000000,s={digest}"}
    assert not signed_by(VECTOR_A[0]).verify_signature(webhook(headers, VECTOR_A[2], 1_700_000_000), max_age_s=300)


def test_without_a_secret_webhooks_are_off_and_nothing_is_signed() -> None:
    provider = signed_by()
    digest = hmac.digest(b"", b"1700000000." + VECTOR_A[2], "sha256").hex()
    headers = {"YCloud-Signature": f"t=1700000000,s={digest}"}
    assert not provider.webhooks_enabled
    assert not provider.verify_signature(webhook(headers, VECTOR_A[2], 1_700_000_000), max_age_s=300)
    assert signed_by("whsec_1").webhooks_enabled


# Reports, look-ups, the probe ----------------------------------------------------------------------------------------


def report(**differences: Any) -> SendCommand:
    return command(**({"kind": CommandKind.REPORT, "provider_message_id": "ve-1"} | differences))


def look_up(**differences: Any) -> SendCommand:
    told: dict[str, Any] = {"kind": CommandKind.LOOKUP, "reference": REFERENCE, "called_at": 1_735_787_045_000}
    return command(**(told | differences))


def answered(told: SendCommand, document: Any, status: int = 200) -> Answer:
    return PROVIDER.interpret(told, OPENED, httpx.Response(status, content=json.dumps(document).encode()))


def test_a_success_is_reported_as_a_check_of_the_code_that_was_right() -> None:
    request = PROVIDER.build(report(), OPENED, 0)
    assert (request.method, str(request.url)) == ("POST", "https://api.ycloud.com/v2/verify/verificationChecks")
    assert request.content == b'{"verificationId":"ve-1","code":"482913"}'
    assert answered(report(), {"id": "c", "valid": True, "status": "approved"}).result is AttemptResult.ACCEPTED
    assert answered(report(), {"error": {"code": "NOT_FOUND"}}, 404).result is AttemptResult.REJECTED
    assert answered(report(), {"error": {"code": "TOO_MANY_REQUESTS"}}, 429).throttled


@pytest.mark.parametrize("told", [report(provider_message_id=None), command(kind=CommandKind.CHECK)])
def test_what_the_api_has_nothing_for_is_never_sent(told: SendCommand) -> None:
    with pytest.raises(Unsendable):
        PROVIDER.build(told, OPENED, 0)


@pytest.mark.parametrize(("channel", "path"), [(Channel.SMS, "sms"), (Channel.VOICE, "voices")])
def test_a_lost_answer_is_looked_for_about_the_time_of_its_call(channel: Channel, path: str) -> None:
    request = PROVIDER.build(look_up(channel=channel), OPENED, 0)
    assert (request.method, str(request.url)) == (
        "GET",
        f"https://api.ycloud.com/v2/{path}?limit=100&filter.createTime.gte=2025-01-02T03%3A03%3A05.000Z"
        "&filter.createTime.lte=2025-01-02T03%3A06%3A05.000Z",
    )
    assert request.content == b""
    assert CAPABILITIES.channels[channel].finds_lost_s
    assert CAPABILITIES.channels[channel].not_found_after_s is None


@pytest.mark.parametrize("channel", [Channel.WHATSAPP, Channel.EMAIL])
def test_what_the_api_does_not_list_is_not_looked_for(channel: Channel) -> None:
    assert CAPABILITIES.channels[channel].finds_lost_s == ()
    with pytest.raises(Unsendable):
        PROVIDER.build(look_up(channel=channel), OPENED, 0)


@pytest.mark.parametrize(("told", "status"), [*MESSAGE_STATUSES.items(), ("new_word", AttemptStatus.UNKNOWN)])
def test_a_message_with_our_reference_tells_what_became_of_it(told: str, status: AttemptStatus) -> None:
    item = {"externalId": REFERENCE, "verificationId": "ve-1", "status": told, "totalPrice": 0.01, "currency": "USD"}
    answer = answered(look_up(), {"items": [{"externalId": "v2_1_aaaaaa"}, item]})
    assert (answer.result, answer.status, answer.provider_message_id) == (AttemptResult.ACCEPTED, status, "ve-1")
    assert (answer.cost, answer.currency) == ("0.01", "USD")
    assert answer.unmapped is (told == "new_word")


def test_no_such_message_proves_nothing() -> None:
    assert answered(look_up(), {"items": [{"externalId": "v2_1_aaaaaa"}, None]}).not_found
    assert answered(look_up(), {"unexpected": 1}).unmapped


def test_the_probe_reads_the_balance() -> None:
    request = PROVIDER.probe(0)
    assert (request.method, str(request.url)) == ("GET", "https://api.ycloud.com/v2/balance")
    good = httpx.Response(200, content=b'{"amount":190.07,"currency":"USD"}')
    assert PROVIDER.probed(good) == (True, "balance 190.07 USD")
    bad = httpx.Response(401, content=b'{"error":{"status":401,"code":"UNAUTHORIZED","message":"key-1 is wrong"}}')
    assert PROVIDER.probed(bad) == (False, "HTTP 401 UNAUTHORIZED")
    assert not PROVIDER.probed(httpx.Response(200, content=b"<html>")).ok


@pytest.mark.parametrize(
    ("fallback", "detail"),
    [
        ({}, None),
        ({"smsFallbackEnabled": False, "smsFallback": {"supported": True}}, None),
        ({"smsFallbackEnabled": True}, "the provider falls back to SMS by itself"),
        ({"smsFallbackEnabled": True, "smsFallback": {"supported": True}}, "the provider falls back to SMS by itself"),
        (
            {"smsFallbackEnabled": True, "smsFallback": {"supported": False, "unsupportedReason": "REGION"}},
            "the provider's own fallback to SMS is on but not possible here (REGION)",
        ),
        (
            {"smsFallbackEnabled": True, "smsFallback": {"supported": False, "unsupportedReason": "+49 171 1234567"}},
            "the provider's own fallback to SMS is on but not possible here",
        ),
    ],
)
def test_what_the_answer_says_of_the_fallback_to_sms_is_told(fallback: dict[str, Any], detail: str | None) -> None:
    told = command(channel=Channel.WHATSAPP)
    assert answered(told, {"id": "ve-1", "status": "pending"} | fallback).detail == detail
