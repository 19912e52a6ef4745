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


async def test_records_written_together_are_all_there_in_order_where_their_keys_say(
    log_factory: LogFactory, log: Log
) -> None:
    topic = await log_factory.topic(4)
    producer = await log.producer()
    emits = [Emit(topic, b"key-%d" % (number % 7), b"%d" % number, None, (("n", b"1"),)) for number in range(500)]
    emits += [Emit(topic, b"elsewhere", b"x", 3), Emit(topic, None, b"y", 3)]
    await producer.send_all(emits)
    await producer.stop()
    found = await scanned(log, *(TopicPartition(topic, number) for number in range(4)))
    assert sorted((record.key or b"", record.value) for record in found) == sorted(
        (emit.key or b"", emit.value) for emit in emits
    )
    for number in range(7):
        key = b"key-%d" % number
        own = [record for record in found if record.key == key]
        assert {record.partition for record in own} == {partition_for(key, 4)}
        assert [record.value for record in own] == [emit.value for emit in emits if emit.key == key]
        assert own[0].headers == (("n", b"1"),)


async def test_more_than_a_batch_holds_is_written_together_all_the_same(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic()
    producer = await log.producer()
    emits = [Emit(topic, b"key", incompressible(50_000), 0) for _ in range(30)]
    await producer.send_all(emits)
    await producer.send_all([])
    await producer.send_all([Emit(topic, None, b"anywhere")])
    await producer.stop()
    assert await values(log, TopicPartition(topic, 0)) == [*(emit.value for emit in emits), b"anywhere"]


async def test_of_records_written_together_one_too_large_is_told(log_factory: LogFactory, log: Log) -> None:
    topic = await log_factory.topic(max_message_bytes=20_000)
    producer = await log.producer()
    with pytest.raises(RecordTooLarge):
        await producer.send_all([Emit(topic, b"key", b"fits"), Emit(topic, b"key", incompressible(40_000))])
    await producer.send_all([Emit(topic, b"key", b"goes on")])
    await producer.stop()
    assert (await values(log, TopicPartition(topic, 0)))[-1] == b"goes on"


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
    await producer.send(Emit(topic, None, b"before"))
    with pytest.raises(RecordTooLarge):
        await producer.send(Emit(topic, None, incompressible(size)))
    await producer.send(Emit(topic, None, b"small"))
    await producer.stop()
    assert await values(log, TopicPartition(topic, 0)) == [b"before", b"small"]
