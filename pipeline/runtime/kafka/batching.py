"""Records by partition and batches of them, built here: handed over one by one, each costs the library a task, a future
and a look at its metadata."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline.runtime.api import Emit

BATCH_BYTES = 262_144
"""Largest batch handed to the broker; below the smallest ``max.message.bytes`` of our topics."""


def by_partition(emits: Iterable[Emit]) -> dict[tuple[str, int], list[Emit]]:
    """In the order of each partition; every ``partition`` is set."""
    grouped: dict[tuple[str, int], list[Emit]] = {}
    for emit in emits:
        assert emit.partition is not None
        grouped.setdefault((emit.topic, emit.partition), []).append(emit)
    return grouped


def batches(producer: AIOKafkaProducer, emits: Sequence[Emit]) -> Iterator[Any]:
    """Closed batches of records of one partition; at least one."""
    batch = producer.create_batch()
    for emit in emits:
        record = {"key": emit.key, "value": emit.value, "timestamp": None, "headers": list(emit.headers)}
        if batch.append(**record) is None:
            yield batch
            batch = producer.create_batch()
            batch.append(**record)
    batch.close()
    yield batch


async def delivered(producer: AIOKafkaProducer, prefix: str, emits: Sequence[Emit]) -> None:
    """Send them all and wait until they are acknowledged; every ``partition`` is set."""

    async def of_partition(topic: str, partition: int, records: Sequence[Emit]) -> None:
        # One behind the other: a batch is taken only when the one before it has left.
        acknowledged = [
            await producer.send_batch(batch, prefix + topic, partition=partition)
            for batch in batches(producer, records)
        ]
        await asyncio.gather(*acknowledged)

    await asyncio.gather(*(of_partition(*place, records) for place, records in by_partition(emits).items()))
