"""Ids that the broker has forgotten, as after a week without a record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from pipeline.dev.broker import DevBroker
from tests.integration.runtime.cluster import PARTITIONS, Cluster, assert_agree, keys_of
from tests.kafka_fixtures import scratch

FORGETS_MS = 1_500


@pytest.fixture
def forgetful(kafka_jars: str) -> Iterator[str]:
    """A broker that forgets transactional ids, and what a producer wrote last, soon after."""
    forgets = {
        "transactional.id.expiration.ms": str(FORGETS_MS),
        "transaction.remove.expired.transaction.cleanup.interval.ms": "300",
        "producer.id.expiration.ms": str(FORGETS_MS),
        "producer.id.expiration.check.interval.ms": "300",
    }
    with DevBroker(kafka_version=kafka_jars, scratch=scratch(), properties=forgets) as broker:
        yield broker.bootstrap_servers


@pytest.mark.campaign
async def test_a_task_whose_producer_id_has_expired_is_built_anew_and_goes_on(
    forgetful: str, topic_prefix: str
) -> None:
    keys = [keys_of(number, 1)[0] for number in range(PARTITIONS)]
    async with Cluster.of(forgetful, topic_prefix) as cluster, cluster.running() as (runner, measured):
        for times in range(1, 4):
            await cluster.publish([(key, b"v") for key in keys])
            found = await cluster.outputs(times * len(keys), within_s=60)
            await asyncio.sleep(2 * FORGETS_MS / 1000)
        assert runner.missing() == []
        lost = [of["cause"] for name, _, of in measured.seen if name == "task_rebuilds_total"]
    assert_agree(found, dict.fromkeys(keys, 3))
    # Each of the two pauses costs each task a rebuild; on a slow machine an id may expire in other pauses too.
    assert set(lost) == {"tasklost"}
    assert len(lost) >= 2 * PARTITIONS
