"""Global tables are read to their ends before a task handles anything, whenever it is built."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest

from pipeline.errors import DeadlinePassed, LogUnavailable, TaskLost
from pipeline.runtime.api import Effects, Record, StateView
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log import Faults, MemoryLog
from pipeline.testing.memory_log.log import MemoryReader
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world


@world
async def test_tables_are_read_to_their_ends_between_restore_and_the_first_record(world: World) -> None:
    """What was written to a table before a task is rebuilt is there when its state is read and its records come."""
    world.cluster.create_topic("table", partitions=1)
    known: set[bytes] = set()
    seen: list[int] = []

    class Lagging(MemoryLog):
        """Follows tables with a delay; only who asks for their ends waits it out."""

        async def reader(self, starts):  # type: ignore[no-untyped-def]
            reader = await super().reader(starts)
            fetch = reader.fetch

            async def later(*, timeout_ms: int, max_records: int) -> list[Record]:
                await asyncio.sleep(3)
                return await fetch(timeout_ms=timeout_ms, max_records=max_records)

            reader.fetch = later  # type: ignore[method-assign]
            return reader

    table = GlobalTable(log=Lagging(world.cluster), topic="table", apply=lambda record: known.add(record.value or b""))

    class Knowing(CountingStage):
        def decode(self, data: bytes) -> Count:
            seen.append(len(known))
            return super().decode(data)

        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value == b"crash" and len(known) < 3:
                known.add(b"crashed")
                raise RuntimeError("a bug")
            seen.append(len(known))
            return super().handle(record, state, now_ms)

    async with world.running(Knowing, tables=(table,)):
        await asyncio.sleep(20)
        await world.publish(b"v")
        await asyncio.sleep(1)
        await world.publish(b"first", b"second", topic="table")
        await world.publish(b"crash")
        await asyncio.sleep(20)
    await table.stop()
    assert seen == [0, 3, 3]
    assert await world.seen() == [1, 2]


class Lame(MemoryLog):
    """Its first ``hang`` readers hang: ``how`` says in which way."""

    hang = 0
    how = "fetch"
    away = False

    def __init__(self, world: World) -> None:
        super().__init__(world.cluster)
        self.readers = 0
        self.applied: list[bytes] = []
        self.table = GlobalTable(log=self, topic="table", apply=lambda record: self.applied.append(record.value or b""))

    async def partitions(self, topic: str) -> int:
        await asyncio.sleep(0.01)
        return await super().partitions(topic)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        if self.away:
            raise LogUnavailable("no broker answers")
        return await super().end_offsets(partitions)

    async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
        self.readers += 1
        reader, number = await super().reader(starts), self.readers
        fetch = reader.fetch

        async def hanging(*, timeout_ms: int, max_records: int) -> list[Record]:
            while self.away or number <= self.hang:
                if self.how == "answers nothing" or self.away:
                    await asyncio.sleep(timeout_ms / 1_000)
                    return []
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    if self.how != "cannot be canceled":
                        raise
            return await fetch(timeout_ms=timeout_ms, max_records=max_records)

        async def never_stops() -> None:
            await asyncio.sleep(1e9)

        reader.fetch = hanging  # type: ignore[method-assign]
        if self.how == "does not stop":
            reader.stop = never_stops  # type: ignore[method-assign]
        return reader


@pytest.mark.parametrize("how", ["fetch", "answers nothing", "does not stop", "cannot be canceled"])
def test_a_table_whose_reader_hangs_is_read_to_its_end_within_one_wait(how: str) -> None:
    @world
    async def story(world: World) -> None:
        world.cluster.create_topic("table", partitions=2)
        log = Lame(world)
        log.how = how
        await world.publish(b"1", topic="table")
        await log.table.caught_up()
        await asyncio.sleep(3)
        log.hang = 1
        await asyncio.sleep(1)
        await world.publish(b"2", b"3", topic="table")
        await log.table.caught_up()
        log.hang = 0
        await asyncio.sleep(3)
        # Each record once: a reader that was let go applies nothing any more, whatever it is still handed.
        assert (log.applied, log.readers) == ([b"1", b"2", b"3"], 2)
        stopping_s = asyncio.get_running_loop().time()
        await log.table.stop()
        assert asyncio.get_running_loop().time() - stopping_s < 10

    story()


@world
async def test_a_task_is_built_anew_after_its_tables_reader_hung(world: World) -> None:
    world.cluster.create_topic("table", partitions=1)
    log = Lame(world)

    class Losing(Faults):
        left = 0

        async def before_commit(self, writer: str) -> None:
            if self.left:
                self.left -= 1
                raise TaskLost("a broker restarts")

    faults = world.cluster.faults = Losing()
    async with world.running(tables=(log.table,)):
        await asyncio.sleep(5)
        log.hang = faults.left = 1
        await asyncio.sleep(1)
        await world.publish(b"1", topic="table")
        await world.publish(b"v")
        await asyncio.sleep(60)
        assert await world.seen() == [1]
    await log.table.stop()
    assert log.readers == 2


@world
async def test_while_brokers_are_away_no_reader_is_made_and_the_one_there_goes_on_after(world: World) -> None:
    world.cluster.create_topic("table", partitions=1)
    log = Lame(world)
    await log.table.caught_up()
    log.hang, log.how = 1, "answers nothing"
    await world.publish(b"1", topic="table")
    waiting = asyncio.create_task(log.table.caught_up())
    await asyncio.sleep(1)
    log.away = True
    with pytest.raises(DeadlinePassed):
        await waiting
    for _ in range(100):
        with pytest.raises(LogUnavailable):
            await log.table.caught_up()
        await asyncio.sleep(36)
    log.away, log.hang = False, 0
    await log.table.caught_up()
    await log.table.stop()
    assert (log.applied, log.readers) == ([b"1"], 1)


@world
async def test_readers_that_all_hang_are_replaced_at_a_measured_pace(world: World) -> None:
    world.cluster.create_topic("table", partitions=1)
    log = Lame(world)
    log.hang = 1_000
    await world.publish(b"1", topic="table")
    for _ in range(120):
        with pytest.raises(DeadlinePassed):
            await log.table.caught_up()
    assert log.readers <= 3_600 / 160 + 5
    log.hang = 0
    await log.table.caught_up()
    await log.table.stop()
    assert log.applied == [b"1"]


@world
async def test_a_table_each_fetch_of_which_takes_long_is_read_all_the_same(world: World) -> None:
    class Slow(MemoryReader):
        async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
            await asyncio.sleep(11)
            return await super().fetch(timeout_ms=timeout_ms, max_records=1)

    class SlowLog(MemoryLog):
        async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
            return Slow(self._process, starts)

    world.cluster.create_topic("table", partitions=1)
    applied: list[bytes | None] = []
    await world.publish(b"1", b"2", b"3", topic="table")
    table = GlobalTable(log=SlowLog(world.cluster), topic="table", apply=lambda record: applied.append(record.value))
    with pytest.raises(DeadlinePassed):
        await table.caught_up()
    await table.caught_up()
    assert applied == [b"1", b"2", b"3"]
    await table.stop()


@world
async def test_callers_who_come_at_once_share_one_reader(world: World) -> None:
    world.cluster.create_topic("table", partitions=1)
    log = Lame(world)
    await world.publish(b"1", b"2", topic="table")
    await asyncio.gather(*(log.table.caught_up() for _ in range(16)))
    await log.table.stop()
    assert (log.applied, log.readers) == ([b"1", b"2"], 1)
