"""A small stage that knows nothing of verifications, to prove the runtime with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.errors import Poison
from pipeline.runtime.api import Deadline, Effects, Emit, Input, Lane, Measure, Record, Refusal, StateView
from pipeline.runtime.context import FailedTimer


@dataclass(frozen=True, slots=True)
class Count:
    """How often a key was seen, and when it wants to be told so."""

    seen: int
    wake_at_ms: int = 0


class CountingStage:
    """Counts per key; every input gives one output with the count so far; a key may ask for a timer."""

    name = "count"
    inputs: Sequence[Input] = (Input("in", Lane.INTERACTIVE), Input("in.bulk", Lane.BULK))
    changelog = "count-state"

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        assert record.key is not None
        if record.value == b"poison":
            raise Poison("undecodable", "not for us")
        if record.value == b"bug":
            raise RuntimeError("a bug")
        effects: Effects[Count] = Effects()
        before = state.get(record.key)
        seen = 1 if before is None else before.seen + 1
        if record.value == b"huge":
            effects.emits.append(Emit("out", record.key, b"x" * 2_000_000))
            return effects
        if record.value and record.value.startswith(b"big:"):
            # Not to be compressed, so that it is as large for the broker, and the same each time it is handled.
            size = int(record.value[4:])
            effects.emits.append(Emit("out", record.key, random.Random(size).randbytes(size)))
            return effects
        wake_at_ms = int(record.value[5:]) if record.value and record.value.startswith(b"wake:") else 0
        effects.state[record.key] = Count(seen, wake_at_ms)
        effects.emits.append(Emit("out", record.key, orjson.dumps([record.topic, record.offset, seen])))
        return effects

    def fire(self, key: bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
        entry = state[key]
        effects: Effects[Count] = Effects()
        effects.state[key] = Count(entry.seen)
        effects.emits.append(Emit("out", key, orjson.dumps(["timer", entry.wake_at_ms, entry.seen])))
        return effects

    def deadline(self, value: Count) -> Deadline | None:
        return Deadline(value.wake_at_ms) if value.wake_at_ms else None

    def encode(self, value: Count) -> bytes:
        return orjson.dumps([value.seen, value.wake_at_ms])

    def decode(self, data: bytes) -> Count:
        return Count(*orjson.loads(data))

    def quarantine(self, work: Record | bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects()


class PlainDeadLetters:
    """Dead letters as JSON."""

    def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
        return Emit("dead", record.key, orjson.dumps([refusal.reason, record.topic, record.offset]))

    def for_timer(self, stage: str, timer: FailedTimer, refusal: Refusal, now_ms: int) -> Emit:
        return Emit("dead", timer.key, orjson.dumps([refusal.reason, timer.changelog]))


class Measured:
    """Keeps measurements."""

    def __init__(self) -> None:
        self.seen: list[Measure] = []

    def apply(self, measures: Sequence[Measure]) -> None:
        self.seen.extend(measures)

    def total(self, metric: str) -> float:
        return sum(value for name, value, _ in self.seen if name == metric)

    def last(self, metric: str, **labels: str) -> float:
        """What a gauge shows."""
        return [value for name, value, of in self.seen if name == metric and labels.items() <= of.items()][-1]


async def create_topics(
    bootstrap: str, prefix: str, partitions: int = 4, configs: Mapping[str, Mapping[str, str]] | None = None
) -> None:
    """The sample's topics; ``configs`` by topic name."""
    configs = {"count-state": {}} | dict(configs or {})
    configs["count-state"] = {"cleanup.policy": "compact"} | dict(configs["count-state"])
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(prefix + name, partitions, 1, topic_configs=dict(configs.get(name, {})))
                for name in ("in", "in.bulk", "out", "dead", "count-state")
            ]
        )
    finally:
        await admin.close()
