"""A router with its state, fed record by record; the codec is msgpack, as framing is tested elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from prometheus_client import CollectorRegistry

from pipeline import topics
from pipeline.errors import Poison
from pipeline.metrics import Metrics
from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.keys import KeyRing
from pipeline.records.internal import Decision, RoutingEvent, SendCommand
from pipeline.records.public import VerificationRequest
from pipeline.records.router_state import RouterState
from pipeline.records.types import AvroRecord, Channel
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Effects, Emit, Headers, Record
from pipeline.runtime.partition import partition_for
from pipeline.settings import Settings

R = TypeVar("R", bound=AvroRecord)

NOW = 1_800_000_000_000
PARTITIONS = 8
RING = KeyRing.for_tests()
PHONE, OTHER, MAIL = "+4915123456789", "+4915123456780", "jane@example.org"


class MsgpackCodec:
    def encode(self, record: AvroRecord, /) -> bytes:
        return type(record).__name__.encode() + b"|" + msgspec.msgpack.encode(record)

    def decode(self, record_type: type[R], data: bytes | None, /, *, public: bool) -> R:
        name, _, body = (data or b"").partition(b"|")
        if name != record_type.__name__.encode():
            raise Poison("unknown_schema", "not this record")
        return msgspec.msgpack.decode(body, type=record_type)

    def headers(self, record: AvroRecord, /) -> Headers:
        return (("schema", type(record).__name__.encode()),)


CODEC = MsgpackCodec()
METRICS = Metrics(CollectorRegistry())
"""Shared, as making one takes longer than most tests: read differences."""

FULL = ChannelCapabilities(
    own_code=True, code_digits_only=False, code_leading_zero=True, sender=True, text=True, ttl=(30, 86_400), brand=True
)
PLAIN = ChannelCapabilities(own_code=True, code_min=4, code_max=9, receipts=False)
PROVIDERS = {
    "ycloud": ProviderCapabilities(
        kind="ycloud", channels=dict.fromkeys((Channel.SMS, Channel.VOICE, Channel.EMAIL), FULL)
    ),
    "neutrino": ProviderCapabilities(kind="neutrino", channels=dict.fromkeys((Channel.SMS, Channel.VOICE), PLAIN)),
}


def place(canonical: str) -> int:
    return partition_for(canonical.encode(), PARTITIONS)


def request(**fields: Any) -> VerificationRequest:
    return VerificationRequest(**({"verification_id": "v1", "recipient": PHONE} | fields))


@dataclass
class Router:
    """One task: applies what the stage wants, and remembers it."""

    settings: Settings = field(default_factory=Settings)
    providers: Mapping[str, ProviderCapabilities] = field(default_factory=lambda: PROVIDERS)
    state: dict[bytes, RouterState] = field(default_factory=dict)
    now: int = NOW
    offset: int = 0

    def __post_init__(self) -> None:
        self.stage = RouterStage(
            codec=CODEC, key_ring=RING, settings=self.settings, providers=self.providers, partitions=PARTITIONS
        )
        self.metrics = METRICS

    def publish(
        self,
        request: VerificationRequest,
        *,
        partition: int | None = None,
        bulk: bool = False,
        recorded_at: int | None = None,
        headers: Headers = (),
        recipient: str = PHONE,
    ) -> Effects[RouterState]:
        """Hand a request to the task of ``partition`` (default: the proper one of ``recipient``)."""
        return self.feed(
            self.record(
                topics.lane(topics.REQUESTS, bulk),
                CODEC.encode(request),
                partition=place(recipient) if partition is None else partition,
                recorded_at=recorded_at,
                headers=headers,
            )
        )

    def record(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int,
        recorded_at: int | None = None,
        headers: Headers = (),
    ) -> Record:
        self.offset += 1
        return Record(
            topic=topic,
            partition=partition,
            offset=self.offset,
            timestamp_ms=self.now if recorded_at is None else recorded_at,
            key=None,
            value=value,
            headers=headers,
        )

    def feed(self, record: Record) -> Effects[RouterState]:
        return self.apply(self.stage.handle(record, self.state, self.now))

    def event(self, event: RoutingEvent, partition: int = 0) -> Effects[RouterState]:
        return self.feed(self.record(topics.ROUTER_INBOX, CODEC.encode(event), partition=partition))

    def deliver(self, emit: Emit) -> Effects[RouterState]:
        """Hand an output for the inbox back in."""
        assert emit.partition is not None
        return self.feed(self.record(emit.topic, emit.value, partition=emit.partition, headers=emit.headers))

    def apply(self, effects: Effects[RouterState]) -> Effects[RouterState]:
        for key, entry in effects.state.items():
            if entry is None:
                self.state.pop(key, None)
            else:
                self.state[key] = self.stage.decode(self.stage.encode(entry))
        self.metrics.apply(effects.counts)
        return effects


def decisions(effects: Effects[RouterState]) -> list[Decision]:
    return [
        CODEC.decode(Decision, emit.value, public=False) for emit in effects.emits if topics.DECISIONS in emit.topic
    ]


def commands(effects: Effects[RouterState]) -> list[SendCommand]:
    return [CODEC.decode(SendCommand, emit.value, public=False) for emit in effects.emits if "send." in emit.topic]


def events(effects: Effects[RouterState]) -> list[RoutingEvent]:
    return [
        CODEC.decode(RoutingEvent, emit.value, public=False)
        for emit in effects.emits
        if topics.ROUTER_INBOX in emit.topic
    ]


def decision(effects: Effects[RouterState]) -> Decision:
    (only,) = decisions(effects)
    return only


def command(effects: Effects[RouterState]) -> SendCommand:
    (only,) = commands(effects)
    return only


def event(effects: Effects[RouterState]) -> RoutingEvent:
    (only,) = events(effects)
    return only


def counted(effects: Effects[RouterState], metric: str = "requests_total") -> list[dict[str, str]]:
    return [dict(labels) for name, _, labels in effects.counts if name == metric]
