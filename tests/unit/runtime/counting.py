"""The counting stage on the in-memory log: one cluster, one clock, and runners on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson

from pipeline.runtime.api import Emit
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import Faults, MemoryCluster, MemoryLog
from tests.integration.runtime.sample import Count, CountingStage, Measured, PlainDeadLetters


class World:
    """One cluster, one clock, and stages run on them."""

    def __init__(self, partitions: int = 2, faults: Faults | None = None) -> None:
        self.clock = ManualClock(now_ms=1_000_000)
        self.clock.bind(asyncio.get_running_loop().time)
        topics = dict.fromkeys(("in", "in.bulk", "out", "dead", "count-state"), partitions)
        self.cluster = MemoryCluster(self.clock, partitions=topics, faults=faults)
        self.log = MemoryLog(self.cluster)
        self.partitions = partitions
        self.dead_letters = PlainDeadLetters()

    @asynccontextmanager
    async def running(
        self,
        make: Callable[[], CountingStage] = CountingStage,
        *,
        make_for: Callable[[int], CountingStage] | None = None,
        instance: int = 0,
        settings: RuntimeSettings | None = None,
        tables: tuple[GlobalTable, ...] = (),
        log: MemoryLog | None = None,
    ) -> AsyncIterator[tuple[StageRunner[Count], Measured, asyncio.Task[None]]]:
        measured = Measured()
        runner: StageRunner[Count] = StageRunner(
            name="count",
            inputs=CountingStage.inputs,
            changelog=CountingStage.changelog,
            make_stage=lambda partition, partitions: make() if make_for is None else make_for(partition),
            log=log or MemoryLog(self.cluster),
            clock=self.clock,
            settings=settings or RuntimeSettings(),
            metrics=measured,
            dead_letters=self.dead_letters,
            instance=instance,
            tables=tables,
        )
        work = asyncio.create_task(runner.run())
        try:
            yield runner, measured, work
        finally:
            runner.stop()
            await asyncio.wait({work})

    async def publish(self, *values: bytes, key: bytes = b"k", topic: str = "in", partition: int = 0) -> None:
        producer = await self.log.producer()
        for value in values:
            await producer.send(Emit(topic, key, value, partition))

    async def leave_state(self, *partitions: int) -> None:
        """Run the stage for a moment with a record in each of ``partitions`` (of none given: the first)."""
        for partition in partitions or (0,):
            await self.publish(b"v", partition=partition)
        async with self.running():
            await asyncio.sleep(2)

    async def values(self, topic: str = "out") -> list[bytes]:
        starts = {TopicPartition(topic, number): 0 for number in range(self.partitions)}
        found = [record async for records in scan(self.log, starts) for record in records]
        return [record.value or b"" for record in found]

    async def seen(self) -> list[int]:
        return [orjson.loads(value)[2] for value in await self.values()]


world = virtual_time.scenario(World)
