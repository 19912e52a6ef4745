"""SIGKILL at the worst moments of a transaction: input, state and output must agree afterwards."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

import orjson
import pytest

from .cluster import PARTITIONS, Cluster, eventually

pytestmark = pytest.mark.kafka
KEYS = 20
TOTAL = 600


@pytest.mark.parametrize("point", ["before_commit", "in_commit", "after_commit"])
async def test_kill_in_a_transaction_leaves_input_state_and_output_agreeing(cluster: Cluster, point: str) -> None:
    async def load() -> None:
        for _ in range(TOTAL // KEYS - 1):
            await cluster.publish([(b"k%d" % key, b"v") for key in range(KEYS)])
            await asyncio.sleep(0.05)

    loading = asyncio.create_task(load())
    doomed = await cluster.member("0", point, "3")
    assert await asyncio.wait_for(doomed.wait(), 40) == -signal.SIGKILL
    heir = await cluster.member("0")
    try:
        await loading
        # However quick the doomed one was, something is left that only its heir can do.
        await cluster.publish([(b"k%d" % key, b"v") for key in range(KEYS)])
        found = await cluster.outputs(TOTAL, within_s=60)
        await asyncio.sleep(1)
        found = await cluster.read("out")
    finally:
        heir.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(heir.wait(), 30) == 0
    # Each key's count goes 1, 2, 3 ... without gap or repeat only when state and output moved together.
    assert len(found) == TOTAL
    seen: dict[bytes, list[int]] = {}
    for record in found:
        seen.setdefault(record.key or b"", []).append(orjson.loads(record.value or b"")[2])
    assert all(counts == list(range(1, TOTAL // KEYS + 1)) for counts in seen.values())
    inputs = Counter((*orjson.loads(record.value or b"")[:2], record.partition) for record in found)
    assert set(inputs.values()) == {1}


async def test_a_static_member_that_restarts_in_time_causes_no_rebalance_at_the_other(cluster: Cluster) -> None:
    async with cluster.running(1) as (runner, measured):
        other = await cluster.member("0")

        async def shared() -> bool:
            return not runner.missing() and 0 < len(runner._running()) < PARTITIONS

        await eventually(shared, 30)
        before = measured.total("rebalances_total")
        other.kill()
        await other.wait()
        other = await cluster.member("0")
        await cluster.publish([(b"k%d" % i, b"v") for i in range(40)])
        await cluster.outputs(40, within_s=30)
        assert measured.total("rebalances_total") == before
        other.send_signal(signal.SIGTERM)
        await other.wait()
