"""How a producer or consumer is given up for good: nothing of it runs on, waits, or sends under its epoch.

Closing it the library's way waits for what is still to be delivered, and that may never be (hazard 4, aiokafka#1101;
``test_hazard_04_the_library_waits_for_brokers_without_end`` tells when it is mended): its tasks then
outlive it, connect anew, and go on with the transaction or, from a start that ran out of time, fence the successor.
What was sent before cannot be called back; the successor's InitProducerId decides about that.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection

WITHIN_S = 1.0
"""More than canceled tasks and cut connections need, which is a few turns of the loop."""


async def abandon(producer: AIOKafkaProducer, *more: asyncio.Task[Any]) -> None:
    """End the producer's tasks and ``more``, cut its connections, and see to it that nobody is told of it later."""
    producer._closed = True
    client, accumulator = producer.client, producer._message_accumulator
    await _end(client, more, producer, producer._sender, accumulator)
    # What failed before, and nobody was waiting for.
    batches = itertools.chain(accumulator._pending_batches, *accumulator._batches.values())
    failed = [each for batch in batches for each in (batch.future, batch._drain_waiter)]
    for future in (*failed, producer._txn_manager._transaction_waiter):
        if future is not None and future.done() and not future.cancelled():
            future.exception()


async def abandon_consumer(consumer: AIOKafkaConsumer, *more: asyncio.Task[Any]) -> None:
    """End the consumer's tasks and ``more``, and cut its connections.

    Its own way waits for the answer to whatever it has asked its group: a join has no answer until the rebalance ends.
    """
    consumer._closed = True
    client = consumer._client
    parts = [part for part in (consumer, consumer._coordinator, consumer._fetcher) if part is not None]
    await _end(client, more, *parts)


async def _end(client: AIOKafkaClient, more: Iterable[asyncio.Task[Any]], *parts: object) -> None:
    """End the tasks of these parts and of their client, and ``more``; cut the client's connections."""
    tasks = {task for task in more if not task.done()} | _tasks_of(client, *parts)
    for task in tasks:
        cut_off(task)
    for connection in client._conns.values():
        _abort(connection)
    if tasks:
        await asyncio.wait(tasks, timeout=WITHIN_S)


def cut_off(task: asyncio.Task[Any]) -> None:
    """Cancel a task of the library, and close the connection that it may have just made and nobody else knows."""
    coroutine: Any = task.get_coro()
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        for value in frame.f_locals.values():
            if isinstance(value, AIOKafkaConnection):
                _abort(value)
        coroutine = coroutine.cr_await
    task.cancel()


def _abort(connection: AIOKafkaConnection) -> None:
    if connection._writer is not None:
        # Closed only, it would first deliver what the broker has not taken yet, however long that lasts.
        connection._writer.transport.abort()
    connection.close()


def _tasks_of(*objects: object) -> set[asyncio.Task[Any]]:
    """The running tasks that are methods of these; the library keeps no list of them."""
    return {task for task in asyncio.all_tasks() if any(_self(task) is each for each in objects)}


def _self(task: asyncio.Task[Any]) -> object:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return None if frame is None else frame.f_locals.get("self")
