"""Telesign's callbacks: signed, placed by the token in their address or by the message's id."""

from __future__ import annotations

import base64
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipeline.model.reasons import Reason
from pipeline.records.internal import Receipt
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus, Channel
from pipeline.senders.provider import BadWebhook, Opened, Report, Unplaced, Webhook
from pipeline.senders.providers.telesign.tables import CALLBACK_STATUSES
from tests.unit.senders.doubles import PHONE, command
from tests.unit.senders.providers.test_telesign import HOOK, ID, telesign

S = AttemptStatus
AT = 1_768_469_411_205
RECEIVED_AT = AT + 60_000
REFERENCE = "my_id-1_2_abcdef"
PROVIDER = telesign(webhook_url=HOOK)


def token(reference: str = REFERENCE) -> str:
    """As the provider told it to Telesign."""
    request = PROVIDER.build(command(reference=reference), Opened(recipient=PHONE, code="4829"), AT)
    return parse_qs(request.content.decode())["callback_url"][0].removeprefix(HOOK + "/")


def callback(code: Any = 200, **fields: Any) -> bytes:
    body = {
        "reference_id": ID,
        "sub_resource": "sms",
        "errors": [],
        "status": {"code": code, "description": "…", "updated_on": "2026-01-15T09:30:11.204518Z"},
        "submit_timestamp": "2026-01-15T09:30:10.000000Z",
        "verify": {"code_state": "UNKNOWN", "code_entered": None},
    }
    return json.dumps(body | fields).encode()


def reports(body: bytes, token: str | None = None) -> list[Any]:
    return list(PROVIDER.statuses(Webhook(body=body, token=token, received_at=RECEIVED_AT)))


# Signatures ----------------------------------------------------------------------------------------------------------

VECTOR = b"{'test': 123}"
SIGNED = "B97g3N9lPdVaptvifxRau7bzVAC5hhRBZ6HKXABN744="


@pytest.mark.parametrize(
    "headers",
    [
        {"X-TS-Authorization": SIGNED},
        {"Authorization": f"TSA FFFFFFFF-EEEE-DDDD-1234-AB1234567890:{SIGNED}"},
        {"authorization": f"TSA X:{SIGNED}", "x-ts-authorization": SIGNED},
        {"Authorization": "Bearer of-a-proxy", "X-TS-Authorization": SIGNED},
        {"Authorization": f"TSA X:{SIGNED}", "X-TS-Authorization": ""},
    ],
)
def test_the_published_vector_holds_in_either_header(headers: dict[str, str]) -> None:
    assert PROVIDER.verify_signature(Webhook(body=VECTOR, headers=headers), max_age_s=300)
    assert not PROVIDER.verify_signature(Webhook(body=VECTOR + b" ", headers=headers), max_age_s=300)
    other = telesign(api_key="b3RoZXI=")
    assert not other.verify_signature(Webhook(body=VECTOR, headers=headers), max_age_s=300)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-TS-Authorization": ""},
        {"X-TS-Authorization": SIGNED[:-1]},
        {"X-TS-Authorization": SIGNED + "="},
        {"X-TS-Authorization": SIGNED.lower()},
        {"X-TS-Authorization": SIGNED + ":"},
        {"Authorization": f"TSA {SIGNED}"},
        {"Authorization": "ünsigned"},
        {"X-Signature": SIGNED},
    ],
)
def test_anything_else_is_a_forgery(headers: dict[str, str]) -> None:
    assert not PROVIDER.verify_signature(Webhook(body=VECTOR, headers=headers), max_age_s=300)


def test_without_a_key_nothing_is_believed() -> None:
    provider = telesign(api_key="")
    signed = base64.b64encode(hmac.digest(b"", VECTOR, "sha256")).decode()
    assert not provider.webhooks_enabled
    assert not provider.verify_signature(Webhook(body=VECTOR, headers={"X-TS-Authorization": signed}), max_age_s=300)
    assert PROVIDER.webhooks_enabled


# Tokens --------------------------------------------------------------------------------------------------------------


def test_a_token_is_fit_for_an_address_and_short() -> None:
    longest = token(f"{'v' * 48}_999999_abcdef")
    assert len(longest) <= 120
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", longest)
    assert token() == token()


def test_a_callback_with_our_token_is_placed_by_it() -> None:
    (report,) = reports(callback(additional_info={"price": "0.0085", "currency": "USD"}), token())
    assert report == Report(
        DeliveryStatus(
            verification_id="my_id-1",
            attempt_id="my_id-1.2",
            provider="telesign",
            status=S.DELIVERED,
            occurred_at=AT,
            received_at=RECEIVED_AT,
            cost="0.0085",
            currency="USD",
        ),
        REFERENCE,
    )


@pytest.mark.parametrize(
    "forged",
    [
        token().replace("my_id-1", "my_id-2"),
        token()[:-1] + ("a" if token()[-1] != "a" else "b"),
        token() + "a",
        token().upper(),
        REFERENCE,
        "." + token().rpartition(".")[2],
        "x",
        "ü.ü",
    ],
)
def test_a_token_that_is_not_ours_moves_no_message(forged: str) -> None:
    assert reports(callback(), forged) == []


def test_a_token_of_another_account_is_not_ours() -> None:
    other = telesign(api_key="b3RoZXI=")
    assert other.statuses(Webhook(body=callback(), token=token(), received_at=RECEIVED_AT)) == []


@pytest.mark.parametrize("none", [None, ""])
def test_a_callback_to_the_accounts_own_address_is_placed_by_the_messages_id(none: str | None) -> None:
    (unplaced,) = reports(callback(107, sub_resource="call"), none)
    assert unplaced == Unplaced(
        Receipt(
            provider="telesign",
            provider_message_id=ID,
            channel=Channel.VOICE,
            status=S.UNDELIVERED,
            told="107",
            reason=Reason.UNDELIVERED,
            occurred_at=AT,
            received_at=RECEIVED_AT,
        )
    )
    assert reports(callback(reference_id=None), none) == []


# Statuses ------------------------------------------------------------------------------------------------------------

U, B, N = Reason.UNDELIVERED, Reason.RECIPIENT_BLOCKED, Reason.ROUTE_UNAVAILABLE
GONE, CONTENT, ACCOUNT = Reason.RECIPIENT_REJECTED, Reason.CONTENT_REJECTED, Reason.ACCOUNT_REJECTED
PUBLISHED: dict[int, tuple[AttemptStatus, Reason | None] | None] = {
    **dict.fromkeys((290, 291, 2000, 105), (S.QUEUED, None)),
    **dict.fromkeys((203, 292, 103, 201, 250, 251), (S.SENT, None)),
    **dict.fromkeys((200, 100), (S.DELIVERED, None)),
    **dict.fromkeys((207, 210, 502, 504, 505, 506, 511, 512, 514, 101, 106, 107, 108), (S.UNDELIVERED, U)),
    **dict.fromkeys((211, 222, 507, 510), (S.UNDELIVERED, GONE)),
    **dict.fromkeys((229, 230, 232, 233, 286, 518, 129, 130, 2028), (S.UNDELIVERED, B)),
    **dict.fromkeys((220, 237, 238, 513, 519), (S.UNDELIVERED, N)),
    **dict.fromkeys((231, 508, 509, 515, 517, 520, 521), (S.UNDELIVERED, CONTENT)),
    221: (S.EXPIRED, U),
    500: (S.FAILED, N),
    501: (S.FAILED, ACCOUNT),
    503: (S.FAILED, Reason.PROVIDER_ERROR),
    # No news.
    295: None,
    599: None,
}


@pytest.mark.parametrize(("code", "row"), PUBLISHED.items())
def test_each_published_status_of_a_callback_means_this(
    code: int, row: tuple[AttemptStatus, Reason | None] | None
) -> None:
    told = reports(callback(code), token())
    assert [(each.status.status, each.status.reason) for each in told] == ([] if row is None else [row])
    assert [each.receipt.status for each in reports(callback(code))] == ([] if row is None else [row[0]])


def test_no_published_status_is_missing_from_the_table() -> None:
    assert set(CALLBACK_STATUSES) == set(PUBLISHED)


def test_an_error_in_a_callback_says_why() -> None:
    (report,) = reports(callback(500, errors=[{"code": -10030, "description": "Insufficient funds"}]), token())
    assert (report.status.status, report.status.reason) == (S.FAILED, Reason.CREDIT_EXHAUSTED)
    (report,) = reports(callback(200, errors=[{"code": -10030}]), token())
    assert (report.status.status, report.status.reason) == (S.DELIVERED, None)


def test_a_status_in_no_table_is_unknown_and_counted() -> None:
    (report,) = reports(callback(987), token())
    assert report.status.status is S.UNKNOWN


@pytest.mark.parametrize("told", ["0001-01-01T00:00:00Z", "2026-01-15T09:50:00Z", "soon", None, 7])
def test_a_time_that_cannot_be_is_not_believed(told: Any) -> None:
    (report,) = reports(callback(status={"code": 200, "updated_on": told}), token())
    assert report.status.occurred_at == RECEIVED_AT


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"status":200}', b'{"status":{"code":"x"}}', b"\xff"])
def test_a_signed_body_that_is_no_callback_is_told_apart(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        reports(body, token())
