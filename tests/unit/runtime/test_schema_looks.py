"""When a record of an unknown schema is worth a look at the schema table, and when it is a dead letter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson

from pipeline.errors import UnknownSchema
from pipeline.runtime.api import Effects, Record, StateView
from pipeline.runtime.global_table import GlobalTable
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world


class SlowTable(GlobalTable):
    """Learns with each look what was published before that look began; something may happen while it looks."""

    def __init__(self) -> None:
        self.published: set[bytes] = set()
        self.known: set[bytes] = set()
        self.meanwhile: list[Awaitable[None]] = []
        self.looks = 0

    async def caught_up(self) -> None:
        self.looks += 1
        found = set(self.published)
        if self.meanwhile:
            await self.meanwhile.pop()
            await asyncio.sleep(1)
        self.known |= found


def of_schemas(table: SlowTable) -> Callable[[], CountingStage]:
    """A stage that needs the schema named like the record."""

    class Schemas(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if record.value not in table.known:
                raise UnknownSchema("unknown_schema", "not in the table")
            return super().handle(record, state, now_ms)

    return Schemas


@world
async def test_an_unknown_schema_that_came_after_the_last_look_is_looked_up_again(world: World) -> None:
    """Published, and its record read, while the table was read for an earlier record: that look cannot have met it."""
    table = SlowTable()

    async def published_meanwhile() -> None:
        table.published.add(b"late")
        await world.publish(b"late")

    async with world.running(of_schemas(table), tables=(table,)):
        await asyncio.sleep(1)  # past the looks of tasks that begin
        table.meanwhile.append(published_meanwhile())
        await world.publish(b"stranger")
        await asyncio.sleep(5)
    assert await world.seen() == [1]
    assert [orjson.loads(value) for value in await world.values("dead")] == [["unknown_schema", "in", 0]]


@world
async def test_each_later_unknown_schema_is_looked_up_and_a_flood_of_them_at_once_with_one_look(world: World) -> None:
    table = SlowTable()
    async with world.running(of_schemas(table), tables=(table,)):
        await asyncio.sleep(1)
        before = table.looks
        await world.publish(*[b"stranger"] * 50)
        await asyncio.sleep(1)
        assert table.looks == before + 1
        table.published.add(b"later")
        await world.publish(b"later")
        await asyncio.sleep(1)
        assert table.looks == before + 2
    assert await world.seen() == [1]
    assert len(await world.values("dead")) == 50
