"""What a transaction promises."""

from __future__ import annotations

import pytest

from pipeline.errors import Fenced, RecordTooLarge, TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Log, TopicPartition
from tests.contract.log.support import LogFactory, commit, committed, emits, incompressible, scanned, values


async def test_a_committed_transaction_shows_all_its_outputs_and_offsets(log_factory: LogFactory, log: Log) -> None:
    one, other = TopicPartition(await log_factory.topic(2), 1), TopicPartition(await log_factory.topic(), 0)
    source = TopicPartition(await log_factory.topic(2), 1)
    writer = log.writer("task")
    await writer.start()
    await writer.commit([*emits(one, b"1", b"2"), *emits(other, b"3")], {source: 7}, "group")
    await writer.stop()
    assert await values(log, one) == [b"1", b"2"]
    assert await values(log, other) == [b"3"]
    assert await committed(log, "group", source) == 7


async def test_one_writer_commits_many_transactions_in_order(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    writer = log.writer("task")
    await writer.start()
    for number in range(20):
        await writer.commit(emits(partition, b"%d" % number), {}, "group")
    await writer.stop()
    await commit(log, "task", emits(partition, b"last"))
    assert await values(log, partition) == [*(b"%d" % number for number in range(20)), b"last"]


async def test_a_transaction_may_hold_more_than_one_batch(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    sent = [b"%05d" % number + b"x" * 2_000 for number in range(500)]
    await commit(log, "task", emits(partition, *sent))
    assert await values(log, partition) == sent


async def test_a_transaction_without_outputs_commits_its_offsets(log_factory: LogFactory, log: Log) -> None:
    source = TopicPartition(await log_factory.topic(), 0)
    writer = log.writer("task")
    await writer.start()
    await writer.commit([], {source: 3}, "group")
    await writer.commit([], {source: 5}, "group")
    await writer.stop()
    assert await committed(log, "group", source) == 5


async def test_a_fenced_writers_records_are_never_visible(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    first = log.writer("task")
    await first.start()
    await first.commit(emits(partition, b"before the fence"), {}, "group")
    second = (await log_factory.log()).writer("task")
    await second.start()
    with pytest.raises(Fenced):
        await first.commit(emits(partition, b"zombie"), {partition: 99}, "group")
    await second.commit(emits(partition, b"owner"), {partition: 1}, "group")
    await first.stop()
    await second.stop()
    # A third start ends whatever the zombie may have left open.
    await commit(log, "task", emits(partition, b"end"))
    assert await values(log, partition) == [b"before the fence", b"owner", b"end"]
    assert await committed(log, "group", partition) == 1


async def test_a_writer_that_never_wrote_is_fenced_as_well(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    first, second = log.writer("task"), log.writer("task")
    await first.start()
    await second.start()
    with pytest.raises(Fenced):
        await first.commit([], {partition: 99}, "group")
    await first.stop()
    await second.stop()
    await commit(log, "task", [])
    assert await committed(log, "group", partition) is None


async def test_writers_of_different_ids_do_not_fence_each_other(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    first, second = log.writer("task-0"), log.writer("task-1")
    await first.start()
    await second.start()
    await first.commit(emits(partition, b"first"), {}, "group")
    await second.commit(emits(partition, b"second"), {}, "group")
    await first.stop()
    await second.stop()
    assert await values(log, partition) == [b"first", b"second"]


async def test_deployments_with_different_prefixes_share_nothing(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    elsewhere = TopicPartition(await log_factory.topic(deployment="staging."), 0)
    other_log = await log_factory.log("staging.")
    mine, theirs = log.writer("task"), other_log.writer("task")
    await mine.start()
    await theirs.start()
    await theirs.commit(emits(elsewhere, b"theirs"), {elsewhere: 4}, "group")
    await mine.commit(emits(partition, b"mine"), {partition: 2}, "group")
    await mine.stop()
    await theirs.stop()
    assert [(record.topic, record.value) for record in await scanned(log, partition)] == [(partition.topic, b"mine")]
    assert await values(other_log, elsewhere) == [b"theirs"]
    assert await committed(log, "group", partition) == 2
    assert await committed(other_log, "group", elsewhere) == 4


async def test_start_ends_the_transaction_a_dead_predecessor_left_open(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await log_factory.leave_transaction_open(partition.topic, 0, values=[b"lost"], transactional_id="task")
    successor = log.writer("task")
    await successor.start()
    # Nothing is open any more: a record written now by somebody else is seen at once.
    producer = await log.producer()
    await producer.send(Emit(partition.topic, None, b"seen", 0))
    assert await values(log, partition) == [b"seen"]
    await producer.stop()
    await successor.stop()


async def test_start_waits_until_the_predecessors_commit_is_visible(log_factory: LogFactory, log: Log) -> None:
    partitions = [TopicPartition(await log_factory.topic(4), number) for number in range(4)]
    source = TopicPartition(await log_factory.topic(), 0)
    for turn in range(1, 6):
        writer = log.writer("task")
        await writer.start()
        ends = await log.end_offsets(partitions)
        assert await committed(log, "group", source) == (turn - 1 or None)
        assert len(await scanned(log, *partitions)) == 4 * (turn - 1)
        assert ends == await log.end_offsets(partitions)
        await writer.commit(
            [emit for where in partitions for emit in emits(where, b"%d" % turn)], {source: turn}, "group"
        )
        await writer.stop()


async def test_a_record_too_large_spoils_only_its_own_transaction(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(max_message_bytes=20_000), 0)
    writer = log.writer("task")
    await writer.start()
    await writer.commit(emits(partition, b"before"), {}, "group")
    with pytest.raises(RecordTooLarge):
        await writer.commit(
            [*emits(partition, b"small"), *emits(partition, incompressible(40_000))], {partition: 9}, "g"
        )
    with pytest.raises(TaskLost):
        await writer.commit(emits(partition, b"reused"), {}, "group")
    await writer.stop()
    await commit(log, "task", emits(partition, b"after"))
    assert await values(log, partition) == [b"before", b"after"]


async def test_a_writer_refuses_to_commit_before_it_was_started(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    with pytest.raises(TaskLost):
        await log.writer("task").commit(emits(partition, b"early"), {}, "group")
