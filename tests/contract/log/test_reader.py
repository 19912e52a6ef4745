"""What readers of fixed partitions, and questions about offsets, promise."""

from __future__ import annotations

import asyncio
import time

import pytest

from pipeline.errors import Misconfigured
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import Log, Reader, TopicPartition
from tests.contract.log.support import LogFactory, abort, commit, emits, scanned, values


async def drain(reader: Reader, patience_ms: int) -> list[bytes | None]:
    """Everything that comes before nothing comes for ``patience_ms``."""
    found: list[Record] = []
    while records := await reader.fetch(timeout_ms=patience_ms, max_records=100):
        found += records
    return [record.value for record in found]


async def reached(reader: Reader, partition: TopicPartition, offset: int) -> bool:
    """Whether the position gets to ``offset``; nothing may be handed out on the way."""
    async with asyncio.timeout(20):
        while await reader.position(partition) < offset:
            assert await reader.fetch(timeout_ms=50, max_records=100) == []
    return await reader.position(partition) == offset


async def test_a_record_comes_back_as_it_was_written(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic()
    headers = (("schema", b"VerificationRequest"), ("traceparent", b""), ("schema", b"\x00\xff"))
    await commit(
        log,
        "task",
        [
            Emit(topic, b"k\x00\xff", b"v\x00\xff", 0, headers),
            Emit(topic, None, b"no key", 0),
            Emit(topic, b"no value", None, 0),
            Emit(topic, b"", b"", 0),
        ],
    )
    found = await scanned(log, TopicPartition(topic, 0))
    assert [(record.key, record.value) for record in found] == [
        (b"k\x00\xff", b"v\x00\xff"),
        (None, b"no key"),
        (b"no value", None),
        (b"", b""),
    ]
    assert found[0].headers == headers
    assert found[1].headers == ()
    assert found[0].header("schema") == b"VerificationRequest"
    assert [record.offset for record in found] == [0, 1, 2, 3]
    assert {(record.topic, record.partition) for record in found} == {(topic, 0)}


async def test_each_partition_is_read_in_the_order_it_was_written(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic(3)
    partitions = [TopicPartition(topic, number) for number in range(3)]
    for turn in range(5):
        await commit(log, "task", [emit for where in partitions for emit in emits(where, b"%d" % turn, b"%d'" % turn)])
    found = await scanned(log, *partitions)
    for where in partitions:
        mine = [record for record in found if record.partition == where.partition]
        assert [record.value for record in mine] == [
            value for turn in range(5) for value in (b"%d" % turn, b"%d'" % turn)
        ]
        assert [record.offset for record in mine] == sorted(record.offset for record in mine)


async def test_reading_starts_at_the_offset_asked_for(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2", b"3"))
    assert await values(log, partition, start=2) == [b"2", b"3"]


async def test_a_fetch_returns_nothing_when_nothing_comes_in_time_and_then_what_comes(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    reader = await log.reader({partition: 0})
    assert await reader.fetch(timeout_ms=log_factory.patience_ms, max_records=10) == []
    waiting = asyncio.create_task(reader.fetch(timeout_ms=10_000, max_records=10))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    await commit(log, "task", emits(partition, b"new"))
    assert [record.value for record in await waiting] == [b"new"]
    assert time.monotonic() - began < 9
    await reader.stop()


async def test_a_fetch_returns_at_most_as_many_records_as_asked_for(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, *(b"%d" % number for number in range(10))))
    reader = await log.reader({partition: 0})
    sizes = []
    found: list[bytes | None] = []
    while records := await reader.fetch(timeout_ms=log_factory.patience_ms, max_records=4):
        sizes.append(len(records))
        found += [record.value for record in records]
    await reader.stop()
    assert max(sizes) <= 4
    assert found == [b"%d" % number for number in range(10)]


async def test_a_reader_never_sees_aborted_records_and_its_position_passes_them(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, b"kept"))
    await abort(log_factory, partition, b"aborted 1", b"aborted 2")
    end = (await log.end_offsets([partition]))[partition]
    assert end == 5  # kept, marker, two aborted, marker
    reader = await log.reader({partition: 0})
    records = await reader.fetch(timeout_ms=5_000, max_records=100)
    assert [record.value for record in records] == [b"kept"]
    assert await reached(reader, partition, end)
    await commit(log, "task", emits(partition, b"next"))
    assert [record.value for record in await reader.fetch(timeout_ms=5_000, max_records=100)] == [b"next"]
    await reader.stop()


async def test_a_reader_stops_at_an_open_transaction_until_it_is_decided(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic(2)
    partition, neighbour = TopicPartition(topic, 0), TopicPartition(topic, 1)
    transaction = await log_factory.leave_transaction_open(topic, 0, values=[b"open"])
    producer = await log.producer()
    await producer.send(Emit(topic, None, b"behind it", 0))
    await producer.send(Emit(topic, None, b"elsewhere", 1))
    reader = await log.reader({partition: 0, neighbour: 0})
    assert await drain(reader, log_factory.patience_ms) == [b"elsewhere"]
    assert await reader.position(partition) == 0
    await transaction.commit()
    found: list[bytes | None] = []
    while len(found) < 2:
        found += [record.value for record in await reader.fetch(timeout_ms=5_000, max_records=100)]
    assert found == [b"open", b"behind it"]
    await producer.stop()
    await reader.stop()


async def test_end_offsets_are_the_high_watermark_also_with_an_open_transaction(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    assert await log.end_offsets([partition]) == {partition: 0}
    transaction = await log_factory.leave_transaction_open(partition.topic, 0, values=[b"1", b"2"])
    assert await log.end_offsets([partition]) == {partition: 2}
    await transaction.commit()
    reader = await log.reader({partition: 2})
    assert await reached(reader, partition, 3)
    assert await log.end_offsets([partition]) == {partition: 3}
    await reader.stop()


async def test_a_scan_waits_for_an_open_transaction_before_its_end(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    transaction = await log_factory.leave_transaction_open(partition.topic, 0, values=[b"open"])
    scan = asyncio.create_task(values(log, partition))
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    assert not scan.done()
    await transaction.commit()
    assert await scan == [b"open"]


async def test_a_scan_of_an_empty_partition_ends(log_factory: LogFactory, log: Log) -> None:
    assert await values(log, TopicPartition(await log_factory.topic(), 0)) == []


async def test_a_scan_ends_on_partitions_that_end_in_markers_and_aborted_records(
    log_factory: LogFactory, log: Log
) -> None:
    topic = await log_factory.topic(4)
    ends_in_marker, ends_aborted, only_aborted, empty = (TopicPartition(topic, number) for number in range(4))
    await commit(log, "task", [*emits(ends_in_marker, b"1"), *emits(ends_aborted, b"2")])
    await abort(log_factory, ends_aborted, b"aborted")
    await abort(log_factory, only_aborted, b"aborted")
    found = await values(log, ends_in_marker, ends_aborted, only_aborted, empty)
    assert sorted(value for value in found if value) == [b"1", b"2"]


async def test_a_scan_ends_when_it_starts_behind_the_last_record_but_before_the_marker(
    log_factory: LogFactory, log: Log
) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    await commit(log, "task", emits(partition, b"0"))
    assert await values(log, partition, start=1) == []


async def test_a_scan_ends_on_a_partition_with_compacted_gaps(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(compacted=True), 0)
    for value in (b"old", b"older than new", b"new"):
        await commit(log, "task", emits(partition, value))
    await abort(log_factory, partition, b"aborted")
    end = (await log.end_offsets([partition]))[partition]
    await log_factory.compact(partition)
    for start in range(end):
        kept = [value for value in await values(log, partition, start=start) if value != b"tick"]
        assert b"old" not in kept
        assert kept[-1:] in ([b"new"], [])
    assert b"new" in await values(log, partition)


async def test_start_offsets_are_the_first_record_that_retention_kept(log_factory: LogFactory, log: Log) -> None:
    partition = TopicPartition(await log_factory.topic(), 0)
    assert await log.start_offsets([partition]) == {partition: 0}
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    await log_factory.delete_before(partition, 2)
    assert await log.start_offsets([partition]) == {partition: 2}
    assert await values(log, partition, start=2) == [b"2"]


async def test_offsets_at_is_the_first_record_not_earlier_and_the_end_where_there_is_none(
    log_factory: LogFactory, log: Log
) -> None:
    topic = await log_factory.topic(2)
    partition, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    base = 1_764_000_000_000
    producer = await log.producer()
    for number in range(5):
        await producer.send(Emit(topic, None, b"%d" % number, 0), timestamp_ms=base + number * 1_000)
    await producer.stop()

    async def at(timestamp_ms: int) -> int:
        return (await log.offsets_at([partition], timestamp_ms))[partition]

    assert await at(0) == 0
    assert await at(base + 1_000) == 1
    assert await at(base + 1_001) == 2
    assert await at(base + 4_000) == 4
    assert await log.offsets_at([partition, empty], base + 4_001) == {partition: 5, empty: 0}
    assert await log.offsets_at([], base) == {}


async def test_the_writers_time_is_kept_unless_the_topic_uses_the_append_time(
    log_factory: LogFactory, log: Log
) -> None:
    theirs = TopicPartition(await log_factory.topic(), 0)
    brokers = TopicPartition(await log_factory.topic(append_time=True), 0)
    producer = await log.producer()
    for where in (theirs, brokers):
        await producer.send(Emit(where.topic, None, b"", 0), timestamp_ms=1_600_000_000_000)
    await producer.stop()
    [by_writer], [by_broker] = await scanned(log, theirs), await scanned(log, brokers)
    assert by_writer.timestamp_ms == 1_600_000_000_000
    assert by_broker.timestamp_ms > 1_700_000_000_000


async def test_partitions_counts_them_and_a_missing_topic_is_misconfigured(log_factory: LogFactory, log: Log) -> None:
    assert await log.partitions(await log_factory.topic(3)) == 3
    with pytest.raises(Misconfigured, match="missing-topic"):
        await log.partitions("missing-topic")
