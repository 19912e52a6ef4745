"""What is promised where a position is out of range, where nothing is left to read, and after the end."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import LogUnavailable, PipelineError
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Log, TopicPartition
from tests.contract.log.conftest import MakeMember
from tests.contract.log.support import LogFactory, commit, emits


@pytest.mark.parametrize("start", [0, 50])
async def test_a_reader_out_of_range_begins_with_the_first_record_kept(
    log_factory: LogFactory, log: Log, start: int
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    await log_factory.delete_before(partition, 2)
    reader = await log.reader({partition: start})
    found: list[bytes | None] = []
    while not found:
        found += [record.value for record in await reader.fetch(timeout_ms=1_000, max_records=10)]
    assert found == [b"2"]
    await reader.stop()


async def test_a_reader_stands_where_it_was_told_to_until_it_has_read(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    reader = await log.reader({partition: 1})
    assert await reader.position(partition) == 1
    async with asyncio.timeout(60):
        while not (found := await reader.fetch(timeout_ms=1_000, max_records=1)):
            pass
    assert [record.value for record in found] == [b"1"]
    assert await reader.position(partition) == 2
    await reader.stop()


async def test_a_reader_or_producer_that_was_stopped_says_so(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    reader, producer = await log.reader({partition: 0}), await log.producer()
    for _ in range(2):
        await reader.stop()
        await producer.stop()
    with pytest.raises(LogUnavailable):
        await reader.fetch(timeout_ms=50, max_records=10)
    with pytest.raises(LogUnavailable):
        await producer.send(Emit(partition.topic, b"key", b"late", 0))
    with pytest.raises(LogUnavailable):
        await producer.send_all([Emit(partition.topic, b"key", b"late", 0)])


async def test_a_log_that_was_stopped_says_so(log_factory: LogFactory) -> None:
    log = await log_factory.log()
    partition = TopicPartition(await log_factory.topic(), 0)
    await log.stop()
    await log.stop()
    for question in (log.end_offsets([partition]), log.start_offsets([partition]), log.offsets_at([partition], 0)):
        with pytest.raises(LogUnavailable):
            await question
    with pytest.raises(LogUnavailable):
        await log.partitions(partition.topic)


async def test_of_what_is_not_there_no_offset_is_told(log_factory: LogFactory) -> None:
    log = await log_factory.log(impatient=True)
    missing = TopicPartition("missing-topic", 0)
    for question in (log.end_offsets([missing]), log.start_offsets([missing]), log.offsets_at([missing], 0)):
        with pytest.raises(PipelineError):
            await question


async def test_of_no_partitions_nothing_is_told(log: Log) -> None:
    assert await log.end_offsets([]) == await log.start_offsets([]) == await log.offsets_at([], 0) == {}


async def test_a_record_for_what_is_not_there_is_told_and_the_producer_goes_on(log_factory: LogFactory) -> None:
    log = await log_factory.log(impatient=True)
    topic = await log_factory.topic()
    producer, patient = await log.producer(), await (await log_factory.log()).producer()
    for emit in (
        Emit("missing-topic", b"key", b"v"),
        Emit("missing-topic", b"key", b"v", 0),
        Emit(topic, b"key", b"v", 7),
    ):
        with pytest.raises(PipelineError):
            await producer.send(emit)
        with pytest.raises(PipelineError):
            await producer.send_all([emit])
    assert await patient.send(Emit(topic, b"key", b"v", 0)) == (0, 0)
    assert (await producer.send(Emit(topic, b"key", b"v", 0)))[0] == 0
    await producer.stop()
    await patient.stop()


async def test_offsets_at_a_time_is_by_the_order_of_offsets_and_of_what_is_kept(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    base = 1_764_000_000_000
    producer = await log.producer()
    for seconds in (5, 1, 9, 3):
        await producer.send(Emit(partition.topic, b"key", b"v", 0), timestamp_ms=base + seconds * 1_000)
    await producer.stop()

    async def at(seconds: int) -> int:
        return (await log.offsets_at([partition], base + seconds * 1_000))[partition]

    assert [await at(seconds) for seconds in (0, 1, 5, 6, 9, 10)] == [0, 0, 0, 2, 2, 4]
    await log_factory.delete_before(partition, 1)
    assert [await at(seconds) for seconds in (0, 1, 2, 5, 6)] == [1, 1, 2, 2, 2]


async def test_a_member_beyond_the_end_begins_with_the_first_record_kept_and_counts_it(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    await commit(log, "task", emits(TopicPartition(topic, 0), b"0", b"1"))
    one = await member(topic)
    assert await one.read(2) == [b"0", b"1"]
    one.reader.seek(TopicPartition(topic, 0), 1_000)
    assert await one.read(4) == [b"0", b"1"] * 2
    assert one.reader.gaps == {topic: 1}
