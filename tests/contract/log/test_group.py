"""What members of a consumer group promise."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import Misconfigured
from pipeline.runtime.log import Log, TopicPartition
from tests.contract.log.conftest import MakeMember
from tests.contract.log.support import LogFactory, abort, commit, emits, eventually


def of(topic: str, *numbers: int) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(topic, number) for number in numbers)


async def test_a_lone_member_gets_every_partition_and_reads_them(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    await commit(log, "task", [*emits(TopicPartition(topic, 0), b"a"), *emits(TopicPartition(topic, 1), b"b")])
    reader = await member(topic)
    assert sorted(filter(None, await reader.read(2))) == [b"a", b"b"]
    assert reader.reader.assignment() == of(topic, 0, 1)
    assert reader.events[-1] == ("assigned", of(topic, 0, 1))


async def test_committed_is_none_until_a_transaction_commits_an_offset(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    one = await member(topic)
    other_group = await member(topic, group="other")
    await one.owns(1)
    assert await one.reader.committed(partition) is None
    writer = log.writer("task")
    await writer.start()
    await writer.commit([], {partition: 42}, "group")
    await writer.stop()
    await commit(log, "task", [])
    assert await one.reader.committed(partition) == 42
    assert await other_group.reader.committed(partition) is None


async def test_assigned_partitions_are_paused_until_their_owner_resumes_them(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    await commit(log, "task", emits(partition, b"0", b"1"))
    reader = log.group_reader("group", [topic], "by-hand")
    assigned = asyncio.Event()

    async def on_assigned(_: frozenset[TopicPartition]) -> None:
        assigned.set()

    async def on_revoked(_: frozenset[TopicPartition]) -> None:
        return

    await reader.start(on_assigned, on_revoked)
    assert await reader.fetch(timeout_ms=log_factory.patience_ms, max_records=10) == {}
    assert assigned.is_set()
    reader.seek(partition, 1)
    reader.resume([partition])
    fetched = await reader.fetch(timeout_ms=5_000, max_records=10)
    assert [record.value for record in fetched[partition]] == [b"1"]
    await reader.stop()


async def test_the_position_never_passes_a_record_that_nobody_was_handed_yet(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    """Or a timer would believe that its input was read, while a record before its deadline is on its way."""
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    one = await member(topic)
    await one.owns(1)
    passed: list[tuple[int, int]] = []

    async def watch() -> None:
        while True:
            position = await one.reader.position(partition)
            handed = one.records[-1].offset + 1 if one.records else 0
            if position > handed:
                passed.append((position, handed))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    # A plain producer: behind transactions stand markers, which the position may pass by itself.
    producer = await log.producer()
    for turn in range(20):
        await producer.send(emits(partition, b"%d" % turn)[0])
        await one.read(turn + 1)
    await producer.stop()
    watching.cancel()
    assert passed == []


async def test_pausing_and_resuming_loses_and_repeats_nothing(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    partitions = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    reader = await member(topic)
    await reader.owns(2)
    for turn in range(6):
        reader.reader.pause(partitions[turn % 2 :])
        await commit(log, "task", [emit for where in partitions for emit in emits(where, b"%d" % turn)])
        await asyncio.sleep(0.02)
        reader.reader.resume(partitions)
    await reader.read(12)
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    for where in partitions:
        mine = [record.value for record in reader.records if record.partition == where.partition]
        assert mine == [b"%d" % turn for turn in range(6)]


async def test_a_paused_partition_gives_nothing_while_its_neighbour_goes_on(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    paused, running = TopicPartition(topic, 0), TopicPartition(topic, 1)
    reader = await member(topic)
    await reader.owns(2)
    reader.reader.pause([paused])
    # A fetch that was under way when the partition was paused may still deliver; let it end.
    await asyncio.sleep(log_factory.patience_ms / 1000)
    await commit(log, "task", [*emits(paused, b"paused"), *emits(running, b"running")])
    assert await reader.read(1) == [b"running"]
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    assert len(reader.records) == 1
    reader.reader.resume([paused])
    assert await reader.read(2) == [b"running", b"paused"]


async def test_seeking_back_reads_again(log_factory: LogFactory, log: Log, member: MakeMember) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    reader = await member(topic)
    await reader.read(3)
    reader.reader.seek(partition, 1)
    assert await reader.read(5) == [b"0", b"1", b"2", b"1", b"2"]


async def test_what_was_lost_in_a_rebalance_can_be_paused_resumed_and_sought_without_effect(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    reader = await member(topic)
    await reader.owns(1)
    foreign = TopicPartition(await log_factory.topic(), 0)
    reader.reader.pause([foreign])
    reader.reader.seek(foreign, 3)
    reader.reader.resume([foreign])
    assert await reader.reader.position(foreign) == -1
    assert reader.reader.assignment() == of(topic, 0)


async def test_a_members_position_moves_past_markers_and_aborted_records(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    reader = await member(topic)
    await reader.owns(1)
    await commit(log, "task", emits(partition, b"kept"))
    await abort(log_factory, partition, b"aborted")
    [end] = (await log.end_offsets([partition])).values()
    async with asyncio.timeout(20):
        while await reader.reader.position(partition) < end:  # noqa: ASYNC110 - the log has no event for this
            await asyncio.sleep(0.01)
    assert [record.value for record in reader.records] == [b"kept"]


async def test_a_member_knows_where_a_partition_ended_when_it_was_last_fetched(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    reader = await member(topic)
    await reader.owns(1)

    def hidden() -> int | None:
        ends = reader.reader.latest_ends(partition)
        return None if ends is None else ends.high - ends.stable

    async def come(count: int) -> None:
        async with asyncio.timeout(20):
            while hidden() != count:  # noqa: ASYNC110 - the log has no event for this
                await asyncio.sleep(0.01)

    await commit(log, "task", emits(partition, b"kept"))
    await reader.read(1)
    await come(0)
    transaction = await log_factory.leave_transaction_open(topic, 0, values=(b"a", b"b"))
    await come(2)
    await transaction.commit()
    await reader.read(3)
    await come(0)
    # What came since the latest fetch is no part of it.
    reader.reader.pause([partition])
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    before = reader.reader.latest_ends(partition)
    assert before is not None
    await commit(log, "task", emits(partition, b"c", b"d"))
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    after = reader.reader.latest_ends(partition)
    assert after is not None
    assert (after.high, after.stable) == (before.high, before.stable)
    assert after.age_s > before.age_s


async def test_a_position_that_retention_has_overrun_moves_to_the_first_record_kept_and_is_counted(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    reader = await member(topic)
    await reader.read(3)
    await log_factory.delete_before(partition, 2)
    assert reader.reader.gaps == {}
    reader.reader.seek(partition, 0)
    assert await reader.read(4) == [b"0", b"1", b"2", b"2"]
    assert reader.reader.gaps == {topic: 1}


async def test_a_member_reads_on_where_the_group_committed(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    writer = log.writer("task")
    await writer.start()
    await writer.commit([], {partition: 2}, "group")
    await writer.stop()
    await commit(log, "task", [])
    reader = await member(topic)
    assert await reader.read(1) == [b"2"]


async def test_two_members_split_partitions_so_that_a_number_is_on_one_member_in_every_topic(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topics = [await log_factory.topic(4) for _ in range(3)]
    first = await member(*topics)
    await first.owns(12)
    second = await member(*topics)
    await second.owns(6)
    await first.owns(6)
    shares = [frozenset(where.partition for where in one.reader.assignment()) for one in (first, second)]
    for one, share in zip((first, second), shares, strict=True):
        assert len(share) == 2
        assert one.reader.assignment() == {TopicPartition(topic, number) for topic in topics for number in share}
    assert shares[0] | shares[1] == {0, 1, 2, 3}
    assert first.revocations() == [frozenset().union(*(of(topic, 0, 1, 2, 3) for topic in topics))]


async def test_the_partitions_of_a_member_that_left_are_handed_over_when_its_session_ends(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    staying, leaving = await member(topic), await member(topic, instance="leaving")
    await leaving.owns(1)
    await staying.owns(1)
    await leaving.stop()
    await log_factory.expire("group", "leaving")
    await staying.owns(2)
    await commit(log, "task", [*emits(TopicPartition(topic, 0), b"a"), *emits(TopicPartition(topic, 1), b"b")])
    assert sorted(filter(None, await staying.read(2))) == [b"a", b"b"]


async def test_a_static_member_that_restarts_gets_its_partitions_back_and_nobody_else_notices(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic(4)
    staying, restarting = await member(topic), await member(topic, instance="restarting")
    await restarting.owns(2)
    await staying.owns(2)
    had = restarting.reader.assignment()
    seen = list(staying.events)
    await restarting.stop()
    again = await member(topic, instance="restarting")
    await again.owns(2)
    await asyncio.sleep(3 * log_factory.patience_ms / 1_000)
    assert again.reader.assignment() == had
    assert again.revocations() == []
    assert staying.events == seen


async def test_of_two_processes_with_one_instance_name_one_reports_it_and_ends(
    request: pytest.FixtureRequest, log_factory: LogFactory, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    twins = [await member(topic, instance="twin") for _ in range(2)]
    await eventually(lambda: any(twin.failed() for twin in twins), timeout_s=40)
    [loser] = [twin for twin in twins if twin.failed()]
    assert isinstance(await loser.ended(), Misconfigured)
    [winner] = [twin for twin in twins if twin is not loser]
    await winner.owns(2)


async def test_stopping_runs_no_callbacks(log_factory: LogFactory, member: MakeMember) -> None:
    reader = await member(await log_factory.topic())
    await reader.owns(1)
    seen = list(reader.events)
    await reader.stop()
    assert reader.events == seen


async def test_a_member_that_asks_for_a_new_assignment_is_revoked_and_assigned(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    reader = await member(topic)
    await reader.owns(2)
    reader.events.clear()
    reader.reader.rejoin()
    await eventually(lambda: len(reader.events) == 2)
    await reader.owns(2)
    assert reader.events == [("revoked", of(topic, 0, 1)), ("assigned", of(topic, 0, 1))]
    await commit(log, "task", emits(TopicPartition(topic, 1), b"after"))
    assert await reader.read(1) == [b"after"]


async def test_what_a_callback_raises_comes_out_of_the_next_fetch(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic()
    reader = log.group_reader("group", [topic], "failing")

    async def fail(_: frozenset[TopicPartition]) -> None:
        raise ZeroDivisionError("a bug in the callback")

    async def on_revoked(_: frozenset[TopicPartition]) -> None:
        return

    await reader.start(fail, on_revoked)
    raised: BaseException | None = None
    for _ in range(50):
        try:
            await reader.fetch(timeout_ms=100, max_records=10)
        except ZeroDivisionError as error:
            raised = error
            break
    assert raised is not None
    await reader.stop()
