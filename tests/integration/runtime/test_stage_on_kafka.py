"""The runtime on a real broker: what a stage may rely on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from pipeline.clock import SystemClock
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.runner import StageRunner
from pipeline.settings import KafkaSettings, RuntimeSettings

from .sample import CountingStage, Measured, PlainDeadLetters, create_topics

pytestmark = pytest.mark.kafka
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


@pytest.fixture
async def cluster(kafka: str, topic_prefix: str) -> AsyncIterator[Cluster]:
    await create_topics(kafka, topic_prefix, PARTITIONS)
    cluster = Cluster(kafka, topic_prefix)
    await cluster.log.start()
    yield cluster
    await cluster.log.stop()


async def test_every_input_published_before_the_first_start_gives_one_output(cluster: Cluster) -> None:
    await cluster.publish([(b"k%d" % (i % 7), b"v") for i in range(300)])
    async with cluster.running() as (runner, _):
        found = await cluster.outputs(300)
        await asyncio.sleep(0.3)
        assert runner.missing() == []
    counts = Counter((record.key, orjson.loads(record.value or b"")[2]) for record in found)
    assert len(counts) == 300
    assert set(counts.values()) == {1}


async def test_state_is_there_again_after_a_restart(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.publish([(b"k", b"v")] * 3)
        await cluster.outputs(3)
    async with cluster.running():
        await cluster.publish([(b"k", b"v")])
        found = await cluster.outputs(4)
    assert [orjson.loads(record.value or b"")[2] for record in found if record.key == b"k"] == [1, 2, 3, 4]


async def test_poison_a_bug_and_an_output_too_large_do_not_stop_their_partition(cluster: Cluster) -> None:
    async with cluster.running() as (_, measured):
        await cluster.publish([(b"k", b"v"), (b"k", b"poison"), (b"k", b"huge"), (b"k", b"bug"), (b"k", b"v")])
        found = await cluster.outputs(2)
        dead = await cluster.outputs(3, topic="dead")
    assert [orjson.loads(record.value or b"")[2] for record in found] == [1, 2]
    assert [orjson.loads(record.value or b"")[0] for record in dead] == ["undecodable", "too_large", "handler_refused"]
    assert measured.total("task_rebuilds_total") == 3


async def test_a_timer_fires_once_at_its_time_and_overdue_ones_fire_after_a_restart(cluster: Cluster) -> None:
    now_ms = SystemClock().now_ms()
    async with cluster.running():
        await cluster.publish([(b"soon", b"wake:%d" % (now_ms + 1_500)), (b"later", b"wake:%d" % (now_ms + 4_000))])
        found = await cluster.outputs(3)
        assert SystemClock().now_ms() >= now_ms + 1_500
    assert orjson.loads(found[-1].value or b"")[0] == "timer" or any(b"timer" in (r.value or b"") for r in found)
    await asyncio.sleep(max(0, (now_ms + 4_200 - SystemClock().now_ms()) / 1000))
    async with cluster.running():
        found = await cluster.outputs(4)
        await asyncio.sleep(0.5)
        found = await cluster.read("out")
    fired = [record.key for record in found if orjson.loads(record.value or b"")[0] == "timer"]
    assert sorted(key or b"" for key in fired) == [b"later", b"soon"]


async def test_members_that_join_and_leave_under_load_leave_one_output_per_input(cluster: Cluster) -> None:
    total = 3_000

    async def load() -> None:
        for start in range(0, total, 100):
            await cluster.publish([(b"k%d" % i, b"v") for i in range(start, start + 100)])
            await asyncio.sleep(0.2)

    async with cluster.running(0):
        loading = asyncio.create_task(load())
        for _ in range(2):
            async with cluster.running(1):
                await asyncio.sleep(3)
            await asyncio.sleep(1)
        await loading
        found = await cluster.outputs(total, within_s=60)
    assert Counter(record.key for record in found) == Counter({b"k%d" % i: 1 for i in range(total)})


async def test_a_second_owner_makes_the_first_owners_output_invisible(cluster: Cluster) -> None:
    from pipeline.errors import Fenced

    first = cluster.log.writer("count.0")
    await first.start()
    await first.commit([Emit("out", b"a", b"1", 0)], {}, "count")
    second = cluster.log.writer("count.0")
    await second.start()
    with pytest.raises(Fenced):
        await first.commit([Emit("out", b"b", b"2", 0)], {TopicPartition("in", 0): 7}, "count")
    await second.commit([Emit("out", b"c", b"3", 0)], {}, "count")
    assert [record.key for record in await cluster.read("out")] == [b"a", b"c"]
    await first.stop()
    await second.stop()
