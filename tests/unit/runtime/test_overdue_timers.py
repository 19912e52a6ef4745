"""The whole runtime on the in-memory log: what a stage finds when it comes back after its deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipeline.runtime.api import Deadline, Effects, Emit, Input, Lane, Measure, Record, Refusal, StateView
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import MemoryCluster, MemoryLog

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

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.bind(asyncio.get_running_loop().time)
        self.cluster = MemoryCluster(self.clock, partitions={"told": 1, "waiting-state": 1})
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


def test_a_stage_back_after_its_deadlines_reads_what_came_in_time_before_it_gives_up() -> None:
    """The person answered in time while nobody read; a timer that fired at once would turn that into a failure."""

    async def story() -> list[bytes | None]:
        world = World()
        await world.write("questions", b"wait")
        await world.run_for(5)
        await world.write("answers", b"answer")
        await asyncio.sleep(60)
        await world.run_for(5)
        return await world.told()

    assert virtual_time.run(story()) == [b"wait", b"answer"]


def test_a_stage_back_after_its_deadlines_gives_up_once_where_nothing_came() -> None:
    async def story() -> list[bytes | None]:
        world = World()
        await world.write("questions", b"wait")
        await world.run_for(5)
        await asyncio.sleep(60)
        await world.run_for(5)
        await world.run_for(5)
        return await world.told()

    assert virtual_time.run(story()) == [b"wait", b"gave up"]


def test_an_answer_that_came_too_late_does_not_stop_the_timer_of_a_running_stage() -> None:
    async def story() -> list[bytes | None]:
        world = World()
        await world.write("questions", b"wait")
        running = asyncio.create_task(world.run_for(40))
        await asyncio.sleep(31)
        await world.write("answers", b"answer")
        await running
        return await world.told()

    assert virtual_time.run(story()) == [b"wait", b"gave up", b"answer"]
