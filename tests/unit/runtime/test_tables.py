"""Global tables are read to their ends before a task handles anything, whenever it is built."""

from __future__ import annotations

import asyncio

from pipeline.runtime.api import Effects, Record, StateView
from pipeline.runtime.global_table import GlobalTable
from pipeline.testing.memory_log import MemoryLog
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
