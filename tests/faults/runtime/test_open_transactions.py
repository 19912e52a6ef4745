"""Somebody's open transaction on a changelog partition: the first measured trap."""

from __future__ import annotations

import asyncio

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from tests.integration.runtime.cluster import PARTITIONS, Cluster, assert_agree, eventually, keys_of
from tests.integration.runtime.sample import Measured


async def stranger(cluster: Cluster) -> AIOKafkaProducer:
    """Another transactional id, with a transaction open on the changelog of task 0."""
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.settings.bootstrap_servers,
        transactional_id=f"{cluster.settings.topic_prefix}stranger",
        transaction_timeout_ms=120_000,
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(f"{cluster.settings.topic_prefix}count-state", b"x", key=b"stranger", partition=0)
    return producer


async def test_an_open_transaction_of_another_id_hides_committed_records_from_who_reads_to_the_stable_end(
    cluster: Cluster,
) -> None:
    """What Kafka does, and the reason for one writer per changelog partition and for the high watermark."""
    place = KafkaPartition(f"{cluster.settings.topic_prefix}count-state", 0)
    (key,) = keys_of(0, 1)
    async with cluster.running():
        await cluster.publish([(key, b"v")])
        await cluster.outputs(1)
        other = await stranger(cluster)
        await cluster.publish([(key, b"v")])
        await cluster.outputs(2)
    ends: dict[str, int] = {}
    for level in ("read_committed", "read_uncommitted"):
        consumer = AIOKafkaConsumer(bootstrap_servers=cluster.settings.bootstrap_servers, isolation_level=level)
        await consumer.start()
        ends[level] = (await consumer.end_offsets([place]))[place]
        await consumer.stop()
    await other.abort_transaction()
    await other.stop()
    # Entry, position and marker of the first transaction. The second is committed as well, and its output is there for
    # all to see; but its part of the state stands behind the stranger's record, and the stable end before it.
    assert ends == {"read_committed": 3, "read_uncommitted": 7}


async def test_a_restore_reads_to_the_high_watermark_and_waits_for_what_an_open_transaction_hides(
    cluster: Cluster,
) -> None:
    (key,) = keys_of(0, 1)
    async with cluster.running():
        await cluster.publish([(key, b"v")])
        await cluster.outputs(1)
        other = await stranger(cluster)
        await cluster.publish([(key, b"v")] * 2)
        await cluster.outputs(3)
    await cluster.publish([(key, b"v")])
    async with cluster.running() as (runner, measured):

        async def others_run() -> bool:
            return restores(measured) == PARTITIONS - 1

        await eventually(others_run, 60)
        await asyncio.sleep(1)
        # Without its state it does not begin, rather than with half of it.
        assert runner.missing() == ["count/0: restoring"]
        assert len(await cluster.read("out")) == 3
        await other.abort_transaction()
        found = await cluster.outputs(4, within_s=60)
    await other.stop()
    assert [orjson.loads(record.value or b"")[2] for record in found] == [1, 2, 3, 4]
    assert_agree(found, {key: 4})


def restores(measured: Measured) -> int:
    return sum(name == "restore_seconds" for name, _, _ in measured.seen)
