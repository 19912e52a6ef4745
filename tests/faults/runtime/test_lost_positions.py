"""A group whose positions the broker forgot, and inputs that retention has overrun (hazard 19)."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs

from tests.integration.runtime.cluster import Cluster, assert_agree, eventually, keys_of


async def test_a_group_that_the_broker_forgot_goes_on_where_its_state_is(cluster: Cluster) -> None:
    (key,) = keys_of(0, 1)
    async with cluster.running():
        await cluster.publish([(key, b"v")] * 3)
        await cluster.outputs(3)
    admin = AdminClient({"bootstrap.servers": cluster.settings.bootstrap_servers})
    group = cluster.settings.topic_prefix + "count"

    async def forgotten() -> bool:
        # A static member is missed only when its session has ended.
        (deleting,) = admin.delete_consumer_groups([group]).values()
        try:
            await asyncio.wrap_future(deleting)
        except Exception:
            return False
        return True

    await eventually(forgotten, 60)
    await cluster.publish([(key, b"v")] * 2)
    async with cluster.running():
        await cluster.outputs(5)
        await asyncio.sleep(0.5)
        found = await cluster.read("out")
    assert_agree(found, {key: 5})


async def test_a_position_that_retention_has_overrun_is_told_and_nothing_kept_is_skipped_or_read_again(
    cluster: Cluster,
) -> None:
    (key,) = keys_of(0, 1)
    async with cluster.running():
        await cluster.publish([(key, b"v")] * 3)
        await cluster.outputs(3)
    await cluster.publish([(key, b"v")] * 4)  # offsets 3 to 6
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.settings.bootstrap_servers)
    await admin.start()
    try:
        place = KafkaPartition(f"{cluster.settings.topic_prefix}in", 0)
        await admin.delete_records({place: RecordsToDelete(before_offset=5)})
    finally:
        await admin.close()
    with capture_logs() as told:
        async with cluster.running() as (_, measured):
            await cluster.outputs(5)

            async def counted() -> bool:
                return measured.total("offset_gaps_total") == 1

            await eventually(counted, 30)
            found = await cluster.read("out")
    assert_agree(found, {key: 5})
    gaps = [line for line in told if line["action"] == "offset_gap"]
    assert [(line["position"], line["first_kept"]) for line in gaps] == [(3, 5)]


pytestmark = pytest.mark.kafka
