"""What a plain producer promises."""

from __future__ import annotations

import pytest

from pipeline.errors import RecordTooLarge
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Log, TopicPartition
from pipeline.runtime.partition import partition_for
from tests.contract.log.support import LogFactory, incompressible, scanned, values


async def test_send_returns_where_the_record_was_written(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic(3)
    producer = await log.producer()
    assert await producer.send(Emit(topic, b"key", b"first", 2)) == (2, 0)
    assert await producer.send(Emit(topic, b"key", b"second", 2)) == (2, 1)
    await producer.stop()
    assert await values(log, TopicPartition(topic, 2)) == [b"first", b"second"]


async def test_a_key_decides_the_partition_as_in_java_clients(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic(4)
    producer = await log.producer()
    keys = [b"+4915112345678", b"someone@example.org", b"", *(b"key-%d" % number for number in range(20))]
    for key in keys:
        partition, _ = await producer.send(Emit(topic, key, b"value"))
        assert partition == partition_for(key, 4)
    await producer.stop()
    found = await scanned(log, *(TopicPartition(topic, number) for number in range(4)))
    assert {record.key: record.partition for record in found} == {key: partition_for(key, 4) for key in keys}


async def test_a_record_without_a_key_goes_to_some_partition(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic(2)
    producer = await log.producer()
    partition, offset = await producer.send(Emit(topic, None, b"value"))
    await producer.stop()
    [record] = await scanned(log, TopicPartition(topic, partition))
    assert (record.offset, record.key, record.value) == (offset, None, b"value")


async def test_the_record_is_visible_once_send_has_returned(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic()
    producer = await log.producer()
    for number in range(1, 6):
        await producer.send(Emit(topic, None, b"%d" % number))
        assert len(await values(log, TopicPartition(topic, 0))) == number
    await producer.stop()


@pytest.mark.parametrize("size", [40_000, 2_000_000])
async def test_a_record_too_large_is_refused_and_the_producer_goes_on(
    log_factory: LogFactory, log: Log, size: int
) -> None:
    topic = await log_factory.topic(max_message_bytes=20_000)
    producer = await log.producer()
    with pytest.raises(RecordTooLarge):
        await producer.send(Emit(topic, None, incompressible(size)))
    await producer.send(Emit(topic, None, b"small"))
    await producer.stop()
    assert await values(log, TopicPartition(topic, 0)) == [b"small"]
