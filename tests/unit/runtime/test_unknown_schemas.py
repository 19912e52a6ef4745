"""`schema_unknown_total`: each record refused or held because nobody published its writer schema, once."""

from __future__ import annotations

import asyncio

from pipeline.errors import TaskLost, UnknownSchema, UnknownWriter, UnpublishedSchema
from pipeline.runtime.api import Effects, Record, StateView
from tests.integration.runtime.sample import Count, CountingStage, Measured
from tests.unit.runtime.counting import World, world


class Reading(CountingStage):
    """Reads what it is told to; `stranger` is of a public topic, `internal` of one of ours."""

    known: frozenset[bytes] = frozenset()

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        if record.value == b"stranger":
            raise UnknownSchema("unknown_schema", "never published")
        if record.value == b"internal" and b"schema" not in self.known:
            raise UnpublishedSchema("a schema of the next release")
        if record.value == b"sealed" and b"key" not in self.known:
            raise UnknownWriter("a key id not here yet")
        return super().handle(record, state, now_ms)


async def broken() -> None:
    raise TaskLost("the broker went away")


def counted(measured: Measured) -> list[tuple[float, str]]:
    return [(value, of["topic"]) for name, value, of in measured.seen if name == "schema_unknown_total"]


@world
async def test_each_record_of_a_stranger_is_counted_once_when_it_is_refused(world: World) -> None:
    await world.publish(b"stranger", b"v", b"stranger")
    await world.publish(b"stranger", topic="in.bulk")
    async with world.running(Reading) as (_, measured, _):
        await asyncio.sleep(10)
    assert sorted(counted(measured)) == [(1, "in"), (1, "in"), (1, "in.bulk")]
    assert len(await world.values("dead")) == 3


@world
async def test_a_record_held_is_counted_once_under_its_topic_however_long_it_is_held(world: World) -> None:
    """Also when the task is rebuilt meanwhile, and when interactive records overtake a held bulk one."""
    stage = type("Later", (Reading,), {})
    await world.publish(b"internal", topic="in.bulk")
    async with world.running(stage) as (runner, measured, _):
        await asyncio.sleep(30)
        assert counted(measured) == [(1, "in.bulk")]
        await world.publish(b"internal", b"internal")
        await asyncio.sleep(30)
        assert counted(measured) == [(1, "in.bulk"), (1, "in")]
        next(iter(runner._running()))._turn = broken  # type: ignore[method-assign]
        await asyncio.sleep(30)
        assert measured.total("task_rebuilds_total") == 1
        assert counted(measured) == [(1, "in.bulk"), (1, "in")]
        stage.known = frozenset({b"schema"})
        await asyncio.sleep(10)
    assert counted(measured) == [(1, "in.bulk"), (1, "in")]
    assert len(await world.seen()) == 3


@world
async def test_a_key_that_is_not_here_yet_is_no_unknown_schema(world: World) -> None:
    stage = type("Later", (Reading,), {})
    await world.publish(b"sealed")
    async with world.running(stage) as (_, measured, _):
        await asyncio.sleep(30)
        stage.known = frozenset({b"key"})
        await asyncio.sleep(5)
    assert counted(measured) == []
    assert await world.seen() == [1]


@world
async def test_state_of_a_schema_nobody_published_is_counted_once_however_often_it_is_read(world: World) -> None:
    class Newer(CountingStage):
        def decode(self, data: bytes) -> Count:
            raise UnpublishedSchema("a schema of the next release")

    await world.publish(b"v")
    async with world.running():
        await asyncio.sleep(2)
    async with world.running(Newer) as (_, measured, _):
        await asyncio.sleep(60)
        assert measured.total("task_rebuilds_total") > 5
    assert counted(measured) == [(1, "count-state")]
