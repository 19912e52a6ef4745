"""What is given up is given up at once and for good: nothing of a writer or reader is left or writes later."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection

from pipeline.errors import DeadlinePassed, LogUnavailable, TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.kafka.writer import KafkaWriter
from pipeline.runtime.log import TopicPartition

from .cluster import Cluster


class Remains:
    """What is left of the writers made since this was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tasks = asyncio.all_tasks()
        self.untold: list[dict[str, Any]] = []
        self.sent: list[str] = []
        """The client ids of all requests, in order."""
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.untold.append(context))
        send = AIOKafkaConnection.send

        def counted(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
            self.sent.append(connection._client_id)
            return send(connection, request, expect_response)

        monkeypatch.setattr(AIOKafkaConnection, "send", counted)

    async def tasks(self) -> set[str]:
        """The tasks that still run."""
        gc.collect()
        await asyncio.sleep(0)
        return {repr(task) for task in asyncio.all_tasks() - self._tasks}


@pytest.fixture
async def impatient(cluster: Cluster) -> AsyncIterator[KafkaLog]:
    # Less than the request timeout, after which the client connects anew and is deaf no more.
    log = KafkaLog(cluster.settings, client_id="test", commit_deadline_s=2)
    await log.start()
    yield log
    await log.stop()


def deaf(writer: KafkaWriter, group: int) -> None:
    """From now on no answer to this writer arrives, though its requests do."""
    assert writer._transactions is not None
    for (_, each), connection in writer._transactions.producer.client._conns.items():
        if each == group:
            connection._writer.transport.pause_reading()


@pytest.mark.parametrize("group", [ConnectionGroup.DEFAULT, ConnectionGroup.COORDINATION])
async def test_of_a_writer_whose_commit_ran_out_of_time_nothing_is_left_and_nothing_is_sent(
    group: int, cluster: Cluster, impatient: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    remains = Remains(monkeypatch)
    writer = impatient.writer("task")
    await writer.start()
    await writer.commit([Emit("out", b"k", b"first", 0)], {}, "group")
    deaf(writer, group)
    with pytest.raises(TaskLost):
        await writer.commit([Emit("out", b"k", b"lost", p) for p in range(4)], {}, "group")
    async with asyncio.timeout(4):  # the library's own way waits for deliveries until its request timeout
        await writer.stop()
    assert await remains.tasks() == set()
    sent = remains.sent.count("task")
    await asyncio.sleep(2)
    assert remains.sent.count("task") == sent
    successor = impatient.writer("task")
    await successor.start()
    await successor.commit([Emit("out", b"k", b"second", 0)], {}, "group")
    await successor.stop()
    assert await remains.tasks() == set()
    assert {record.value for record in await cluster.read("out")} == {b"first", b"second"}
    assert remains.untold == []


async def test_a_start_that_ran_out_of_time_never_fences_its_successor(
    impatient: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    remains = Remains(monkeypatch)
    answers = asyncio.Event()
    ask = AIOKafkaClient.coordinator_lookup

    async def late(client: AIOKafkaClient, *what: Any) -> Any:
        await answers.wait()
        return await ask(client, *what)

    monkeypatch.setattr(AIOKafkaClient, "coordinator_lookup", late)
    writer = impatient.writer("task")
    with pytest.raises(DeadlinePassed):
        await writer.start()
    await writer.stop()
    answers.set()
    sent = remains.sent.count("task")
    await asyncio.sleep(1)
    assert remains.sent.count("task") == sent
    assert await remains.tasks() == set()
    assert remains.untold == []


async def test_a_writer_that_is_stopped_in_a_commit_tells_that_its_task_is_lost(
    impatient: KafkaLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    remains = Remains(monkeypatch)
    writer = impatient.writer("task")
    await writer.start()
    await writer.commit([Emit("out", b"k", b"first", 0)], {}, "group")
    deaf(writer, ConnectionGroup.DEFAULT)
    commit = asyncio.create_task(writer.commit([Emit("out", b"k", b"lost", 0)], {}, "group"))
    await asyncio.sleep(0.1)
    await writer.stop()
    with pytest.raises(TaskLost):
        await commit
    assert await remains.tasks() == set()
    assert remains.untold == []


@pytest.mark.parametrize("what", ["reader", "writer", "producer", "log"])
async def test_what_is_canceled_while_it_connects_leaves_nothing(
    what: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect() -> Callable[[], Awaitable[None]]:
        if what == "reader":
            return (await cluster.log.reader({TopicPartition("in", 0): 0})).stop
        if what == "writer":
            writer = cluster.log.writer("task")
            try:
                await writer.start()
            except asyncio.CancelledError:
                await writer.stop()
                raise
            return writer.stop
        if what == "producer":
            return (await cluster.log.producer()).stop
        log = KafkaLog(cluster.settings, client_id="test")
        await log.start()
        return log.stop

    remains = Remains(monkeypatch)
    for turns in range(0, 60, 3):
        connecting = asyncio.create_task(connect())
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        connecting.cancel()
        await asyncio.wait({connecting})
        if not connecting.cancelled():
            await connecting.result()()
        await asyncio.sleep(0.05)
        assert await remains.tasks() == set()
    assert remains.untold == []


async def test_whoever_publishes_while_a_producer_is_stopped_is_told_that_nothing_was_acknowledged(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    remains = Remains(monkeypatch)
    producer = await cluster.log.producer()
    await producer.send(Emit("out", b"k", b"v", 0))
    for connection in producer._producer.current.client._conns.values():
        connection._writer.transport.pause_reading()
    # One waits for its acknowledgement, the other for the metadata of a topic that was not asked for yet.
    sending = [asyncio.create_task(producer.send(Emit(topic, b"k", b"v", 0))) for topic in ("out", "dead")]
    await asyncio.sleep(0.1)
    await producer.stop()
    for each in sending:
        with pytest.raises(LogUnavailable):
            await each
    assert await remains.tasks() == set()
    assert remains.untold == []


async def test_what_was_sent_before_a_producer_is_stopped_is_delivered_and_said_to_be(cluster: Cluster) -> None:
    producer = await cluster.log.producer()
    await producer.send(Emit("out", b"k", b"v"))
    sending = [asyncio.create_task(producer.send(Emit("out", b"k%d" % n, b"v"))) for n in range(500)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(each.done() for each in sending)
    await producer.stop()
    assert len(set(await asyncio.gather(*sending))) == 500
    assert len(await cluster.read("out")) == 501
