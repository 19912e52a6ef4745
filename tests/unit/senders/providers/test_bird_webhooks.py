"""Bird as its reference page says: webhooks in, and who signed them. Tables, one row per published fact."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from pipeline.model.reasons import Reason
from pipeline.records.internal import Receipt
from pipeline.records.types import AttemptStatus, Channel
from pipeline.senders.provider import BadWebhook, Unplaced, Webhook
from pipeline.senders.providers.bird import Bird
from pipeline.senders.providers.bird.tables import FAILURE_CLASSES, FAILURES
from tests.unit.senders.doubles import PHONE
from tests.unit.senders.providers.bird_account import (
    ADDRESS,
    EMAIL,
    NAVIGATOR,
    PROVIDER,
    SMS,
    WHATSAPP,
    bird,
)

R = Reason
AT = 1_735_787_045_000
RECEIVED_AT = AT + 3_600_000


def message(**differences: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": "m-1",
        "channelId": SMS,
        "sender": {"connector": {"identifierValue": "Acme"}},
        "receiver": {"contacts": [{"id": "c", "identifierKey": "phonenumber", "identifierValue": PHONE}]},
        "body": {"type": "text", "text": {"text": "Your code is 482913"}},
        "status": "delivered",
        "direction": "outgoing",
        "lastStatusAt": "2025-01-02T03:04:05.000Z",
        "createdAt": "2025-01-02T03:04:00Z",
        "updatedAt": "2025-01-02T03:04:06Z",
    }
    return fields | differences


def statuses(payload: object, event: object = "sms.outbound", **account: Any) -> list[Unplaced]:
    body = json.dumps({"service": "channels", "event": event, "payload": payload}).encode()
    return list(bird(**account).statuses(Webhook(body=body, received_at=RECEIVED_AT)))


def test_an_event_tells_receiver_channel_and_status_and_nothing_of_the_text() -> None:
    assert statuses(message()) == [
        Unplaced(
            Receipt(
                provider="bird",
                channel=Channel.SMS,
                status=AttemptStatus.DELIVERED,
                told="delivered",
                occurred_at=AT,
                received_at=RECEIVED_AT,
            ),
            PHONE,
        )
    ]


STATUSES = {
    "accepted": (AttemptStatus.QUEUED, None),
    "sent": (AttemptStatus.SENT, None),
    "delivered": (AttemptStatus.DELIVERED, None),
    "sending_failed": (AttemptStatus.FAILED, R.UNDELIVERED),
    "delivery_failed": (AttemptStatus.UNDELIVERED, R.UNDELIVERED),
    "teleported": (AttemptStatus.UNKNOWN, None),
}


@pytest.mark.parametrize(("word", "row"), STATUSES.items())
def test_each_status_of_a_message_means_this(word: str, row: tuple[AttemptStatus, Reason | None]) -> None:
    ((receipt, _),) = statuses(message(status=word))
    assert (receipt.status, receipt.reason, receipt.told) == (*row, word)


@pytest.mark.parametrize("word", [None, 7, "+491711234567", "Your code is 482913", "x" * 41])
def test_what_is_no_word_is_an_unknown_status_and_not_kept(word: object) -> None:
    ((receipt, _),) = statuses(message(status=word))
    assert (receipt.status, receipt.told) == (AttemptStatus.UNKNOWN, "")


CODES: dict[int | str, Reason] = {
    11001: R.ROUTE_UNAVAILABLE,
    11002: R.CONTENT_REJECTED,
    11999: R.CONTENT_REJECTED,
    12001: R.PROVIDER_ERROR,
    12002: R.CONTENT_REJECTED,
    12003: R.ROUTE_UNAVAILABLE,
    12999: R.PROVIDER_ERROR,
    14000: R.ACCOUNT_REJECTED,
    15001: R.PROVIDER_ERROR,
    15005: R.RECIPIENT_REJECTED,
    15999: R.UNDELIVERED,
    13000: R.UNDELIVERED,
    "15005": R.RECIPIENT_REJECTED,
}


@pytest.mark.parametrize(("code", "reason"), CODES.items())
def test_each_failure_code_says_why(code: int | str, reason: Reason) -> None:
    ((receipt, _),) = statuses(message(status="delivery_failed", failure={"code": code, "source": {"code": 11001}}))
    assert (receipt.status, receipt.reason) == (AttemptStatus.UNDELIVERED, reason)
    assert receipt.told == f"delivery_failed {code}"


def test_every_failure_code_and_class_has_a_row_here() -> None:
    codes = {int(code) for code in CODES}
    assert set(FAILURES) <= codes
    assert set(FAILURE_CLASSES) <= {code // 1_000 for code in codes - set(FAILURES)}


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ({"source": {"name": "accounting"}}, R.CREDIT_EXHAUSTED),
        ({"code": 14001, "source": {"name": "accounting"}}, R.CREDIT_EXHAUSTED),
        ({"code": 15005, "source": {"name": "accounting"}}, R.RECIPIENT_REJECTED),
        ({"source": {"name": "pre-processing"}}, R.UNDELIVERED),
        ({"source": {"name": "contact"}}, R.UNDELIVERED),
        ({"source": {"name": "touchpoint"}}, R.UNDELIVERED),
        ({"source": {"name": "sms-messagebird-v2"}}, R.UNDELIVERED),
        ({"source": {"name": ["accounting"]}}, R.UNDELIVERED),
        ({"source": "accounting"}, R.UNDELIVERED),
        ({"code": True}, R.UNDELIVERED),
        ({"code": 491711234567}, R.UNDELIVERED),
        ({"code": "9" * 5_000}, R.UNDELIVERED),
        ("x", R.UNDELIVERED),
        (None, R.UNDELIVERED),
    ],
)
def test_what_failed_says_why_where_the_code_does_not(failure: object, reason: Reason) -> None:
    ((receipt, _),) = statuses(message(status="sending_failed", failure=failure))
    assert (receipt.status, receipt.reason) == (AttemptStatus.FAILED, reason)
    assert "491711234567" not in receipt.told


@pytest.mark.parametrize("field", ["reason", "details"])
@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("DLR not received", (AttemptStatus.UNKNOWN, None)),
        (" Expired", (AttemptStatus.EXPIRED, R.UNDELIVERED)),
        ("something else", (AttemptStatus.UNDELIVERED, R.UNDELIVERED)),
    ],
)
def test_two_texts_of_sms_say_something_else_than_failure(
    field: str, text: str, row: tuple[AttemptStatus, Reason | None]
) -> None:
    ((receipt, _),) = statuses(message(status="delivery_failed", **{field: text}))
    assert (receipt.status, receipt.reason) == row
    ((delivered, _),) = statuses(message(**{field: text}))
    assert delivered.status is AttemptStatus.DELIVERED


@pytest.mark.parametrize(
    "receiver",
    [
        PHONE,
        PHONE[1:],
        {"identifierValue": PHONE},
        {"phonenumber": PHONE},
        {"contact": {"identifierValue": PHONE}},
        {"contacts": [{"identifierValue": PHONE}, {"identifierValue": PHONE[1:]}]},
        [{"contact": {"identifierValue": "+49 171 1234567"}}],
    ],
)
def test_the_receiver_is_found_in_every_shape_and_in_one_spelling(receiver: object) -> None:
    ((_, recipient),) = statuses(message(receiver=receiver))
    assert recipient == PHONE


def test_an_address_is_canonical_too() -> None:
    ((receipt, recipient),) = statuses(
        message(channelId=EMAIL, receiver={"contacts": [{"identifierValue": "Jo@Bücher.example"}]}), "email.outbound"
    )
    assert (receipt.channel, recipient) == (Channel.EMAIL, ADDRESS)


@pytest.mark.parametrize(
    ("differences", "event", "account", "channel"),
    [
        ({"channelId": WHATSAPP}, "whatsapp.outbound", {}, Channel.WHATSAPP),
        ({"channelId": WHATSAPP.upper()}, None, {}, Channel.WHATSAPP),
        ({"channelId": WHATSAPP}, "sms.outbound", {"navigator_id": NAVIGATOR}, Channel.WHATSAPP),
        ({"channelId": "chosen by the navigator"}, "sms.outbound", {"navigator_id": NAVIGATOR}, Channel.SMS),
        ({"channelId": None}, "sms.outbound", {"navigator_id": NAVIGATOR}, Channel.SMS),
    ],
)
def test_the_channel_is_the_one_of_its_id_else_what_the_navigator_chose(
    differences: dict[str, Any], event: str | None, account: dict[str, Any], channel: Channel
) -> None:
    ((receipt, _),) = statuses(message(**differences), event, **account)
    assert receipt.channel is channel


@pytest.mark.parametrize(
    ("differences", "event"),
    [
        ({}, "sms.inbound"),
        ({}, "sms.interaction"),
        ({}, "channel.created"),
        ({"direction": "incoming"}, "sms.outbound"),
        ({"channelId": "of a campaign"}, "sms.outbound"),
        ({"channelId": "of a campaign"}, "rcs.outbound"),
        ({"receiver": {"contacts": [{"identifierValue": PHONE}, {"identifierValue": ADDRESS}]}}, "sms.outbound"),
    ],
)
def test_other_traffic_of_the_workspace_is_left_alone(differences: dict[str, Any], event: str) -> None:
    assert statuses(message(**differences), event) == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"service":1}', b'{"service":"channels","event":"sms.outbound","payload":7}']
)
def test_what_is_no_event_is_malformed_or_not_ours(body: bytes) -> None:
    provider = bird(navigator_id=NAVIGATOR)
    with pytest.raises(BadWebhook):
        provider.statuses(Webhook(body=body, received_at=RECEIVED_AT))
    assert provider.statuses(Webhook(body=b'{"service":"numbers","payload":7}')) == []


@pytest.mark.parametrize("receiver", [None, {}, "nobody", 7, {"contacts": []}])
def test_a_message_to_nobody_is_malformed(receiver: object) -> None:
    with pytest.raises(BadWebhook):
        statuses(message(receiver=receiver))


@pytest.mark.parametrize(
    ("times", "occurred_at"),
    [
        ({"lastStatusAt": None}, AT + 1_000),
        ({"lastStatusAt": "2020-01-01T00:00:00Z"}, AT + 1_000),
        ({"lastStatusAt": "2025-01-02T05:00:00Z", "updatedAt": 7}, RECEIVED_AT),
    ],
)
def test_a_time_that_cannot_be_is_not_believed(times: dict[str, Any], occurred_at: int) -> None:
    ((receipt, _),) = statuses(message(**times))
    assert receipt.occurred_at == occurred_at


# Signature -----------------------------------------------------------------------------------------------------------

BODY = b'{"service":"channels","event":"sms.outbound","payload":{"id":"m-1","status":"delivered"}}'
URL = "https://example.test/hooks/bird"
SIGNATURE = "BAq66tW2q28MdSf9KRUaSJ4TVJLYI7r18/aTAAc+8Uo="


def signed(provider: Bird = PROVIDER, **differences: Any) -> bool:
    headers = {"MessageBird-Signature": SIGNATURE, "MessageBird-Request-Timestamp": "1735787045"}
    headers |= differences.pop("headers", {})
    fields: dict[str, Any] = {"body": BODY, "url": URL, "received_at": AT}
    return provider.verify_signature(Webhook(headers=headers, **(fields | differences)), max_age_s=300)


def test_the_published_vector_is_right_also_with_headers_in_lower_case() -> None:
    assert signed()
    headers = {"messagebird-signature": SIGNATURE, "messagebird-request-timestamp": "1735787045"}
    webhook = Webhook(body=BODY, url=URL, received_at=AT, headers=headers)
    assert PROVIDER.verify_signature(webhook, max_age_s=300)


@pytest.mark.parametrize(
    "differences",
    [
        {"body": BODY + b" "},
        {"url": URL + "/"},
        {"url": URL + "?a=1"},
        {"url": ""},
        {"headers": {"MessageBird-Signature": ""}},
        {"headers": {"MessageBird-Signature": "ünsigned"}},
        {"headers": {"MessageBird-Signature": SIGNATURE[:-4]}},
        {"headers": {"MessageBird-Signature": SIGNATURE + " "}},
        {"headers": {"MessageBird-Request-Timestamp": ""}},
        {"headers": {"MessageBird-Request-Timestamp": "1735787046"}},
        {"headers": {"MessageBird-Request-Timestamp": "1735787045 "}},
        {"headers": {"MessageBird-Request-Timestamp": "١٧٣٥٧٨٧٠٤٥"}},
        {"received_at": AT + 301_000},
        {"received_at": AT - 301_000},
    ],
)
def test_whatever_is_changed_makes_the_signature_wrong(differences: dict[str, Any]) -> None:
    assert not signed(**differences)


def test_a_signature_is_believed_for_as_long_as_asked() -> None:
    assert signed(received_at=AT + 300_000)
    assert signed(received_at=AT - 300_000)


def test_each_key_is_accepted_while_rotating_and_none_makes_nothing_right() -> None:
    assert signed(bird(signing_key=["newer", "local-signing-key"]))
    assert not signed(bird(signing_key="newer"))
    silent = bird(signing_key=[])
    assert not silent.webhooks_enabled
    by_nobody = hmac.digest(b"", f"1735787045\n{URL}\n".encode() + hashlib.sha256(BODY).digest(), "sha256")
    assert not signed(silent, headers={"MessageBird-Signature": base64.b64encode(by_nobody).decode()})
