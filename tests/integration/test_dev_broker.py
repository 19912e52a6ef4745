"""The development broker against real Java and real Kafka."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

pytestmark = pytest.mark.kafka


async def test_a_broker_is_usable_the_moment_its_address_is_known(kafka: str, topic_prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(f"{topic_prefix}first", 3, 1)])
        (described,) = await admin.describe_topics([f"{topic_prefix}first"])
    finally:
        await admin.close()
    assert len(described["partitions"]) == 3
