"""One prefix on the session's broker, with the sample stage run against it."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from pipeline.clock import SystemClock
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.partition import partition_for
from pipeline.runtime.runner import StageRunner
from pipeline.settings import KafkaSettings, RuntimeSettings

from .sample import CountingStage, Measured, PlainDeadLetters, create_topics

PARTITIONS = 4


class Cluster:
    """One prefix on the session's broker, with helpers to run the sample stage against it."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.settings = KafkaSettings(
            bootstrap_servers=bootstrap, topic_prefix=prefix, session_timeout_ms=6_000, rebalance_timeout_ms=15_000
        )
        self.log = KafkaLog(self.settings, client_id="test")
        self._processes: list[asyncio.subprocess.Process] = []

    @classmethod
    @asynccontextmanager
    async def of(
        cls, bootstrap: str, prefix: str, configs: Mapping[str, Mapping[str, str]] | None = None
    ) -> AsyncIterator[Cluster]:
        """With the sample's topics, made anew; ``configs`` by topic name."""
        await create_topics(bootstrap, prefix, PARTITIONS, configs)
        cluster = cls(bootstrap, prefix)
        await cluster.log.start()
        try:
            yield cluster
        finally:
            # Those of a test that failed; a stopped one takes no other signal.
            for process in cluster._processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            await cluster.log.stop()

    def runner(
        self,
        log: KafkaLog,
        measured: Measured,
        *,
        instance: int = 0,
        stage: Callable[[], CountingStage] = CountingStage,
        group: str = "count",
    ) -> StageRunner[object]:
        """One process of the stage, not running yet."""
        return StageRunner(
            name=group,
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

    @asynccontextmanager
    async def running(
        self, instance: int = 0, stage: Callable[[], CountingStage] = CountingStage
    ) -> AsyncIterator[tuple[StageRunner[object], Measured]]:
        measured = Measured()
        log = KafkaLog(self.settings, client_id=f"member-{instance}")
        await log.start()
        runner = self.runner(log, measured, instance=instance, stage=stage)
        work = asyncio.create_task(runner.run())
        try:
            yield runner, measured
        finally:
            runner.stop()
            await work
            await log.stop()

    async def member(self, *args: str, stderr: int | None = None) -> asyncio.subprocess.Process:
        """A process of the sample stage; ``args`` as member.py takes them after the prefix."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.runtime.member",
            self.settings.bootstrap_servers,
            self.settings.topic_prefix,
            *args,
            stderr=stderr,
        )
        self._processes.append(process)
        return process

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

    async def epoch(self, task: int) -> int:
        """How often the task's transactional id was taken, this time included; it fences whoever has it."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.bootstrap_servers,
            transactional_id=f"{self.settings.topic_prefix}count.{task}",
        )
        await producer.start()
        await producer.stop()
        return int(producer._txn_manager.producer_epoch)

    async def hidden(self, topic: str) -> int:
        """How many records of this topic stand behind the beginning of an open transaction, their own included."""
        places = [KafkaPartition(self.settings.topic_prefix + topic, number) for number in range(PARTITIONS)]
        stable = AIOKafkaConsumer(bootstrap_servers=self.settings.bootstrap_servers, isolation_level="read_committed")
        await stable.start()
        try:
            shown = await stable.end_offsets(places)
        finally:
            await stable.stop()
        ends = await self.log.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        return sum(ends.values()) - sum(shown.values())


class Load:
    """Publishes a value of each of its keys, again and again, until it is told to stop."""

    KEYS = tuple(b"k%d" % number for number in range(40))

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stopping = False
        self.published: Counter[bytes] = Counter()
        self._work = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while not self._stopping:
            await self.once()
            await asyncio.sleep(0.1)

    async def once(self) -> None:
        await self._cluster.publish([(key, b"v") for key in self.KEYS])
        self.published.update(self.KEYS)

    async def stop(self) -> None:
        self._stopping = True
        await self._work


def keys_of(partition: int, count: int) -> list[bytes]:
    """So many keys that belong to this partition number."""
    keys = (b"k%d" % number for number in itertools.count())
    return list(itertools.islice((key for key in keys if partition_for(key, PARTITIONS) == partition), count))


def assert_agree(found: Sequence[Record], published: Mapping[bytes, int]) -> None:
    """Input, state and output moved together: per key the outputs count 1, 2, 3 ... as far as was published.

    And each input has exactly one output. Timers' outputs are left out.
    """
    told = [(record, orjson.loads(record.value or b"")) for record in found]
    told = [(record, value) for record, value in told if value[0] != "timer"]
    inputs = Counter((topic, record.partition, offset) for record, (topic, offset, _) in told)
    assert {place: times for place, times in inputs.items() if times > 1} == {}
    counts: dict[bytes, list[int]] = {}
    for record, (_, _, seen) in told:
        counts.setdefault(record.key or b"", []).append(seen)
    assert counts == {key: list(range(1, times + 1)) for key, times in published.items()}


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.05)
