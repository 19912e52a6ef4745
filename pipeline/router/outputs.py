"""Framing and addressing what the router writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from pipeline import topics
from pipeline.records.internal import Decision, RoutingEvent, SendCommand
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Emit, Headers

R = TypeVar("R", bound=AvroRecord)


class RecordCodec(Protocol):
    """What the router needs of :class:`pipeline.records.codec.Codec`."""

    def encode(self, record: AvroRecord, /) -> bytes:
        """The framed bytes."""

    def decode(self, record_type: type[R], data: bytes | None, /, *, public: bool) -> R:
        """Raises Poison on public topics, UnknownWriter for an unknown schema on internal ones."""

    def headers(self, record: AvroRecord, /) -> Headers:
        """The headers every record of ours carries."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Makes output records; ``trace`` is the trace context of the record at hand, handed on."""

    codec: RecordCodec

    def decision(self, decision: Decision, *, bulk: bool, trace: Headers) -> Emit:
        """To the tracker."""
        return self._emit(topics.lane(topics.DECISIONS, bulk), decision.verification_id, decision, trace)

    def command(self, command: SendCommand, *, trace: Headers) -> Emit:
        """To the senders of a channel; the header lets those of other providers skip it undecoded."""
        provider = ("provider", command.provider.encode())
        topic = topics.lane(topics.send(command.channel), command.bulk)
        return self._emit(topic, command.verification_id, command, (provider, *trace))

    def to_inbox(self, event: RoutingEvent, partition: int, *, trace: Headers) -> Emit:
        """To the router of another partition."""
        topic = topics.lane(topics.ROUTER_INBOX, event.bulk)
        return self._emit(topic, event.verification_id, event, trace, partition)

    def _emit(
        self, topic: str, verification_id: str, record: AvroRecord, more: Headers, partition: int | None = None
    ) -> Emit:
        headers = (*self.codec.headers(record), *more)
        return Emit(topic, verification_id.encode(), self.codec.encode(record), partition, headers)
