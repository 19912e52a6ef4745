"""The watchdog: what hangs although the brokers answer ends the process, and a broker that is away does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest

from pipeline.errors import LogUnavailable, PipelineError, TaskLost, UnknownWriter
from pipeline.runtime.api import Effects, Emit, Queue, Record, StateView
from pipeline.runtime.log import TopicPartition
from pipeline.settings import RuntimeSettings
from pipeline.testing import virtual_time
from pipeline.testing.memory_log import Faults, MemoryLog
from pipeline.testing.memory_log.group_reader import MemoryGroupReader
from pipeline.testing.memory_log.log import MemoryReader
from tests.integration.runtime.sample import Count, CountingStage
from tests.unit.runtime.counting import World, world

SETTINGS = RuntimeSettings(stuck_after_s=60, shutdown_s=25)
GROUP_READER = "count/count-0"


class Hanging(Faults):
    """Each kind of call hangs while it is in ``hang``."""

    def __init__(self, *hang: str) -> None:
        self.hang = set(hang)

    async def before_fetch(self, reader: str) -> None:
        while ("fetch" if reader == GROUP_READER else "scan") in self.hang:  # noqa: ASYNC110 - as a dead client would
            await asyncio.sleep(0.5)

    async def before_join(self, group: str, instance: str) -> None:
        while "join" in self.hang:  # noqa: ASYNC110
            await asyncio.sleep(0.5)

    async def before_start(self, writer: str) -> None:
        while "writer" in self.hang:  # noqa: ASYNC110
            await asyncio.sleep(0.5)


class Away(MemoryLog):
    """A log whose brokers can be away: nobody tells an end."""

    away = False

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        if self.away:
            raise LogUnavailable("no broker answers")
        return await super().end_offsets(partitions)


def hang(world: World, *what: str) -> Hanging:
    faults = world.cluster.faults = Hanging(*what)
    return faults


async def ended(work: asyncio.Task[None], *, within_s: float) -> str:
    """What ended the run."""
    await asyncio.wait({work}, timeout=within_s)
    assert work.done(), "it still runs"
    with pytest.raises(PipelineError) as error:
        work.result()
    return str(error.value)


@world
async def test_a_fetch_that_never_returns_ends_the_process(world: World) -> None:
    faults = hang(world)
    async with world.running(settings=SETTINGS) as (_, _, work):
        await asyncio.sleep(5)
        faults.hang.add("fetch")
        await world.publish(b"v")
        await asyncio.sleep(50)
        assert not work.done()
        assert "asked for records" in await ended(work, within_s=30)


@world
async def test_a_fetch_that_hangs_from_the_first_is_noticed_as_well(world: World) -> None:
    hang(world, "fetch")
    await world.publish(b"v")
    async with world.running(settings=SETTINGS) as (_, _, work):
        assert "asked for records" in await ended(work, within_s=90)


@world
async def test_a_rebalance_may_take_its_time_but_one_that_never_ends_ends_the_process(world: World) -> None:
    hang(world, "join")
    await world.publish(b"v")
    async with world.running(settings=SETTINGS) as (runner, _, work):
        await asyncio.sleep(115)
        assert not work.done()
        assert runner.missing()
        assert "rebalance" in await ended(work, within_s=20)


@world
async def test_a_rebalance_that_hangs_in_the_middle_of_work_ends_the_process(world: World) -> None:
    faults = hang(world)
    async with world.running(settings=SETTINGS) as (runner, _, work):
        await asyncio.sleep(5)
        faults.hang.add("join")
        runner.reader.rejoin()
        await world.publish(b"v")
        assert "rebalance" in await ended(work, within_s=150)


@world
async def test_what_ends_the_process_is_told_although_the_reader_does_not_let_itself_be_canceled(world: World) -> None:
    class Deaf(Hanging):
        async def before_fetch(self, reader: str) -> None:
            try:
                await super().before_fetch(reader)
            except asyncio.CancelledError:
                await asyncio.sleep(100)

    faults = world.cluster.faults = Deaf()
    async with world.running(settings=SETTINGS) as (_, _, work):
        await asyncio.sleep(5)
        faults.hang.add("fetch")
        await world.publish(b"v")
        assert "asked for records" in await ended(work, within_s=120)


@pytest.mark.parametrize("what", ["scan", "writer"])
def test_a_restore_that_never_ends_ends_the_process(what: str) -> None:
    @world
    async def story(world: World) -> None:
        await world.leave_state()
        hang(world, what)
        await world.publish(b"v")
        async with world.running(settings=SETTINGS) as (_, _, work):
            assert "restore" in await ended(work, within_s=90)

    story()


@world
async def test_a_restore_that_hangs_ends_the_process_although_other_tasks_move(world: World) -> None:
    await world.leave_state(0, 1)

    class OneHangs(MemoryLog):
        async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
            if TopicPartition("count-state", 1) in starts:
                await asyncio.sleep(10_000)
            return await super().reader(starts)

    async with world.running(settings=SETTINGS, log=OneHangs(world.cluster)) as (_, _, work):
        for _ in range(80):
            await asyncio.sleep(1)
            await world.publish(b"v")
        assert "count/1" in await ended(work, within_s=10)


@world
async def test_a_restore_is_given_time_while_entries_arrive(world: World) -> None:
    """As many seconds as there are entries, which is longer than the watchdog waits for anything."""
    for number in range(100):
        await world.publish(b"v", key=b"%d" % number)
    async with world.running():
        await asyncio.sleep(5)

    class Slow(MemoryReader):
        async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
            await asyncio.sleep(2)
            return await super().fetch(timeout_ms=timeout_ms, max_records=1)

    class SlowLog(MemoryLog):
        async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
            return Slow(self._process, starts)

    await world.publish(b"v", key=b"last")
    async with world.running(settings=SETTINGS, log=SlowLog(world.cluster)) as (runner, _, work):
        await asyncio.sleep(150)
        assert not work.done()
        assert runner.missing() == ["count/0: restoring"]
        await asyncio.sleep(150)
        assert runner.missing() == []
    assert len(await world.seen()) == 101


@pytest.mark.parametrize("rebalance", [False, True])
def test_brokers_that_are_away_end_no_process_and_work_goes_on_when_they_are_back(rebalance: bool) -> None:
    @world
    async def story(world: World) -> None:
        log = Away(world.cluster)
        faults = hang(world)
        async with world.running(settings=SETTINGS, log=log) as (runner, _, work):
            await asyncio.sleep(5)
            log.away = True
            faults.hang = {"fetch", "join", "scan", "writer"}
            if rebalance:
                runner.reader.rejoin()
            await world.publish(b"v")
            await asyncio.sleep(600)
            # The first that answers again is not the last.
            log.away = False
            await asyncio.sleep(20)
            faults.hang = set()
            await asyncio.sleep(20)
            assert not work.done()
            assert await world.seen() == [1]

    story()


@pytest.mark.parametrize("what", ["fetch", "join", "scan", "writer"])
def test_stop_ends_the_run_within_its_deadline_whatever_hangs(what: str) -> None:
    @world
    async def story(world: World) -> None:
        await world.leave_state()
        hang(world, what)
        await world.publish(b"v")
        async with world.running(settings=SETTINGS) as (runner, _, work):
            await asyncio.sleep(5)
            runner.stop()
            await asyncio.wait({work}, timeout=SETTINGS.shutdown_s)
            assert work.done()
            work.result()

    story()


@world
async def test_a_stop_in_the_middle_of_a_hanging_rebalance_does_not_wait_for_it(world: World) -> None:
    faults = hang(world)
    async with world.running(settings=SETTINGS) as (runner, _, work):
        await asyncio.sleep(5)
        faults.hang.add("join")
        runner.reader.rejoin()
        await asyncio.sleep(5)
        runner.stop()
        await asyncio.wait({work}, timeout=SETTINGS.shutdown_s)
        assert work.done()


class Unreadable(CountingStage):
    """Its state cannot be read back."""

    def decode(self, data: bytes) -> Count:
        raise TaskLost("nobody can read this")


@world
async def test_a_task_rebuilt_over_and_over_shows_its_lag_and_ends_the_process(world: World) -> None:
    await world.leave_state()
    await world.publish(*[b"v"] * 7)
    async with world.running(Unreadable, settings=SETTINGS) as (_, measured, work):
        await asyncio.sleep(30)
        assert measured.last("lag_records", topic="in", partition="0") == 7
        why = await ended(work, within_s=60)
    assert "count/0 was built" in why
    assert "nobody can read this" in why


@world
async def test_a_task_rebuilt_over_and_over_beside_tasks_that_move_is_told_and_they_go_on(world: World) -> None:
    """Ending the process would take the healthy tasks along, and the next process after it."""
    await world.leave_state(0, 1)

    def make(partition: int) -> CountingStage:
        return Unreadable() if partition == 1 else CountingStage()

    await world.publish(b"v", partition=1)
    async with world.running(make_for=make, settings=SETTINGS) as (runner, measured, work):
        for _ in range(100):
            await asyncio.sleep(1)
            await world.publish(b"v")
        assert not work.done()
        assert any("count/1 was built" in what for what in runner.missing())
        assert measured.last("lag_records", topic="in", partition="1") == 1


@world
async def test_a_state_of_the_next_release_is_waited_for(world: World) -> None:
    """A rolling upgrade is under way: ending the process helps nobody."""
    known = False

    class Older(CountingStage):
        def decode(self, data: bytes) -> Count:
            if not known:
                raise UnknownWriter("a schema of the next release")
            return super().decode(data)

    await world.leave_state()
    async with world.running(Older, settings=SETTINGS) as (runner, _, work):
        await world.publish(b"v")
        await asyncio.sleep(600)
        assert not work.done()
        assert any("a schema of the next release" in what for what in runner.missing())
        known = True
        await asyncio.sleep(10)
        assert runner.missing() == []
    assert await world.seen() == [1, 2]


@world
async def test_commits_that_fail_over_and_over_are_no_progress(world: World) -> None:
    class NoCommit(Faults):
        async def before_commit(self, writer: str) -> None:
            raise TaskLost("refused")

    world.cluster.faults = NoCommit()
    await world.publish(*[b"v"] * 3)
    async with world.running(settings=SETTINGS) as (_, _, work):
        assert "count/0 was built" in await ended(work, within_s=100)


@world
async def test_a_record_that_hangs_ends_the_process_although_other_tasks_move(world: World) -> None:
    async with world.running(settings=SETTINGS) as (runner, _, work):
        await asyncio.sleep(5)
        next(task for task in runner._running() if task.partition == 1)._turn = asyncio.Event().wait  # type: ignore[method-assign,assignment]
        await world.publish(b"v", partition=1)
        for _ in range(80):
            await asyncio.sleep(1)
            await world.publish(b"v")
        assert "count/1 has not moved" in await ended(work, within_s=10)


@world
async def test_a_quiet_stage_is_left_alone(world: World) -> None:
    async with world.running(settings=SETTINGS) as (runner, _, work):
        await asyncio.sleep(200)
        assert not work.done()
        assert runner.missing() == []
        await world.publish(b"v")
        await asyncio.sleep(1)
    assert await world.seen() == [1]


@world
async def test_a_process_that_stood_still_is_not_blamed_for_what_came_meanwhile(world: World) -> None:
    class SlowAnswers(MemoryLog):
        async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            await asyncio.sleep(0.003)
            return await super().end_offsets(partitions)

    class SlowCommits(Faults):
        async def before_commit(self, writer: str) -> None:
            await asyncio.sleep(0.02)

    world.cluster.faults = SlowCommits()
    async with world.running(settings=SETTINGS, log=SlowAnswers(world.cluster)) as (_, _, work):
        await world.publish(b"v")
        await asyncio.sleep(5)
        virtual_time.stand_still(70)
        await world.publish(*[b"v"] * 3_000)
        await asyncio.sleep(20)
        assert not work.done()
    assert len(await world.seen()) == 3_001


@world
async def test_records_behind_somebodys_open_transaction_cannot_be_read_and_are_no_reason_to_end(world: World) -> None:
    # Behind such a transaction, for as long as its caller's timeout allows: minutes, with the defaults of most clients.
    world.cluster._transaction_timeout_s = 900
    writer = MemoryLog(world.cluster).writer("stranger")
    await writer.start()
    await writer.append([Emit("in", b"k", b"v", 0)])
    async with world.running(settings=SETTINGS) as (runner, _, work):
        # Others go on writing: at each look some records are there that no fetch has seen yet.
        for _ in range(3_000):
            await asyncio.sleep(0.1)
            await world.publish(b"v")
        assert not work.done()
        assert runner.missing() == []


@world
async def test_a_reader_that_fetches_no_more_is_noticed_although_its_fetches_return(world: World) -> None:
    """What came since its last fetch is not hidden by any transaction."""

    class Stalled(MemoryGroupReader):
        stalled = False

        async def fetch(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
            if self.stalled:
                await asyncio.sleep(timeout_ms / 1000)
                return {}
            return await super().fetch(timeout_ms=timeout_ms, max_records=max_records)

    class StalledLog(MemoryLog):
        def group_reader(self, group: str, topics: Sequence[str], instance: str) -> MemoryGroupReader:
            return Stalled(self._process, group=group, topics=topics, instance=instance)

    async with world.running(settings=SETTINGS, log=StalledLog(world.cluster)) as (_, measured, work):
        await world.publish(b"v")
        await asyncio.sleep(5)
        Stalled.stalled = True
        await asyncio.sleep(1)
        await world.publish(*[b"v"] * 10)
        await asyncio.sleep(5)
        assert measured.last("lag_records", topic="in", partition="0") == 10
        assert measured.last("stable_offset_lag_records", topic="in", partition="0") == 0
        assert "10 records wait" in await ended(work, within_s=80)


@world
async def test_an_open_transaction_on_a_changelog_is_told_and_the_tasks_beside_it_go_on(world: World) -> None:
    """No restart would change it, and would take them along."""
    await world.leave_state(0, 1)
    world.cluster._transaction_timeout_s = 300
    writer = MemoryLog(world.cluster).writer("stranger")
    await writer.start()
    await writer.append([Emit("count-state", b"k", b"[9,0]", 1)])
    async with world.running(settings=SETTINGS) as (runner, _, work):
        for _ in range(200):
            await asyncio.sleep(1)
            await world.publish(b"v")
        assert not work.done()
        assert any("count-state/1 gets no further than" in what for what in runner.missing())
        await world.publish(b"v", partition=1)
        await asyncio.sleep(150)
        assert runner.missing() == []
    assert len(await world.seen()) == 203


@world
async def test_a_task_that_hangs_over_a_timers_output_ends_the_process_although_no_record_waits(world: World) -> None:
    class Elsewhere(CountingStage):
        def fire(self, key: bytes, state: StateView[Count], now_ms: int) -> Effects[Count]:
            effects = super().fire(key, state, now_ms)
            effects.emits = [Emit("dead", key, b"v")]
            return effects

    class NoMetadata(MemoryLog):
        async def partitions(self, topic: str) -> int:
            if topic == "dead":
                await asyncio.sleep(10_000)
            return await super().partitions(topic)

    await world.publish(b"wake:%d" % (world.clock.now_ms() + 5_000))
    async with world.running(Elsewhere, settings=SETTINGS, log=NoMetadata(world.cluster)) as (_, _, work):
        assert "it is at work" in await ended(work, within_s=90)


@world
async def test_ends_that_never_come_for_due_timers_are_asked_for_again(world: World) -> None:
    class OneQuestionLost(MemoryLog):
        lost = False

        async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            asked = list(partitions)
            # The watchdog asks for both partitions at once, a timer for its own.
            if len(asked) == len(CountingStage.inputs) and not self.lost:
                self.lost = True
                await asyncio.sleep(10_000)
            return await super().end_offsets(asked)

    log = OneQuestionLost(world.cluster)
    async with world.running(settings=SETTINGS, log=log) as (_, _, work):
        await asyncio.sleep(5)
        await world.publish(b"wake:%d" % (world.clock.now_ms() + 5_000))
        await asyncio.sleep(10)
        assert log.lost
        assert len(await world.values()) == 1
        await asyncio.sleep(30)
        assert len(await world.values()) == 2
        assert not work.done()


class Calling(CountingStage):
    """Bulk records wait for calls that take long, so that its lane is full."""

    def __init__(self) -> None:
        self.calls = 0

    def handle(self, record: Record, state: StateView[Count], now_ms: int) -> Effects[Count]:
        if record.topic != "in.bulk":
            return super().handle(record, state, now_ms)
        self.calls += 1
        return Effects(hold=True, actions=[(record.topic, record.offset)])

    def restored(self, state: StateView[Count], now_ms: int) -> Effects[Count]:
        return Effects()

    def launch(self, action: object, post: Callable[[object], None]) -> None:
        asyncio.get_running_loop().call_later(100, post, action)

    def on_event(self, event: object, state: StateView[Count], now_ms: int) -> Effects[Count]:
        self.calls -= 1
        return Effects(finished=[event])  # type: ignore[list-item]

    def room(self, queue: Queue) -> int:
        return 3 - self.calls if queue is Queue.BULK else 3

    async def drain(self) -> None:
        return


@world
async def test_a_stage_whose_lane_is_full_of_slow_calls_is_left_alone(world: World) -> None:
    await world.publish(*[b"v"] * 30, topic="in.bulk")
    async with world.running(Calling, settings=SETTINGS) as (_, _, work):
        await asyncio.sleep(350)
        assert not work.done()


@world
async def test_a_full_bulk_lane_excuses_no_task_that_leaves_interactive_records_waiting(world: World) -> None:
    await world.publish(*[b"v"] * 30, topic="in.bulk")
    async with world.running(Calling, settings=SETTINGS) as (runner, _, work):
        await asyncio.sleep(5)
        task = next(task for task in runner._running() if task.partition == 0)

        async def never_woken() -> None:
            task.idle = True
            await asyncio.Event().wait()

        task._wait = never_woken  # type: ignore[method-assign]
        await asyncio.sleep(10)
        await world.publish(*[b"v"] * 3)
        assert "count/0 has not moved" in await ended(work, within_s=90)


@world
async def test_a_second_long_restore_is_given_time_although_it_covers_old_ground(world: World) -> None:
    class Interrupted:
        """Reads one entry a second, and fails once when it has read for longer than the watchdog's patience."""

        failures = 1

        def __init__(self, reader: MemoryReader) -> None:
            self._reader = reader
            self._fetches = 0

        async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
            await asyncio.sleep(1)
            self._fetches += 1
            if Interrupted.failures and self._fetches == 80:
                Interrupted.failures -= 1
                raise LogUnavailable("a broker restarts")
            return await self._reader.fetch(timeout_ms=timeout_ms, max_records=1)

        async def position(self, partition: TopicPartition) -> int:
            return await self._reader.position(partition)

        async def stop(self) -> None:
            await self._reader.stop()

    class Slow(MemoryLog):
        async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
            reader = await super().reader(starts)
            slow = TopicPartition("count-state", 0) in starts
            return Interrupted(reader) if slow else reader  # type: ignore[return-value]

    for number in range(100):
        await world.publish(b"v", key=b"k%d" % number)
    async with world.running():
        await asyncio.sleep(5)
    await world.publish(b"v", key=b"z")
    async with world.running(settings=SETTINGS, log=Slow(world.cluster)) as (runner, _, work):
        await asyncio.sleep(400)
        assert not work.done()
        assert runner.missing() == []
    assert len(await world.seen()) == 101
