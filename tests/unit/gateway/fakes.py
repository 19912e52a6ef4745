"""Doubles of what the gateway needs of others, each obeying the same port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import orjson

from pipeline.errors import LogUnavailable
from pipeline.records.internal import Receipt
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus, AvroRecord, Channel
from pipeline.runtime.api import Emit, Headers, Measure
from pipeline.senders.provider import BadWebhook, Report, Unplaced, Webhook


@dataclass
class FakeProducer:
    """Acknowledges, fails or stays silent, as told."""

    written: list[Emit] = field(default_factory=list)
    fail: int = 0
    """How many sends fail from now on."""
    silent: bool = False
    stopped: bool = False

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        if self.silent:
            await asyncio.Event().wait()
        if self.fail > 0:
            self.fail -= 1
            raise LogUnavailable("no broker")
        self.written.append(emit)
        return 0, len(self.written) - 1

    async def send_all(self, emits: Sequence[Emit]) -> None:
        for emit in emits:
            await self.send(emit)

    async def stop(self) -> None:
        self.stopped = True


@dataclass
class FakeLog:
    made: FakeProducer = field(default_factory=FakeProducer)

    async def producer(self) -> FakeProducer:
        return self.made


class FakeEncoder:
    def encode(self, record: AvroRecord) -> bytes:
        return msgspec.json.encode(record)

    def headers(self, record: AvroRecord) -> Headers:
        return (("schema", type(record).__name__.encode()),)


def decode(emit: Emit) -> DeliveryStatus:
    assert emit.value is not None
    return msgspec.json.decode(emit.value, type=DeliveryStatus)


def decode_receipt(emit: Emit) -> Receipt:
    assert emit.value is not None
    return msgspec.json.decode(emit.value, type=Receipt)


@dataclass
class FakeMeasures:
    """Sums counters; keeps the last value of anything else."""

    counters: dict[tuple[str, ...], float] = field(default_factory=dict)

    def apply(self, measures: Iterable[Measure]) -> None:
        for name, value, labels in measures:
            key = (name, *labels.values())
            if name.endswith("_total"):
                value += self.counters.get(key, 0.0)
            self.counters[key] = value


@dataclass
class FakeWebhooks:
    """A provider whose signature is the word itself, with its age beside it, and whose event is a list of statuses.

    A word before an id (``teleported:v1``) is a status in no table. An object in place of a text names no attempt of
    ours, but a ``message`` or ``recipient``.
    """

    webhooks_enabled: bool = True
    seen: list[Webhook] = field(default_factory=list)

    def handshake(self, webhook: Webhook) -> bytes | None:
        self.seen.append(webhook)
        return b'{"challenge":"x"}' if webhook.body == b"anybody?" else None

    def verify_signature(self, webhook: Webhook, *, max_age_s: float) -> bool:
        headers = webhook.headers
        return headers.get("signature") == "right" and float(headers.get("age", "0")) <= max_age_s

    def statuses(self, webhook: Webhook) -> list[Report | Unplaced]:
        body = webhook.body
        if not body.startswith(b"["):
            raise BadWebhook("body: no list")
        return [_placed(each) if isinstance(each, str) else _unplaced(**each) for each in orjson.loads(body)]


def _placed(told: str) -> Report:
    word, _, vid = told.rpartition(":")
    status = AttemptStatus.UNKNOWN if word else AttemptStatus.DELIVERED
    return Report(DeliveryStatus(verification_id=vid, attempt_id=f"{vid}.1", status=status), f"{vid}_1_abcdef")


def _unplaced(
    message: str | None = None, recipient: str | None = None, channel: str | None = None, status: str = "delivered"
) -> Unplaced:
    receipt = Receipt(
        provider="not the instance",
        provider_message_id=message,
        channel=None if channel is None else Channel(channel),
        status=AttemptStatus(status),
        told=status,
    )
    return Unplaced(receipt, recipient)
