"""Transactions that their coordinator decided and a partition was never told of: found, and ended as decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.dev.broker import DevBroker
from pipeline.hanging import transactions as hanging
from pipeline.settings import KafkaSettings
from tests.kafka_fixtures import scratch

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

PREFIX, PART = "shop.", TopicPartition("shop.out", 0)


@pytest.fixture
async def lax(kafka_jars: str) -> AsyncIterator[DevBroker]:
    """A broker that takes records of a transaction that its coordinator knows nothing of."""
    lax = {"transaction.partition.verification.enable": "false"}
    async with DevBroker(kafka_version=kafka_jars, scratch=scratch(), properties=lax) as broker:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic(PART.topic, 1, 1)])
        await admin.close()
        yield broker


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "aborted"])
async def test_a_hanging_transaction_is_found_and_ended_as_its_coordinator_decided(
    lax: DevBroker, committed: bool
) -> None:
    kafka = KafkaSettings(bootstrap_servers=lax.bootstrap_servers, topic_prefix=PREFIX)
    producer = await _begun(lax, committed=committed)
    try:
        await _written_unknown_to_the_coordinator(producer, at_ms=int(time.time() * 1000) - 60_000)
        (found,) = await hanging.find(kafka)
        assert found.decision is not None
        assert (found.open.topic, found.decision.committed) == (PART.topic, committed)
        before = await _read(lax)
        await hanging.end(kafka, [found])
        assert await hanging.find(kafka) == []
        assert await _read(lax) == before + ([b"hanging"] if committed else [])
    finally:
        await _dropped(producer)


async def test_what_is_written_after_the_last_decision_is_for_nobody_else_to_decide(lax: DevBroker) -> None:
    kafka = KafkaSettings(bootstrap_servers=lax.bootstrap_servers, topic_prefix=PREFIX)
    producer = await _begun(lax, committed=True)
    try:
        await _written_unknown_to_the_coordinator(producer, at_ms=int(time.time() * 1000) + 60_000)
        assert await hanging.find(kafka) == []
    finally:
        await _dropped(producer)


async def _begun(broker: DevBroker, *, committed: bool) -> AIOKafkaProducer:
    """One transaction decided and told to everybody."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, transactional_id=f"{PREFIX}task")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(PART.topic, b"told", partition=PART.partition)
    await (producer.commit_transaction() if committed else producer.abort_transaction())
    # The marker comes after the answer.
    while await _end(broker, "read_committed") != await _end(broker, "read_uncommitted"):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return producer


async def _written_unknown_to_the_coordinator(producer: AIOKafkaProducer, *, at_ms: int) -> None:
    """As if the partition had been left out of what was decided: the time makes it older than the decision."""
    await producer.begin_transaction()
    producer._txn_manager._txn_partitions.add(PART)
    await producer.send_and_wait(PART.topic, b"hanging", partition=PART.partition, timestamp_ms=at_ms)


async def _dropped(producer: AIOKafkaProducer) -> None:
    """Without the abort that closing it brings."""
    producer._txn_manager._txn_partitions.clear()
    await producer.stop()


async def _read(broker: DevBroker) -> list[bytes | None]:
    end = await _end(broker, "read_committed")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([PART])
        found: list[bytes | None] = []
        while await consumer.position(PART) < end:
            found += [record.value for record in (await consumer.getmany(timeout_ms=500)).get(PART, [])]
        return found
    finally:
        await consumer.stop()


async def _end(broker: DevBroker, level: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers, isolation_level=level)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([PART]))[PART])
    finally:
        await consumer.stop()
