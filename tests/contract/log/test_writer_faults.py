"""What a transaction promises when something is wrong with it."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import Fenced, TaskLost
from pipeline.runtime.log import Log, TopicPartition
from tests.contract.log.support import LogFactory, commit, committed, emits, scanned, values


async def test_outputs_for_what_is_not_there_lose_the_task_and_show_nothing(log_factory: LogFactory, log: Log) -> None:
    impatient = await log_factory.log(impatient=True)
    partition = TopicPartition(await log_factory.topic(), 0)
    for missing in (TopicPartition("missing-topic", 0), TopicPartition(partition.topic, 7)):
        writer = impatient.writer("task")
        await writer.start()
        with pytest.raises(TaskLost) as raised:
            await writer.commit([*emits(partition, b"with it"), *emits(missing, b"nowhere")], {partition: 3}, "group")
        assert type(raised.value) is TaskLost
        await writer.stop()
    await commit(log, "task", emits(partition, b"after"))
    assert await values(log, partition) == [b"after"]
    assert await committed(log, "group", partition) is None


async def test_offsets_of_what_is_not_there_lose_the_task_and_show_nothing(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    writer = (await log_factory.log(impatient=True)).writer("task")
    await writer.start()
    offsets = {partition: 3, TopicPartition("missing-topic", 0): 1}
    with pytest.raises(TaskLost):
        await writer.commit(emits(partition, b"with it"), offsets, "group")
    await writer.stop()
    await commit(log, "task", emits(partition, b"after"))
    assert await values(log, partition) == [b"after"]
    assert await committed(log, "group", partition) is None


async def test_a_writer_that_failed_or_was_stopped_is_of_no_more_use(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    fenced, stopped, never = log.writer("task"), log.writer("task"), log.writer("task")
    await fenced.start()
    await stopped.start()
    for _ in range(3):
        with pytest.raises(TaskLost):
            await fenced.commit(emits(partition, b"fenced"), {}, "group")
    await stopped.stop()
    with pytest.raises(TaskLost):
        await stopped.commit(emits(partition, b"stopped"), {}, "group")
    for writer in (fenced, stopped, stopped, never):
        await writer.stop()
    await commit(log, "task", emits(partition, b"after"))
    assert await values(log, partition) == [b"after"]


async def test_of_writers_that_start_at_once_one_at_most_commits(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    writers = [log.writer("task") for _ in range(3)]
    started = await asyncio.gather(*(writer.start() for writer in writers), return_exceptions=True)
    assert all(told is None or isinstance(told, TaskLost) for told in started)

    async def write(number: int) -> bool:
        try:
            await writers[number].commit(emits(partition, b"%d" % number), {partition: number}, "group")
        except TaskLost:
            return False
        return True

    wrote = [number for number in range(3) if await write(number)]
    assert len(wrote) == 1
    for writer in writers:
        await writer.stop()
    await commit(log, "task", [])
    assert await values(log, partition) == [b"%d" % wrote[0]]
    assert await committed(log, "group", partition) == wrote[0]


async def test_a_transaction_left_open_ends_at_its_timeout_and_its_writer_is_fenced(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    transaction = await log_factory.leave_transaction_open(partition.topic, 0, timeout_s=4.0)
    await commit(log, "task", emits(partition, b"behind it"))
    await log_factory.pass_transaction_timeout(4.0)
    assert await values(log, partition) == [b"behind it"]
    [told] = await asyncio.gather(transaction.commit(), return_exceptions=True)
    assert isinstance(told, Exception)
    assert await values(log, partition) == [b"behind it"]


async def test_an_open_transaction_hides_what_another_writer_committed_behind_it(
    log_factory: LogFactory, log: Log
) -> None:
    """Why each changelog partition has one writer: a restore would miss what is committed."""
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, b"before"))
    transaction = await log_factory.leave_transaction_open(partition.topic, 0)
    await commit(log, "task", emits(partition, b"hidden"))
    reader = await log.reader({partition: 0})
    async with asyncio.timeout(60):
        while not (found := await reader.fetch(timeout_ms=1_000, max_records=10)):
            pass
    assert [record.value for record in found] == [b"before"]
    assert await reader.fetch(timeout_ms=log_factory.patience_ms, max_records=10) == []
    await reader.stop()
    await transaction.abort()
    assert await values(log, partition) == [b"before", b"hidden"]


async def test_a_transaction_of_nothing_leaves_nothing(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", [])
    assert await log.end_offsets([partition]) == {partition: 0}


async def test_records_of_a_transaction_have_the_brokers_time_where_the_topic_says_so(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(append_time=True), 0)
    await commit(log, "task", emits(partition, b"1", b"2"))
    times = [record.timestamp_ms for record in await scanned(log, partition)]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000_000
    assert await log.offsets_at([partition], times[0]) == {partition: 0}


async def test_fencing_is_told_of_every_kind_of_transaction(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    for outputs, offsets in (
        (emits(partition, b"zombie"), {}),
        ([], {partition: 9}),
        (emits(partition, b"z"), {partition: 9}),
    ):
        zombie, owner = log.writer("task"), log.writer("task")
        await zombie.start()
        await zombie.commit(emits(partition, b"own"), {partition: 1}, "group")
        await owner.start()
        with pytest.raises(Fenced):
            await zombie.commit(outputs, offsets, "group")
        await zombie.stop()
        await owner.stop()
    await commit(log, "task", [])
    assert await values(log, partition) == [b"own"] * 3
    assert await committed(log, "group", partition) == 1
