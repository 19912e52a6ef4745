"""A stage on the whole runtime, on the in-memory log, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipeline.runtime.api import Deadline, Effects, Emit, Input, Lane, Measure, Record, Refusal, StateView
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import Faults, MemoryCluster, MemoryLog

PERSON = b"person"
WAIT_MS = 30_000


class WaitingStage:
    """`wait` sets a timer, `answer` takes it away; what happened is told in order."""

    name = "waiting"
    changelog = "waiting-state"
    inputs: Sequence[Input] = (Input("questions", Lane.INTERACTIVE), Input("answers", Lane.INTERACTIVE))

    def handle(self, record: Record, state: StateView[int], now_ms: int) -> Effects[int]:
        assert record.key is not None
        assert record.value is not None
        waits = record.value == b"wait"
        effects: Effects[int] = Effects(state={record.key: record.timestamp_ms + WAIT_MS if waits else None})
        effects.emits.append(Emit("told", record.key, record.value))
        return effects

    def fire(self, key: bytes, state: StateView[int], now_ms: int) -> Effects[int]:
        return Effects(state={key: None}, emits=[Emit("told", key, b"gave up")])

    def deadline(self, value: int) -> Deadline | None:
        return Deadline(value)

    def encode(self, value: int) -> bytes:
        return str(value).encode()

    def decode(self, data: bytes) -> int:
        return int(data)

    def quarantine(self, work: Record | bytes, state: StateView[int], now_ms: int) -> Effects[int]:
        return Effects()


class Ignored:
    """Takes measures, and dead letters that no test here has."""

    def apply(self, measures: Sequence[Measure]) -> None:
        return None

    def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
        raise AssertionError("there is no poison in this test")

    def for_timer(self, *_: object) -> Emit:
        raise AssertionError("no timer fails in this test")


class World:
    """A cluster, and the stage running on it for some time."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.clock = ManualClock()
        self.clock.bind(asyncio.get_running_loop().time)
        self.cluster = MemoryCluster(self.clock, partitions={"told": 1, "waiting-state": 1}, faults=faults)
        for topic in ("questions", "answers"):
            self.cluster.create_topic(topic, partitions=1, append_time=True)
        self.log = MemoryLog(self.cluster)

    async def run_for(self, seconds: float) -> None:
        runner = StageRunner(
            name=WaitingStage.name,
            inputs=WaitingStage.inputs,
            changelog=WaitingStage.changelog,
            make_stage=lambda partition, partitions: WaitingStage(),
            log=MemoryLog(self.cluster),
            clock=self.clock,
            settings=RuntimeSettings(),
            metrics=Ignored(),
            dead_letters=Ignored(),
        )
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(seconds)
        runner.stop()
        await running

    async def write(self, topic: str, value: bytes) -> None:
        await (await self.log.producer()).send(Emit(topic, PERSON, value))

    async def told(self) -> list[bytes | None]:
        reader = await self.log.reader({TopicPartition("told", 0): 0})
        return [record.value for record in await reader.fetch(timeout_ms=0, max_records=100)]
