"""Telesign's callbacks: their signature, the token in their address, and what they report.

Nothing of ours is echoed in a callback, but each request may name an address of its own for it. So the attempt's
reference stands in that address, signed, as a callback's own signature covers only its body: without ours, whoever gets
hold of one callback could turn it into a report on anybody's message by changing the address.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.model.reference import parse_reference
from pipeline.model.told_time import plausible
from pipeline.records.internal import Receipt
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus
from pipeline.senders.provider import BadWebhook, Report, Unplaced, Webhook
from pipeline.senders.providers.telesign.answers import Told, reason_of, told
from pipeline.senders.providers.telesign.auth import signature
from pipeline.senders.providers.telesign.tables import CALLBACK_STATUSES
from pipeline.senders.told import header, rfc3339_ms

SIGNATURE_HEADERS: Final = ("Authorization", "X-TS-Authorization")
_PURPOSE: Final = b"verification pipeline: token of a Telesign callback\n"
"""Tells it from what Telesign signs with the same key: JSON, or the head of a request."""
_TOKEN_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Callbacks:
    """The callbacks of one account."""

    instance: str
    key: bytes
    """The API key, decoded."""

    def token(self, reference: str) -> str:
        """``<reference>.<signature>``: the last part of the address for the callbacks of one attempt."""
        digest = hmac.digest(self.key, _PURPOSE + reference.encode(), "sha256")
        return f"{reference}.{base64.urlsafe_b64encode(digest[:_TOKEN_BYTES]).decode().rstrip('=')}"

    def _reference(self, token: str) -> str | None:
        """The reference in a token of ours, None for a forged one."""
        reference = token.rpartition(".")[0]
        return reference if hmac.compare_digest(self.token(reference).encode(), token.encode()) else None

    def signed(self, webhook: Webhook) -> bool:
        """Whether one of the two headers holds the signature of the raw body; constant time.

        Nothing in it says when it was made: an old callback that is repeated tells what was told before.
        """
        right = signature(self.key, webhook.body).encode()
        given = [header(webhook.headers, name).rpartition(":")[2].strip().encode() for name in SIGNATURE_HEADERS]
        return any([hmac.compare_digest(right, each) for each in given])  # noqa: C419  both, whatever the first is

    def statuses(self, webhook: Webhook) -> Sequence[Report | Unplaced]:
        """The one report of a callback; none where it tells no news, or where the token is not ours.

        Raises BadWebhook when it has no status.
        """
        reply = told(webhook.body)
        if reply.status is None:
            raise BadWebhook("status.code: is missing or no number")
        row = CALLBACK_STATUSES.get(reply.status)
        status = AttemptStatus.UNKNOWN if row is None else row.status
        if status is AttemptStatus.NONE:
            return []
        reason = None if row is None else reason_of(reply, row)
        occurred_at = plausible(rfc3339_ms(reply.updated_on), received_at=webhook.received_at) or webhook.received_at
        if not webhook.token:
            return self._unplaced(reply, status, reason, occurred_at, webhook.received_at)
        reference = self._reference(webhook.token)
        parsed = None if reference is None else parse_reference(reference)
        if reference is None or parsed is None:
            return []
        report = DeliveryStatus(
            verification_id=parsed.verification_id,
            attempt_id=parsed.attempt_id,
            provider=self.instance,
            status=status,
            reason=reason,
            occurred_at=occurred_at,
            received_at=webhook.received_at,
            cost=reply.cost,
            currency=reply.currency,
        )
        return [Report(report, reference)]

    def _unplaced(
        self, reply: Told, status: AttemptStatus, reason: str | None, occurred_at: int, received_at: int
    ) -> Sequence[Unplaced]:
        if reply.reference_id is None:
            return []
        receipt = Receipt(
            provider=self.instance,
            provider_message_id=reply.reference_id,
            channel=reply.channel,
            status=status,
            told=str(reply.status),
            reason=reason,
            occurred_at=occurred_at,
            received_at=received_at,
            cost=reply.cost,
            currency=reply.currency,
        )
        return [Unplaced(receipt)]
