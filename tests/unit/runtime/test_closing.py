"""A task that is to end lets nobody wait longer than it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from pipeline.errors import TaskLost, UnknownWriter
from pipeline.runtime.api import Effects, Record, StateView
from pipeline.runtime.log import TopicPartition
from pipeline.settings import RuntimeSettings
from pipeline.testing.memory_log import Faults, MemoryLog
from pipeline.testing.memory_log.log import MemoryReader
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world
from tests.unit.runtime.test_quarantine import Caller


class SlowReader(MemoryReader):
    """Hands out a record a second."""

    async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
        await asyncio.sleep(1)
        return await super().fetch(timeout_ms=timeout_ms, max_records=1)


class SlowLog(MemoryLog):
    """Keeps the readers it made."""

    def __init__(self, world: World) -> None:
        super().__init__(world.cluster)
        self.readers: list[MemoryReader] = []

    async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
        self.readers.append(SlowReader(self._process, starts))
        return self.readers[-1]


def now_s() -> float:
    return asyncio.get_running_loop().time()


@world
async def test_a_restore_ends_at_once_on_a_stop_and_lets_its_reader_go(world: World) -> None:
    await world.leave_state()
    log = SlowLog(world)
    async with world.running(log=log) as (runner, measured, work):
        await asyncio.sleep(0.5)
        assert runner.missing() == ["count/0: restoring"]
        begun_s = now_s()
        runner.stop()
        await asyncio.wait({work})
        assert now_s() - begun_s < 1
        assert measured.total("task_rebuilds_total") == 0
    assert [reader._stopped for reader in log.readers] == [True]


@world
async def test_a_rebalance_does_not_wait_for_a_restore(world: World) -> None:
    class Noting(Faults):
        async def before_join(self, group: str, instance: str) -> None:
            joined_s.append(now_s())

    joined_s: list[float] = []
    await world.leave_state()
    await world.publish(b"v")
    world.cluster.faults = Noting()
    async with world.running(log=SlowLog(world)) as (runner, _, _):
        await asyncio.sleep(0.5)
        begun_s = now_s()
        runner.reader.rejoin()
        await asyncio.sleep(10)
        assert runner.missing() == []
    assert len(joined_s) == 2
    assert joined_s[1] - begun_s < 0.5
    assert await world.seen() == [1, 2]


@pytest.mark.parametrize("point", ["before_start", "before_fetch"])
def test_a_restore_that_hangs_does_not_hold_up_a_stop(point: str) -> None:
    class Hanging(Faults):
        async def hang(self, who: str) -> None:
            # The member of the group has a name with its instance, a reader without a group has none.
            if "/" not in who:
                await asyncio.Event().wait()

    @world
    async def story(world: World) -> None:
        await world.leave_state()
        world.cluster.faults = Hanging()
        setattr(world.cluster.faults, point, world.cluster.faults.hang)
        async with world.running() as (runner, _, work):
            await asyncio.sleep(5)
            begun_s = now_s()
            runner.stop()
            await asyncio.wait({work})
            assert now_s() - begun_s < 2

    story()


@world
async def test_a_task_that_is_about_to_be_rebuilt_does_not_hold_up_a_stop(world: World) -> None:
    class Away(Faults):
        async def before_start(self, writer: str) -> None:
            raise TaskLost("no coordinator")

    world.cluster.faults = Away()
    async with world.running() as (runner, _, work):
        # By now it pauses for five seconds after each try, and has just begun to.
        await asyncio.sleep(62)
        begun_s = now_s()
        runner.stop()
        await asyncio.wait({work})
        assert now_s() - begun_s < 2


@world
async def test_what_a_crash_left_open_is_committed_although_the_stop_comes_meanwhile(world: World) -> None:
    class Slow(Faults):
        async def before_commit(self, writer: str) -> None:
            await asyncio.sleep(3)

    class Settling(Caller):
        def restored(self, state: StateView[Count], now_ms: int) -> Effects[Count]:
            return Effects(state={b"settled": Count(1)})

    world.cluster.faults = Slow()
    async with world.running(Settling) as (runner, _, _):
        await asyncio.sleep(1)
        runner.stop()
    states = await world.values("count-state")
    assert states.count(CountingStage().encode(Count(1))) == world.partitions


@world
async def test_an_event_that_has_to_wait_lets_others_run_while_the_stage_stops(world: World) -> None:
    """Tried again without a pause it would block the loop, and no deadline of any stage could fire."""
    asked_s: list[float] = []

    class Waiting(Caller):
        def on_event(self, event: int, state: StateView[Count], now_ms: int) -> Effects[Count]:
            asked_s.append(now_s())
            if len(asked_s) > 500:
                raise SystemExit("nobody else had a turn")
            raise UnknownWriter("a key not here yet")

    await world.publish(b"v")
    settings = RuntimeSettings(shutdown_s=25)
    async with world.running(Waiting, settings=settings) as (runner, _, work):
        await asyncio.sleep(5)
        begun_s = now_s()
        runner.stop()
        await asyncio.wait({work})
        assert now_s() - begun_s <= settings.shutdown_s
    assert max(asked_s) > begun_s + 10


@world
async def test_too_much_poison_ends_the_stage_in_time_although_an_event_waits(world: World) -> None:
    class Waiting(Caller):
        def on_event(self, event: int, state: StateView[Count], now_ms: int) -> Effects[Count]:
            raise UnknownWriter("a key not here yet")

    await world.publish(b"v", *[b"poison"] * 5)
    settings = RuntimeSettings(max_poison_run=5, shutdown_s=25)
    async with world.running(Waiting, settings=settings) as (_, _, work):
        await asyncio.sleep(settings.shutdown_s + 1)
        assert work.done()
    assert "5 records in a row" in str(work.exception())
