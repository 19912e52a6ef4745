"""Bad producers make some records bad; when all are bad it is us."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import PoisonRun
from pipeline.runtime.kafka import KafkaLog
from tests.integration.runtime.cluster import Cluster, assert_agree, keys_of
from tests.integration.runtime.sample import Measured


async def test_a_hundred_bad_records_in_a_row_stop_the_stage_with_a_message_that_says_so(cluster: Cluster) -> None:
    (key,) = keys_of(0, 1)
    await cluster.publish([(key, b"v")] + [(key, b"poison")] * 100)
    log = KafkaLog(cluster.settings)
    await log.start()
    with pytest.raises(PoisonRun, match=r"100 records in a row could not be handled \(last: undecodable\)"):
        async with asyncio.timeout(60):
            await cluster.runner(log, Measured()).run()
    await log.stop()
    assert len(await cluster.read("dead")) == 100
    # A person starts it again: it goes on behind them, and none of them has to be told twice.
    await cluster.publish([(key, b"v")])
    async with cluster.running():
        found = await cluster.outputs(2, within_s=60)
    assert_agree(found, {key: 2})
    assert len(await cluster.read("dead")) == 100


async def test_one_bad_record_in_a_hundred_stops_nothing(cluster: Cluster) -> None:
    (key,) = keys_of(0, 1)
    await cluster.publish(([(key, b"poison")] + [(key, b"v")] * 99) * 12)
    async with cluster.running() as (runner, _):
        found = await cluster.outputs(12 * 99, within_s=60)
        assert runner.missing() == []
    assert_agree(found, {key: 12 * 99})
    assert len(await cluster.read("dead")) == 12
