"""A restore comes to its end whatever its changelog ends in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.restore import POSITION_KEY, encode_position
from tests.integration.runtime.cluster import PARTITIONS, Cluster, eventually, keys_of
from tests.integration.runtime.sample import Count, CountingStage

ENDS_IN_MARKER, ENDS_ABORTED, ONLY_ABORTED, GAPS = range(PARTITIONS)


@pytest.fixture
async def compacting(kafka: str, topic_prefix: str) -> AsyncIterator[Cluster]:
    # Closed at once, cleaned at once, tombstones gone at once.
    config = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"}
    async with Cluster.of(kafka, topic_prefix, {"count-state": config}) as cluster:
        yield cluster


async def commit(cluster: Cluster, partition: int, *entries: tuple[bytes, bytes | None]) -> None:
    writer = cluster.log.writer(f"count.{partition}")
    await writer.start()
    await writer.commit([Emit("count-state", key, value, partition) for key, value in entries], {}, "count")
    await writer.stop()


async def abort(cluster: Cluster, partition: int, key: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.settings.bootstrap_servers,
        transactional_id=f"{cluster.settings.topic_prefix}count.{partition}",
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(f"{cluster.settings.topic_prefix}count-state", seen(99), key=key, partition=partition)
    await producer.abort_transaction()
    await producer.stop()


def seen(times: int) -> bytes:
    return CountingStage().encode(Count(times))


async def offsets(cluster: Cluster, partition: int) -> list[int]:
    """What a reader is handed of a changelog partition."""
    where = TopicPartition("count-state", partition)
    return [record.offset async for records in scan(cluster.log, {where: 0}) for record in records]


async def write_changelogs(cluster: Cluster, keys: list[bytes]) -> None:
    position = (POSITION_KEY, encode_position({"in": 0, "in.bulk": 0}, PARTITIONS))
    for number in (ENDS_IN_MARKER, ENDS_ABORTED):
        await commit(cluster, number, (keys[number], seen(7)), position)
    for number in (ENDS_ABORTED, ONLY_ABORTED):
        await abort(cluster, number, keys[number])
    # Each in a segment of its own: in the middle goes what was overwritten, at the end a value with its tombstone.
    await commit(cluster, GAPS, (b"first", seen(1)), position)
    for times in (5, 6, 7):
        await commit(cluster, GAPS, (keys[GAPS], seen(times)))
        await asyncio.sleep(0.15)
    for value in (seen(1), None):
        await commit(cluster, GAPS, (b"gone", value))
        await asyncio.sleep(0.15)

    async def has_gaps() -> bool:
        # The cleaner marks a tombstone the first time it comes by, and takes it with the next; it comes when there is
        # something new. This is the end: aborted, and before it nothing of what was once there.
        await abort(cluster, GAPS, keys[GAPS])
        await asyncio.sleep(0.3)
        return await offsets(cluster, GAPS) == [0, 1, 7]

    await eventually(has_gaps, 60)


async def test_restore_ends_on_markers_aborted_records_and_compacted_gaps(compacting: Cluster) -> None:
    keys = [keys_of(number, 1)[0] for number in range(PARTITIONS)]
    await write_changelogs(compacting, keys)
    async with compacting.running() as (_, measured):
        await compacting.publish([(key, b"v") for key in keys])
        found = await compacting.outputs(PARTITIONS, within_s=60)
    counts = {record.key: orjson.loads(record.value or b"")[2] for record in found}
    assert [counts[key] for key in keys] == [8, 8, 1, 8]
    assert measured.total("task_rebuilds_total") == 0
