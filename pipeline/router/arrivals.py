"""How a request reaches the router: by its own record, or passed on by a router whose partition is not its own."""

from __future__ import annotations

import msgspec

from pipeline import topics
from pipeline.model.keys import KeyRing
from pipeline.model.trace import carried
from pipeline.records.internal import Decision, RoutingEvent
from pipeline.records.public import VerificationRequest
from pipeline.records.types import RoutingKind
from pipeline.router import messages
from pipeline.router.outputs import RecordCodec
from pipeline.runtime.api import Headers, Record


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A request and where its record stood, whether it came directly or was passed on."""

    request: VerificationRequest
    verification_id: str
    """The one it is decided under."""
    bulk: bool
    topic: str
    partition: int
    offset: int
    recorded_at: int
    ack_by_at: int | None
    here: int
    """The partition of the task that handles it."""
    trace: Headers

    def decision_id(self, recipient_hash: str) -> str:
        """The id of what is decided for it."""
        return messages.decision_id(self.verification_id, recipient_hash, self.topic, self.partition, self.offset)

    def named_in(self, decision: Decision) -> Decision:
        """What was decided for it with the place of its record, which a conflict found later has to name."""
        return msgspec.structs.replace(
            decision,
            source_topic=self.topic,
            source_partition=self.partition,
            source_offset=self.offset,
            recorded_at=self.recorded_at,
        )


class Arrivals:
    """Reads requests in both forms and writes the second one."""

    def __init__(self, *, codec: RecordCodec, key_ring: KeyRing) -> None:
        self._codec = codec
        self._key_ring = key_ring

    def direct(self, record: Record) -> Arrival:
        """From a request topic. Raises Poison."""
        request = self._codec.decode(VerificationRequest, record.value, public=True)
        return Arrival(
            request=request,
            verification_id=messages.published_id(self._key_ring, request.verification_id),
            bulk=record.topic != topics.REQUESTS,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            recorded_at=record.timestamp_ms,
            ack_by_at=_ack_by(record),
            here=record.partition,
            trace=carried(record.headers),
        )

    def passed_on(self, event: RoutingEvent, record: Record) -> Arrival:
        """From a ``misplaced`` routing event in ``record``. Raises UnknownWriter and Poison."""
        data = self._key_ring.open(
            event.request_sealed or b"", verification_id=event.verification_id, field="request", record="RoutingEvent"
        )
        return Arrival(
            request=self._codec.decode(VerificationRequest, data, public=False),
            verification_id=event.verification_id,
            bulk=event.bulk,
            topic=event.source_topic,
            partition=event.source_partition,
            offset=event.source_offset,
            recorded_at=event.recorded_at,
            ack_by_at=event.ack_by_at,
            here=record.partition,
            trace=carried(record.headers),
        )

    def to_pass_on(self, arrival: Arrival, now_ms: int) -> RoutingEvent:
        """The event that carries it to its partition, sealed, with its original time and position."""
        sealed = self._key_ring.seal(
            self._codec.encode(arrival.request),
            verification_id=arrival.verification_id,
            field="request",
            record="RoutingEvent",
        )
        return RoutingEvent(
            verification_id=arrival.verification_id,
            kind=RoutingKind.MISPLACED,
            bulk=arrival.bulk,
            request_sealed=sealed,
            source_topic=arrival.topic,
            source_partition=arrival.partition,
            source_offset=arrival.offset,
            recorded_at=arrival.recorded_at,
            ack_by_at=arrival.ack_by_at,
            occurred_at=now_ms,
        )


def _ack_by(record: Record) -> int | None:
    """The gateway's ``ack_by`` header: decimal epoch milliseconds. Anything else is not the gateway's, and ignored."""
    value = record.header("ack_by")
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else None
