"""Traps of reading: positions taken too early, fetched records that are dropped, names that are no text."""

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka.errors
import pytest
from aiokafka import ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.members import KafkaGroupReader
from pipeline.runtime.log import TopicPartition
from tests.contract.log.support import eventually

from .ground import Ground, Sent, still


class NoText(str):
    """A header name whose bytes on the wire are no UTF-8; the builder calls ``encode``."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


@pytest.mark.usefixtures("stock")
async def test_trap_a_paused_partition_has_a_position_before_its_owner_fenced_anybody(ground: Ground) -> None:
    """Of a commit that the former owner ends only then, the library knows nothing: its records would come twice."""
    partition = TopicPartition(await ground.topic(), 0)
    full = KafkaPartition(ground.prefix + partition.topic, 0)
    log = await ground.log()
    former = log.writer("task")
    await former.start()
    await former.commit([Emit(partition.topic, b"key", b"v", 0)] * 3, {partition: 1}, "group")

    class Paused(ConsumerRebalanceListener):
        async def on_partitions_assigned(self, assigned: Any) -> None:
            member.pause(*assigned)

        async def on_partitions_revoked(self, revoked: Any) -> None:
            return

    member = await ground.member(partition.topic, listener=Paused(), auto_offset_reset="none")

    def position() -> int | None:
        if not member.assignment():
            return None
        state = member._subscription.subscription.assignment.state_value(full)
        return state.position if state.has_valid_position else None

    with still("the trap of early positions", "task.py need not seek after the fence"):
        async with asyncio.timeout(20):
            while position() is None:  # noqa: ASYNC110 - the library has no event for this
                await asyncio.sleep(0.01)
        await former.commit([], {partition: 3}, "group")
        await former.stop()
        successor = log.writer("task")
        await successor.start()
        await successor.stop()
        assert (position(), await member.committed(full)) == (1, 3)


async def test_trap_our_member_has_no_position_of_the_librarys_when_it_is_assigned(ground: Ground) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log()
    writer = log.writer("task")
    await writer.start()
    await writer.commit([Emit(partition.topic, b"key", b"v", 0)] * 3, {partition: 2}, "group")
    await writer.stop()
    reader = log.group_reader("group", [partition.topic], "member-0")
    positions: list[int] = []

    async def assigned(_: frozenset[TopicPartition]) -> None:
        positions.append(await reader.position(partition))

    async def revoked(_: frozenset[TopicPartition]) -> None:
        return

    await reader.start(assigned, revoked)
    await eventually(lambda: bool(positions))
    assert await reader.fetch(timeout_ms=300, max_records=10) == {}
    assert [*positions, await reader.position(partition)] == [0, 0]
    assert await reader.committed(partition) == 2
    await reader.stop()


@pytest.mark.usefixtures("stock")
async def test_trap_pausing_drops_what_was_fetched(ground: Ground, sent: Sent) -> None:
    topic = ground.prefix + await ground.topic()
    partition = KafkaPartition(topic, 0)
    producer = await ground.producer()
    for number in range(10):
        await producer.send_and_wait(topic, b"%d" % number, partition=0)
    consumer = await ground.consumer(client_id="pausing", fetch_max_wait_ms=100)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    async with asyncio.timeout(20):
        while not (found := await consumer.getmany(timeout_ms=200, max_records=1)):
            pass
    assert [record.value for record in found[partition]] == [b"0"]
    assert partition in consumer._fetcher._records
    consumer.pause(partition)
    with still("the trap of dropped records", "task.py may pause a queue that is less than a fetch deep"):
        async with asyncio.timeout(20):
            assert await consumer.getmany(timeout_ms=200, max_records=1) == {}
        assert partition not in consumer._fetcher._records
    fetches = sent.count("FetchRequest", "pausing")
    consumer.resume(partition)
    async with asyncio.timeout(20):
        while not (found := await consumer.getmany(timeout_ms=200, max_records=1)):
            pass
    assert [record.value for record in found[partition]] == [b"1"]
    assert sent.count("FetchRequest", "pausing") > fetches


@pytest.mark.usefixtures("stock")
async def test_trap_the_ends_a_read_committed_consumer_tells_stop_at_an_open_transaction(ground: Ground) -> None:
    topic = await ground.topic()
    full = KafkaPartition(ground.prefix + topic, 0)
    producer = await ground.producer(transactional_id=ground.prefix + "open")
    await producer.begin_transaction()
    await producer.send_and_wait(full.topic, b"open", partition=0)
    reader = await ground.consumer(isolation_level="read_committed")
    log = await ground.log()
    with still("the trap of stable ends", "client.py may ask for ends as read_committed"):
        assert await reader.end_offsets([full]) == {full: 0}
    assert await log.end_offsets([TopicPartition(topic, 0)]) == {TopicPartition(topic, 0): 1}
    await producer.abort_transaction()


@pytest.mark.usefixtures("stock")
async def test_trap_a_header_name_that_is_no_text_stops_the_librarys_reader(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await ground.topic()
    full = KafkaPartition(ground.prefix + topic, 0)
    producer = await ground.producer()
    with monkeypatch.context() as patch:
        patch.setattr("aiokafka.producer.message_accumulator.DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
        batch = producer.create_batch()
        batch.append(key=b"key", value=b"v", timestamp=None, headers=[(NoText("x"), b"h")])
        await (await producer.send_batch(batch, full.topic, partition=0))
    await producer.stop()
    consumer = await ground.consumer(isolation_level="read_committed")
    consumer.assign([full])
    consumer.seek(full, 0)
    with still("the trap of header names", "header_names.py may go"), pytest.raises(UnicodeDecodeError):
        await consumer.getmany(timeout_ms=20_000)
    log = await ground.log()  # puts ours into the library
    reader = await log.reader({TopicPartition(topic, 0): 0})
    async with asyncio.timeout(20):
        while not (found := await reader.fetch(timeout_ms=200, max_records=10)):
            pass
    assert [record.headers for record in found] == [(("\\xff\\xfe", b"h"),)]
    await reader.stop()


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_trap_what_others_compressed_by_any_codec_is_read(ground: Ground, codec: str | None) -> None:
    """All codecs but gzip come by a package of its own, without which their records cannot be read at all."""
    topic = await ground.topic()
    producer = await ground.producer(compression_type=codec)
    await producer.send_and_wait(ground.prefix + topic, b"x" * 10_000, partition=0)
    await producer.stop()
    assert await ground.committed(TopicPartition(topic, 0)) == [b"x" * 10_000]


async def test_trap_a_position_that_nobody_can_correct_now_is_corrected_later(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker goes away between "out of range" and "where does it begin": no reason for a process to end."""
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log()
    producer = await log.producer()
    for number in range(3):
        await producer.send(Emit(partition.topic, b"key", b"%d" % number, 0))
    await producer.stop()
    await ground.delete_before(KafkaPartition(ground.prefix + partition.topic, 0), 2)
    reader = log.group_reader("group", [partition.topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)

    async def ignore(_: frozenset[TopicPartition]) -> None:
        return

    await reader.start(ignore, ignore)
    await eventually(lambda: bool(reader.assignment()))
    begin, asked = reader.consumer.beginning_offsets, []

    async def away_at_first(partitions: list[KafkaPartition]) -> Any:
        asked.append(partitions)
        if len(asked) == 1:
            raise aiokafka.errors.KafkaTimeoutError("nobody answers")
        return await begin(partitions)

    monkeypatch.setattr(reader.consumer, "beginning_offsets", away_at_first)
    reader.seek(partition, 0)
    reader.resume([partition])
    found: list[bytes | None] = []
    async with asyncio.timeout(30):
        while not found:
            for records in (await reader.fetch(timeout_ms=50, max_records=10)).values():
                found += [record.value for record in records]
    assert found == [b"2"]
    assert reader.gaps == {partition.topic: 1}
    await reader.stop()
