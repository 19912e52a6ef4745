"""Where a task begins: what it finds in the log, and what it makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from pipeline.errors import DeadlinePassed, Misconfigured
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.restore import POSITION_KEY, encode_position
from pipeline.settings import RuntimeSettings
from pipeline.testing import virtual_time
from pipeline.testing.memory_log import MemoryLog
from pipeline.testing.memory_log.log import MemoryReader
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world

IN = TopicPartition("in", 0)
HOUR_S = 3_600


@world
async def test_a_position_that_retention_has_overrun_goes_to_the_first_record_kept_and_is_counted(world: World) -> None:
    await world.publish(b"v")
    async with world.running():
        await asyncio.sleep(2)
    await world.publish(*[b"v"] * 5)
    world.cluster.delete_before(IN, 4)
    async with world.running() as (_, measured, _):
        await asyncio.sleep(10)
        gaps = [(value, dict(of)) for name, value, of in measured.seen if name == "offset_gaps_total"]
    assert gaps == [(1, {"stage": "count", "topic": "in"})]
    assert await world.seen() == [1, 2, 3]


def forget_positions(world: World) -> None:
    """Let the group's positions expire, and the changelog hold none."""
    world.cluster.group("count").offsets.clear()
    [partition] = [world.cluster.partition(TopicPartition("count-state", 0))]
    partition.delete_before(partition.end)


@world
async def test_a_stage_that_ran_and_lost_its_positions_starts_an_hour_back(world: World) -> None:
    """Reading everything kept again would send codes again."""
    await world.publish(b"old")
    async with world.running():
        await asyncio.sleep(2)
    forget_positions(world)
    await asyncio.sleep(2 * HOUR_S)
    await world.publish(b"recent")
    await asyncio.sleep(HOUR_S / 2)
    await world.publish(b"new")
    async with world.running():
        await asyncio.sleep(5)
    # Its state is lost as well, so it counts anew: two records, and not three.
    assert await world.seen() == [1, 1, 2]


@world
async def test_a_stage_that_never_ran_starts_with_the_first_record_kept(world: World) -> None:
    await world.publish(b"old")
    await asyncio.sleep(2 * HOUR_S)
    await world.publish(b"new")
    async with world.running():
        await asyncio.sleep(5)
    assert await world.seen() == [1, 2]


@world
async def test_state_written_under_another_partition_count_is_refused(world: World) -> None:
    writer = MemoryLog(world.cluster).writer("count.0")
    await writer.start()
    await writer.commit([Emit("count-state", POSITION_KEY, encode_position({"in": 0}, 3), 0)], {}, "count")
    await world.publish(b"v")
    async with world.running() as (_, _, work):
        await asyncio.wait({work}, timeout=10)
        assert work.done()
    with pytest.raises(Misconfigured, match="written with 3 partitions, the topics now have 2"):
        work.result()
    assert await world.values() == []


@world
async def test_state_that_takes_long_to_decode_is_no_restore_that_hangs(world: World) -> None:
    """As that of earlier releases does, which wrote no deadlines beside it."""
    writer = MemoryLog(world.cluster).writer("count.0")
    await writer.start()
    value = CountingStage().encode(Count(1))
    await writer.commit([Emit("count-state", b"%d" % number, value, 0) for number in range(10_000)], {}, "count")

    class Slow(CountingStage):
        def decode(self, data: bytes) -> Count:
            virtual_time.stand_still(0.008)
            return super().decode(data)

    async with world.running(Slow, settings=RuntimeSettings(stuck_after_s=30)) as (runner, _, work):
        await asyncio.sleep(120)
        assert not work.done()
        assert runner.missing() == []


@world
async def test_a_process_that_stood_still_in_a_fetch_blames_no_broker_and_reads_on(world: World) -> None:
    class Frozen(MemoryReader):
        fetches = 0

        async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
            self.fetches += 1
            if self.fetches == 1:
                return await super().fetch(timeout_ms=timeout_ms, max_records=1)
            if self.fetches == 2:
                virtual_time.stand_still(60)
                return []
            return await super().fetch(timeout_ms=timeout_ms, max_records=max_records)

    class FrozenLog(MemoryLog):
        async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
            return Frozen(self._process, starts)

    await world.publish(*[b"v"] * 20)
    found = [record async for records in scan(FrozenLog(world.cluster), {IN: 0}) for record in records]
    assert len(found) == 20


@world
async def test_what_an_open_transaction_hides_is_waited_for_so_long_and_no_longer(world: World) -> None:
    await world.publish(b"v")
    world.cluster._transaction_timeout_s = 900
    writer = MemoryLog(world.cluster).writer("stranger")
    await writer.start()
    await writer.append([Emit("in", b"k", b"hidden", 0)])
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(DeadlinePassed, match="in/0 gets no further than 1 of 2 for 30 s"):
        async for _ in scan(world.log, {IN: 0}):
            pass
    assert 30 <= asyncio.get_running_loop().time() - began_s < 32
