"""The correlator stage: receipts and message refs in, statuses of known attempts out."""

from __future__ import annotations

from pipeline import topics
from pipeline.correlator import join
from pipeline.errors import DeadLetterReason, Poison
from pipeline.model.reference import REFERENCE_HEADER, parse_reference
from pipeline.model.trace import carried
from pipeline.records.codec import Codec
from pipeline.records.correlator_state import CorrelatorState
from pipeline.records.internal import MessageRef, Receipt
from pipeline.records.public import DeliveryStatus
from pipeline.runtime.api import Deadline, Effects, Emit, Headers, Input, Record, StateView


class CorrelatorStage:
    """Joins receipts and refs in whichever order they are read; state per record key."""

    name = "correlator"
    changelog = topics.CORRELATOR_STATE
    inputs = (Input(topics.RECEIPTS), Input(topics.MESSAGE_REFS))

    def __init__(self, *, codec: Codec) -> None:
        self._codec = codec

    def handle(self, record: Record, state: StateView[CorrelatorState], now_ms: int) -> Effects[CorrelatorState]:
        """Join one record; see :class:`pipeline.runtime.api.Stage` for what it may raise."""
        key = _expect_key(record)
        before = state.get(record.key or b"", CorrelatorState(key=key))
        if record.topic == topics.RECEIPTS:
            receipt = self._codec.decode(Receipt, record.value, public=False)
            after = join.with_receipt(before, _expect_named(receipt), record.timestamp_ms)
        elif record.topic == topics.MESSAGE_REFS:
            ref = self._codec.decode(MessageRef, record.value, public=False)
            after = join.with_ref(before, _expect_attempt(ref), record.timestamp_ms)
        else:
            raise ValueError(f"topic {record.topic} is no input of the correlator")
        return self._effects(before, join.settle(after), carried(record.headers))

    def fire(self, key: bytes, state: StateView[CorrelatorState], now_ms: int) -> Effects[CorrelatorState]:
        """Settle what is due first; the topics may be read no further than that."""
        before = state.get(key)
        due_at = None if before is None else join.due_at(before)
        if before is None or due_at is None:
            return Effects()
        return self._effects(before, join.settle(before, due_at))

    def deadline(self, value: CorrelatorState) -> Deadline | None:
        """When something can be decided or forgotten."""
        due_at = join.due_at(value)
        return None if due_at is None else Deadline(due_at, None)

    def encode(self, value: CorrelatorState) -> bytes:
        """The state as Avro."""
        return self._codec.encode(value)

    def decode(self, data: bytes) -> CorrelatorState:
        """The inverse; raises UnknownWriter for a state written by a later release."""
        return self._codec.decode(CorrelatorState, data, public=False)

    def quarantine(
        self, work: Record | bytes, state: StateView[CorrelatorState], now_ms: int
    ) -> Effects[CorrelatorState]:
        """Leave a record out, or forget the entry whose timer failed: an attempt without its receipt ends as one whose
        provider never told."""
        if isinstance(work, Record):
            return Effects()
        effects: Effects[CorrelatorState] = Effects(state={work: None})
        for waiting in state[work].receipts if work in state else ():
            _count_unmatched(effects, waiting.receipt)
        return effects

    def _effects(self, before: CorrelatorState, settled: join.Settled, trace: Headers = ()) -> Effects[CorrelatorState]:
        effects: Effects[CorrelatorState] = Effects()
        for ref, receipt in settled.placed:
            effects.emits.append(self._status(ref, receipt, trace))
        for receipt in settled.unmatched:
            _count_unmatched(effects, receipt)
        if settled.state != before:
            effects.state[before.key.encode()] = None if join.is_empty(settled.state) else settled.state
        return effects

    def _status(self, ref: MessageRef, receipt: Receipt, trace: Headers) -> Emit:
        """In the verification's own lane: unlike a webhook, the ref tells it."""
        status = DeliveryStatus(
            verification_id=ref.verification_id,
            attempt_id=ref.attempt_id,
            provider=receipt.provider,
            status=receipt.status,
            reason=receipt.reason,
            occurred_at=receipt.occurred_at,
            received_at=receipt.received_at,
            cost=receipt.cost,
            currency=receipt.currency,
        )
        return Emit(
            topics.lane(topics.STATUSES, ref.bulk),
            status.verification_id.encode(),
            self._codec.encode(status),
            headers=(*self._codec.headers(status), (REFERENCE_HEADER, ref.reference.encode()), *trace),
        )


def _count_unmatched(effects: Effects[CorrelatorState], receipt: Receipt) -> None:
    effects.count("receipts_unmatched_total", provider=receipt.provider)


def _expect_key(record: Record) -> str:
    """Raises Poison for a record that has no place in the state."""
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    if not key:
        raise Poison(DeadLetterReason.UNDECODABLE, "the key is missing or no text")
    return key


def _expect_named(receipt: Receipt) -> Receipt:
    """Raises Poison for a receipt that says nothing of which message it is about."""
    if receipt.provider and (receipt.recipient_key or receipt.provider_message_id):
        return receipt
    raise Poison(DeadLetterReason.UNDECODABLE, "a receipt without provider, or without message and recipient")


def _expect_attempt(ref: MessageRef) -> MessageRef:
    """Raises Poison where the reference is not the attempt's: the tracker would believe neither."""
    parsed = parse_reference(ref.reference)
    if parsed is not None and (parsed.verification_id, parsed.attempt_id) == (ref.verification_id, ref.attempt_id):
        return ref
    raise Poison(DeadLetterReason.UNDECODABLE, "reference: is not of the attempt it stands with", ref.verification_id)
