"""What only the in-memory log can show: a crash, a delay or a lost answer at an exact point of a transaction."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import Fenced, LogUnavailable, TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import OFFSETS_TOPIC, Faults, MemoryCluster, MemoryLog
from tests.unit.testing.memory_log.support import P0, P1, TOPIC, emit, scanned, values


class Killed(BaseException):
    """The process died here."""


class FailAt(Faults):
    """Raise ``error`` the first time ``hook`` is reached."""

    def __init__(self, hook: str, error: BaseException) -> None:
        self._hook = hook
        self._error: BaseException | None = error

    async def _reach(self, hook: str) -> None:
        if hook == self._hook and self._error is not None:
            error, self._error = self._error, None
            raise error

    async def before_start(self, writer: str) -> None:
        await self._reach("start")

    async def before_append(self, writer: str, partition: TopicPartition) -> None:
        await self._reach("append offsets" if partition.topic == OFFSETS_TOPIC else f"append {partition.partition}")

    async def before_commit(self, writer: str) -> None:
        await self._reach("commit")

    async def before_reply(self, writer: str) -> None:
        await self._reach("reply")

    async def before_send(self, partition: TopicPartition) -> None:
        await self._reach("send")

    async def before_send_reply(self, partition: TopicPartition) -> None:
        await self._reach("send reply")


class SlowMarkers(Faults):
    """Every marker comes a second after the one before."""

    async def before_marker(self, writer: str, partition: TopicPartition) -> None:
        await asyncio.sleep(1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cluster(clock: ManualClock) -> MemoryCluster:
    return MemoryCluster(clock, partitions={TOPIC: 4})


@pytest.fixture
def log(cluster: MemoryCluster) -> MemoryLog:
    return MemoryLog(cluster)


async def committed(log: MemoryLog, partition: TopicPartition = P0) -> int | None:
    return await log.group_reader("group", [TOPIC], "witness").committed(partition)


async def rebuilt(log: MemoryLog) -> None:
    """What the next owner of the task does first."""
    log.cluster.faults = Faults()
    await log.writer("task").start()


@pytest.mark.parametrize("hook", ["append 0", "append 1", "append offsets", "commit"])
@pytest.mark.parametrize("error", [Killed(), LogUnavailable("broker away"), OSError("reset")])
async def test_a_failure_before_the_decision_leaves_nothing(log: MemoryLog, hook: str, error: BaseException) -> None:
    writer = log.writer("task")
    await writer.start()
    log.cluster.faults = FailAt(hook, error)
    with pytest.raises(Killed if isinstance(error, Killed) else TaskLost):
        await writer.commit([emit(b"a", 0), emit(b"b", 1)], {P0: 5}, "group")
    await rebuilt(log)
    assert await scanned(log, P0) == await scanned(log, P1) == []
    assert await committed(log) is None


@pytest.mark.parametrize("error", [Killed(), LogUnavailable("broker away")])
async def test_a_lost_answer_leaves_the_whole_transaction_visible(log: MemoryLog, error: BaseException) -> None:
    writer = log.writer("task")
    await writer.start()
    log.cluster.faults = FailAt("reply", error)
    with pytest.raises(Killed if isinstance(error, Killed) else TaskLost):
        await writer.commit([emit(b"a", 0), emit(b"b", 1)], {P0: 5}, "group")
    with pytest.raises(TaskLost, match="broken"):
        await writer.commit([emit(b"again")], {P0: 6}, "group")
    await rebuilt(log)
    assert (await scanned(log, P0), await scanned(log, P1)) == ([b"a"], [b"b"])
    assert await committed(log) == 5


async def test_a_writer_that_failed_to_start_cannot_write(log: MemoryLog) -> None:
    log.cluster.faults = FailAt("start", LogUnavailable("broker away"))
    writer = log.writer("task")
    with pytest.raises(LogUnavailable):
        await writer.start()
    with pytest.raises(TaskLost):
        await writer.commit([emit(b"a")], {}, "group")
    assert await log.end_offsets([P0]) == {P0: 0}


async def test_a_start_between_append_and_commit_fences_and_aborts(log: MemoryLog) -> None:
    first, second = log.writer("task"), log.writer("task")
    await first.start()

    class StartSecond(Faults):
        async def before_commit(self, writer: str) -> None:
            log.cluster.faults = Faults()
            await second.start()

    log.cluster.faults = StartSecond()
    with pytest.raises(Fenced):
        await first.commit([emit(b"zombie")], {P0: 5}, "group")
    assert await scanned(log) == []
    assert await committed(log) is None
    await second.commit([emit(b"owner")], {}, "group")
    assert await scanned(log) == [b"owner"]


async def test_a_transaction_left_open_is_aborted_when_its_timeout_passes_and_its_writer_is_fenced(
    clock: ManualClock, log: MemoryLog
) -> None:
    writer = log.writer("task")
    await writer.start()
    await writer.append([emit(b"open")])
    producer = await log.producer()
    await producer.send(emit(b"behind"))
    assert await values(log) == []
    clock.advance(4_999)
    assert await values(log) == []
    clock.advance(1)
    assert await values(log) == [b"behind"]
    with pytest.raises(Fenced):
        await writer.end(commit=True)


async def test_a_jump_of_the_wall_clock_ends_no_transaction(clock: ManualClock, log: MemoryLog) -> None:
    writer = log.writer("task")
    await writer.start()
    await writer.append([emit(b"open")])
    clock.jump(86_400_000)
    assert await values(log) == []
    await writer.end(commit=True)
    assert await values(log) == [b"open"]


def test_a_commit_is_answered_before_it_is_visible_and_the_next_start_waits_for_it() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        clock = ManualClock()
        clock.bind(loop.time)
        log = MemoryLog(MemoryCluster(clock, partitions={TOPIC: 4}, faults=SlowMarkers()))
        writer = log.writer("task")
        await writer.start()
        await writer.commit([emit(b"a", 0), emit(b"b", 1)], {P0: 5}, "group")
        assert loop.time() == 0
        assert (await values(log, P0), await values(log, P1), await committed(log)) == ([], [], None)
        await asyncio.sleep(1.5)
        # Partitions become visible one by one; the group's offsets come last.
        assert (await values(log, P0), await values(log, P1), await committed(log)) == ([b"a"], [], None)
        await log.writer("task").start()
        assert loop.time() == pytest.approx(3)
        assert (await values(log, P0), await values(log, P1), await committed(log)) == ([b"a"], [b"b"], 5)

    virtual_time.run(scenario())


def test_a_writers_next_transaction_begins_after_the_markers_of_the_last() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        log = MemoryLog(MemoryCluster(ManualClock(), partitions={TOPIC: 4}, faults=SlowMarkers()))
        writer = log.writer("task")
        await writer.start()
        await writer.commit([emit(b"a")], {}, "group")
        await writer.commit([emit(b"b")], {}, "group")
        assert loop.time() == pytest.approx(1)
        await log.cluster.transactions.settle()
        assert await values(log) == [b"a", b"b"]

    virtual_time.run(scenario())


def test_a_decided_transaction_becomes_visible_although_its_process_dies_while_waiting() -> None:
    async def scenario() -> None:
        log = MemoryLog(MemoryCluster(ManualClock(), partitions={TOPIC: 4}, faults=SlowMarkers()))
        writer = log.writer("task")
        await writer.start()
        await writer.commit([emit(b"a")], {}, "group")
        waiting = asyncio.create_task(log.writer("task").start())
        await asyncio.sleep(0.5)
        waiting.cancel()
        await asyncio.sleep(1)
        assert await values(log) == [b"a"]

    virtual_time.run(scenario())


def test_of_two_writers_that_wait_for_the_same_predecessor_the_later_one_owns_the_id() -> None:
    async def scenario() -> None:
        log = MemoryLog(MemoryCluster(ManualClock(), partitions={TOPIC: 4}, faults=SlowMarkers()))
        dead = log.writer("task")
        await dead.start()
        await dead.append([emit(b"open")])
        second, third = log.writer("task"), log.writer("task")
        outcomes = await asyncio.gather(second.start(), third.start(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Fenced, type(None)]
        await third.commit([emit(b"owner")], {}, "group")
        await log.cluster.transactions.settle()
        assert await values(log) == [b"owner"]

    virtual_time.run(scenario())


@pytest.mark.parametrize(("hook", "written"), [("send", []), ("send reply", [b"a"])])
async def test_a_plain_record_without_an_answer_may_or_may_not_be_there(
    log: MemoryLog, hook: str, written: list[bytes]
) -> None:
    log.cluster.faults = FailAt(hook, OSError("reset"))
    producer = await log.producer()
    with pytest.raises(LogUnavailable, match="no answer"):
        await producer.send(emit(b"a"))
    assert await values(log) == written


async def test_an_output_without_a_partition_is_a_bug_and_writes_nothing(log: MemoryLog) -> None:
    writer = log.writer("task")
    await writer.start()
    with pytest.raises(ValueError, match="no partition"):
        await writer.commit([emit(b"a"), Emit(TOPIC, b"key", b"b")], {}, "group")
    assert await log.end_offsets([P0]) == {P0: 0}


async def test_an_output_for_a_partition_that_does_not_exist_loses_the_task_and_names_it(log: MemoryLog) -> None:
    writer = log.writer("task")
    await writer.start()
    with pytest.raises(TaskLost, match="not 4"):
        await writer.commit([emit(b"a", 4)], {}, "group")


async def test_a_dead_process_can_do_nothing_more(log: MemoryLog) -> None:
    writer, producer = log.writer("task"), await log.producer()
    await writer.start()
    log.crash()
    with pytest.raises(TaskLost, match="crashed"):
        await writer.commit([emit(b"a")], {}, "group")
    with pytest.raises(LogUnavailable, match="crashed"):
        await producer.send(emit(b"a"))
    with pytest.raises(LogUnavailable, match="crashed"):
        await log.end_offsets([P0])
