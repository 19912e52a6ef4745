"""An output that passes our own check and that the broker refuses: only its input is given up."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest

from tests.integration.runtime.cluster import Cluster, assert_agree, keys_of


@pytest.fixture
async def narrow(kafka: str, topic_prefix: str) -> AsyncIterator[Cluster]:
    async with Cluster.of(kafka, topic_prefix, {"out": {"max.message.bytes": "20000"}}) as cluster:
        yield cluster


async def test_a_record_that_the_broker_refuses_for_its_size_is_dead_lettered_and_its_partition_goes_on(
    narrow: Cluster,
) -> None:
    first, second = keys_of(0, 2)
    # In one batch with innocent ones: which of them it was the broker does not say.
    await narrow.publish([(first, b"v"), (second, b"v"), (first, b"big:50000"), (second, b"v"), (first, b"v")])
    async with narrow.running() as (runner, measured):
        found = await narrow.outputs(4, within_s=60)
        dead = await narrow.outputs(1, topic="dead")
        await narrow.publish([(first, b"v")])
        found = await narrow.outputs(5)
        assert runner.missing() == []
    assert [orjson.loads(record.value or b"") for record in dead] == [["too_large", "in", 2]]
    assert_agree(found, {first: 3, second: 2})
    # Once to find out which one it was, unless it was alone, and once to leave it out.
    assert 1 <= measured.total("task_rebuilds_total") <= 2
