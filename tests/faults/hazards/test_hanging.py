"""Hazard 4: while brokers do not answer, nothing of an idempotent producer of the library's ends by itself."""

from __future__ import annotations

import asyncio

import aiokafka.errors
import pytest
from aiokafka import AIOKafkaProducer

from pipeline.errors import LogUnavailable
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import producer as producers
from pipeline.runtime.kafka.members import KafkaGroupReader
from pipeline.runtime.kafka.readers import KafkaReader
from pipeline.runtime.log import TopicPartition

from .ground import Ground, still

SEVERAL_TIMEOUTS_S = 2.0


def away(producer: AIOKafkaProducer) -> None:
    """From now on no broker can be reached; the producer's request timeout is a small part of what is waited."""

    async def refused(*_: object, **__: object) -> None:
        await asyncio.sleep(0.01)
        raise aiokafka.errors.KafkaConnectionError("the broker is away")

    producer.client.send = refused


@pytest.mark.usefixtures("stock")
async def test_hazard_04_the_library_waits_for_brokers_without_end(ground: Ground) -> None:
    topic = ground.prefix + await ground.topic()
    waiting: dict[str, asyncio.Future[object]] = {}
    for what in ("delivery", "flush", "commit", "stop"):
        options = {"transactional_id": ground.prefix + "task"} if what == "commit" else {}
        producer = await ground.producer(request_timeout_ms=200, retry_backoff_ms=20, **options)
        if what == "commit":
            await producer.begin_transaction()
        await producer.send_and_wait(topic, b"before", partition=0)
        away(producer)
        delivery = await producer.send(topic, b"undelivered", partition=0)
        waits = {"flush": producer.flush, "commit": producer.commit_transaction, "stop": producer.stop}
        waiting[what] = asyncio.ensure_future(waits[what]() if what in waits else asyncio.shield(delivery))
    with still("hazard 4", "writer.py, producer.py, client.py and abandon.py need not bound what they wait for"):
        await asyncio.wait(waiting.values(), timeout=SEVERAL_TIMEOUTS_S)
        assert [what for what, wait in waiting.items() if wait.done()] == []
    for wait in waiting.values():
        wait.cancel()
    await asyncio.wait(waiting.values())


async def test_hazard_04_our_producer_tells_that_nothing_was_acknowledged_and_stops(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await ground.topic()
    monkeypatch.setattr(producers, "FLUSH_S", 0.5)
    ground.settings = ground.settings.model_copy(update={"request_timeout_ms": 1_000})
    producer = await (await ground.log()).producer()
    await producer.send(Emit(topic, b"key", b"before", 0))
    away(producer._producer.current)
    sending = [producer.send(Emit(topic, b"key", b"undelivered", 0)), producer.send_all([Emit(topic, b"key", b"x", 0)])]
    async with asyncio.timeout(30):
        for told in await asyncio.gather(*sending, return_exceptions=True):
            assert isinstance(told, LogUnavailable)
        await producer.stop()


async def test_hazard_04_a_groups_position_that_nobody_tells_is_not_waited_for_without_end(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = await ground.topic()
    ground.settings = ground.settings.model_copy(update={"request_timeout_ms": 1_000})
    reader = (await ground.log()).group_reader("group", [topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)

    async def ignore(_: frozenset[TopicPartition]) -> None:
        return

    await reader.start(ignore, ignore)

    async def away_again(*_: object) -> None:
        raise aiokafka.errors.KafkaConnectionError("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(reader.consumer._coordinator, "_do_fetch_commit_offsets", away_again)
        async with asyncio.timeout(30):
            with pytest.raises(LogUnavailable):
                await reader.committed(TopicPartition(topic, 0))
    assert await reader.committed(TopicPartition(topic, 0)) is None
    await reader.stop()


async def test_hazard_04_a_position_that_is_looked_for_is_not_waited_for_without_end(ground: Ground) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    ground.settings = ground.settings.model_copy(update={"request_timeout_ms": 1_000})
    reader = await (await ground.log()).reader({partition: 50})  # out of range: the first record kept is asked for
    assert isinstance(reader, KafkaReader)

    async def away_again(*_: object, **__: object) -> None:
        raise aiokafka.errors.KafkaConnectionError("the broker is away")

    async def read_on() -> None:
        while True:
            await reader.fetch(timeout_ms=100, max_records=1)
            await reader.position(partition)

    reader._consumer._fetcher._proc_offset_request = away_again
    with pytest.raises(LogUnavailable):
        await asyncio.wait_for(read_on(), 30)
    await reader.stop()


async def test_hazard_04_of_a_member_whose_brokers_went_deaf_nothing_is_left_when_it_has_stopped(
    ground: Ground,
) -> None:
    topic = await ground.topic()
    log = await ground.log()
    before = asyncio.all_tasks()
    reader = log.group_reader("group", [topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)

    async def ignore(_: frozenset[TopicPartition]) -> None:
        return

    await reader.start(ignore, ignore)
    async with asyncio.timeout(30):
        while not reader.assignment():
            await reader.fetch(timeout_ms=50, max_records=10)
        for connection in reader.consumer._client._conns.values():
            connection._writer.transport.pause_reading()
        reader.rejoin()
        await asyncio.sleep(0.3)
        await reader.stop()
    await asyncio.sleep(0.1)
    assert {repr(task) for task in asyncio.all_tasks() - before} == set()
