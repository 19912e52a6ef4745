"""One prefix on the session's broker, with the sample stage run against it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pipeline.clock import SystemClock
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.runner import StageRunner
from pipeline.settings import KafkaSettings, RuntimeSettings

from .sample import CountingStage, Measured, PlainDeadLetters

PARTITIONS = 4


class Cluster:
    """One prefix on the session's broker, with helpers to run the sample stage against it."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.settings = KafkaSettings(
            bootstrap_servers=bootstrap, topic_prefix=prefix, session_timeout_ms=6_000, rebalance_timeout_ms=15_000
        )
        self.log = KafkaLog(self.settings, client_id="test")

    @asynccontextmanager
    async def running(
        self, instance: int = 0, stage: Callable[[], CountingStage] = CountingStage
    ) -> AsyncIterator[tuple[StageRunner[object], Measured]]:
        measured = Measured()
        log = KafkaLog(self.settings, client_id=f"member-{instance}")
        await log.start()
        runner: StageRunner[object] = StageRunner(
            name="count",
            inputs=CountingStage.inputs,
            changelog=CountingStage.changelog,
            make_stage=lambda partition, partitions: stage(),  # type: ignore[arg-type,return-value]
            log=log,
            clock=SystemClock(),
            settings=RuntimeSettings(),
            metrics=measured,
            dead_letters=PlainDeadLetters(),
            instance=instance,
        )
        work = asyncio.create_task(runner.run())
        try:
            yield runner, measured
        finally:
            runner.stop()
            await work
            await log.stop()

    async def member(self, *args: str, stderr: int | None = None) -> asyncio.subprocess.Process:
        """A process of the sample stage; ``args`` as member.py takes them after the prefix."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.runtime.member",
            self.settings.bootstrap_servers,
            self.settings.topic_prefix,
            *args,
            stderr=stderr,
        )

    async def publish(self, values: list[tuple[bytes, bytes]], topic: str = "in") -> None:
        producer = await self.log.producer()
        try:
            await asyncio.gather(*(producer.send(Emit(topic, key, value)) for key, value in values))
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Record]:
        starts = {TopicPartition(topic, number): 0 for number in range(PARTITIONS)}
        return [record async for records in scan(self.log, starts) for record in records]

    async def outputs(self, count: int, topic: str = "out", within_s: float = 20) -> list[Record]:
        found: list[Record] = []

        async def enough() -> bool:
            found[:] = await self.read(topic)
            return len(found) >= count

        await eventually(enough, within_s)
        return found


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.05)
