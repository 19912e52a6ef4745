"""A correlator task under our hands, with senders and a gateway that write as the real ones do."""

from __future__ import annotations

from typing import Any

from pipeline import topics
from pipeline.correlator.stage import CorrelatorStage
from pipeline.model.receipt_key import by_message_id, by_recipient
from pipeline.model.reference import reference
from pipeline.records.codec import Codec
from pipeline.records.correlator_state import CorrelatorState
from pipeline.records.internal import MessageRef, Receipt
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus, Channel
from pipeline.testing.drive import Drive

T0 = 1_764_000_000_000
SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
CODEC = Codec()
PERSON = "k" * 32
DECISION = "aa" * 16


class World(Drive[CorrelatorState]):
    """Provider ``bird``, which names nothing of ours."""

    def ref(self, n: int = 1, vid: str = "v1", *, message_id: str | None = None, **changes: Any) -> MessageRef:
        """As a sender writes it: with a message id after the answer, without one before the call."""
        decision = changes.get("decision_id", DECISION)
        fields: dict[str, Any] = {
            "attempt_id": f"{vid}.{n}",
            "decision_id": decision,
            "provider": "bird",
            "channel": Channel.SMS,
            "provider_message_id": message_id,
            "reference": reference(vid, n, decision),
            "recipient_key": PERSON if message_id is None else "",
            "written_at": self.now_ms,
        }
        return MessageRef(verification_id=vid, **{**fields, **changes})

    def receipt(
        self, status: AttemptStatus = AttemptStatus.DELIVERED, *, message_id: str | None = None, **changes: Any
    ) -> Receipt:
        """As the gateway writes it."""
        fields: dict[str, Any] = {
            "provider": "bird",
            "provider_message_id": message_id,
            "recipient_key": PERSON if message_id is None else "",
            "channel": Channel.SMS,
            "status": status,
            "told": status.value,
            "occurred_at": self.now_ms - 1_500,
            "received_at": self.now_ms,
        }
        return Receipt(**{**fields, **changes})

    def send(self, *args: Any, at_ms: int | None = None, **changes: Any) -> None:
        """A sender writes a ref."""
        ref = self.ref(*args, **changes)
        self.give(topics.MESSAGE_REFS, ref, key=key_of(ref), at_ms=at_ms)

    def report(self, *args: Any, at_ms: int | None = None, **changes: Any) -> None:
        """The gateway writes a receipt."""
        receipt = self.receipt(*args, **changes)
        self.give(topics.RECEIPTS, receipt, key=key_of(receipt), at_ms=at_ms)

    @property
    def placed(self) -> list[tuple[str, AttemptStatus]]:
        """Attempt and status of everything written since the last look, whatever its lane."""
        kinds = (topics.STATUSES, topics.bulk(topics.STATUSES))
        return [(told.attempt_id, told.status) for kind in kinds for told in self.take(kind, DeliveryStatus)]

    @property
    def unmatched(self) -> float:
        return self.counted("receipts_unmatched_total", provider="bird")


def key_of(record: MessageRef | Receipt) -> bytes:
    """The key that its writer gives it."""
    if record.provider_message_id is not None:
        return by_message_id(record.provider, record.provider_message_id).encode()
    return by_recipient(record.provider, record.recipient_key, record.channel or Channel.UNKNOWN).encode()


def new_world() -> World:
    """Nothing known yet."""
    return World(stage=CorrelatorStage(codec=CODEC), codec=CODEC, now_ms=T0)
