"""Who may own a task, what it does without being asked to, and what it leaves alone."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping

import orjson
import pytest
from structlog.testing import capture_logs

from pipeline.errors import Misconfigured, UnknownWriter
from pipeline.runtime.api import Effects, Queue, Record, StateView
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.task import Task
from pipeline.settings import RuntimeSettings
from pipeline.testing.memory_log import Faults, MemoryLog
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world


@world
async def test_a_task_of_which_only_some_inputs_are_assigned_is_neither_owned_nor_fenced(world: World) -> None:
    """During a rolling change of the inputs a member may hold a part, and another one the rest."""
    fenced: list[str] = []

    class Noting(Faults):
        async def before_start(self, writer: str) -> None:
            fenced.append(writer)

    async def ignore(_: frozenset[TopicPartition]) -> None:
        return None

    other = MemoryLog(world.cluster).group_reader("count", ["in"], "count-1")
    await other.start(ignore, ignore)
    await asyncio.sleep(1)
    world.cluster.faults = Noting()
    await world.publish(b"v", topic="in.bulk", partition=1)
    async with world.running() as (runner, _, _):
        await asyncio.sleep(5)
        assert runner.missing() == ["count/1: unequal inputs assigned"]
        assert fenced == ["count.0"]
    await other.stop()
    assert await world.seen() == []


@world
async def test_a_stage_that_cannot_be_built_ends_the_process_and_says_why(world: World) -> None:
    def refuse() -> CountingStage:
        raise Misconfigured("test_numbers: each must be a number")

    async with world.running(refuse) as (_, _, work):
        await asyncio.sleep(5)
        assert work.done()
    with pytest.raises(Misconfigured, match="test_numbers"):
        work.result()


class Skipping(CountingStage):
    """Leaves alone what is not for it."""

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects() if record.value == b"foreign" else super().handle(record, state, now_ms)


@world
async def test_records_that_change_nothing_open_no_transaction_and_their_position_follows_later(world: World) -> None:
    settings = RuntimeSettings(skipped_commit_s=5)
    async with world.running(Skipping, settings=settings) as (_, measured, _):
        for _ in range(40):
            await world.publish(b"foreign")
            await asyncio.sleep(0.1)
        assert measured.total("transactions_total") == 0
        await asyncio.sleep(10)
        assert measured.total("records_total") == 40
        assert measured.total("transactions_total") == 1
        assert world.cluster.group("count").offsets[TopicPartition("in", 0)] == 40


@world
async def test_a_queue_grows_to_its_high_mark_and_no_further_and_goes_on_below_the_low_one(world: World) -> None:
    known = False

    class Waiting(CountingStage):
        def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
            if not known:
                raise UnknownWriter("not here yet")
            return super().handle(record, state, now_ms)

    await world.publish(*[b"v"] * 500)
    async with world.running(Waiting, settings=RuntimeSettings(queue_high=50, queue_low=10)) as (runner, _, _):
        await asyncio.sleep(30)
        [queued] = {len(task._queues[Queue.INTERACTIVE]) for task in runner._running() if task.partition == 0}
        # One fetch may be under way when the mark is reached.
        assert 50 <= queued <= 100
        known = True
        await asyncio.sleep(10)
    assert len(await world.seen()) == 500


@pytest.mark.parametrize(("times", "ends"), [(4, False), (5, True)])
def test_a_process_whose_tasks_are_taken_over_again_and_again_ends_and_says_why(times: int, ends: bool) -> None:
    @world
    async def story(world: World) -> None:
        async with world.running() as (_, measured, work):
            for number in range(times):
                await asyncio.sleep(5)
                await MemoryLog(world.cluster).writer("count.0").start()
                await world.publish(b"v")
                await asyncio.sleep(2)
                assert measured.total("task_rebuilds_total") == number + 1
            assert work.done() is ends
        if ends:
            with pytest.raises(Misconfigured, match="instance ordinal"):
                work.result()

    story()


class Calling(CountingStage):
    """Its running work takes as long as the longest call of a provider may."""

    call_s = 20.0

    def restored(self, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects()

    def room(self, queue: Queue) -> int:
        return 10

    def launch(self, action: object, post: object) -> None:
        return None

    async def drain(self) -> None:
        await asyncio.sleep(self.call_s)
        # ... and its result comes a moment before the deadline of what settings leave for it.
        await asyncio.sleep(0.5)


@world
async def test_a_stop_waits_for_calls_as_long_as_settings_promise_and_still_ends_in_time(world: World) -> None:
    """Five seconds between the longest call and the deadline are demanded; an abandoned call is in doubt."""
    drained: list[str] = []

    class Noting(Calling):
        async def drain(self) -> None:
            await super().drain()
            drained.append("call")

    settings = RuntimeSettings(shutdown_s=Calling.call_s + 5)
    async with world.running(Noting, settings=settings) as (runner, _, work):
        await asyncio.sleep(2)
        runner.stop()
        await asyncio.wait({work}, timeout=settings.shutdown_s)
        assert work.done()
    assert drained == ["call"] * world.partitions


@world
async def test_whoever_lost_a_task_begins_no_more_of_its_work_on_the_outside(world: World) -> None:
    """What waits there for its turn is the new owner's to tell of; a call begun now would be one that nobody knows."""
    told: list[str] = []

    class Noting(Calling):
        call_s = 1.0

        def __init__(self) -> None:
            told.append("made")

        async def drain(self) -> None:
            told.append("drained")
            await super().drain()

    async with world.running(Noting) as (_, _, _):
        await asyncio.sleep(2)
        assert told == ["made"] * world.partitions
        told.clear()
        await world.log.writer("count.0").start()
        await world.publish(b"v", partition=0)
        await asyncio.sleep(10)
        # Once it is its own again; the rebalance in between ends and begins the other task as well.
        assert told[0] == "drained"
        assert sorted(told) == ["drained"] * world.partitions + ["made"] * world.partitions


def test_a_timer_that_waits_for_its_inputs_asks_once_how_far_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A goal that is set anew at each look runs away under load, and nothing ever fires."""
    asked: list[int] = []
    ends = Task.ends

    def noted(task: Task[Count], taken_ms: int, found: Mapping[TopicPartition, int]) -> None:
        asked.append(taken_ms)
        ends(task, taken_ms, found)

    class Full(Calling):
        call_s = 0.0
        has_room = False

        def room(self, queue: Queue) -> int:
            return 10 if Full.has_room else 0

    monkeypatch.setattr(Task, "ends", noted)

    @world
    async def story(world: World) -> None:
        due_ms = world.clock.now_ms() + 10_000
        await world.publish(b"wake:%d" % due_ms)
        async with world.running():
            await asyncio.sleep(2)
        await world.publish(b"v", key=b"other")
        async with world.running(Full):
            await asyncio.sleep(30)
            # Asked within the deadline's own millisecond, it has to be asked for a second time.
            assert len(asked) <= 2
            assert asked[-1] > due_ms
            Full.has_room = True
            await world.publish(b"v", key=b"other")
            await asyncio.sleep(2)
        assert [orjson.loads(value)[0] for value in await world.values()] == ["in", "in", "timer", "in"]

    story()


class Foreign(CountingStage):
    """Fails with an error of another library, whose repr holds what could not be encoded."""

    def decode(self, data: bytes) -> Count:
        API_KEY.encode("ascii")
        raise AssertionError


API_KEY = "TOP\u00a0SECRET"


@world
async def test_a_task_lost_to_another_librarys_error_is_told_by_its_type_and_traceback_only(world: World) -> None:
    await world.leave_state()
    with capture_logs() as lines:
        async with world.running(Foreign):
            await asyncio.sleep(2)
    told = [line for line in lines if line.get("action") == "task_lost"]
    assert {line["error"] for line in told} == {"UnicodeEncodeError"}
    shown = "".join(traceback.format_exception(told[0]["exc_info"]))
    assert "UnicodeEncodeError: 'ascii' codec can't encode character" in shown
    assert "SECRET" not in shown
