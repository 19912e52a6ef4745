"""SIGKILL at the worst moments of a transaction: input, state and output must agree afterwards."""

from __future__ import annotations

import asyncio
import signal

import pytest

from .cluster import PARTITIONS, Cluster, Load, assert_agree, eventually

pytestmark = pytest.mark.kafka


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", ["before_commit", "in_commit", "after_commit"])
async def test_kill_in_a_transaction_leaves_input_state_and_output_agreeing(cluster: Cluster, point: str) -> None:
    load = Load(cluster)
    doomed = await cluster.member("0", point, "3")
    assert await asyncio.wait_for(doomed.wait(), 90) == -signal.SIGKILL
    if point == "before_commit":
        assert await cluster.hidden("out") > 0, "nothing was open when it died"
    await load.stop()
    heir = await cluster.member("0")
    try:
        # However quick the doomed one was, something is left that only its heir can do.
        await load.once()
        await cluster.outputs(load.published.total(), within_s=60)
        await asyncio.sleep(1)
        found = await cluster.read("out")
    finally:
        heir.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(heir.wait(), 30) == 0
    assert_agree(found, load.published)


async def test_a_static_member_that_restarts_in_time_causes_no_rebalance_at_the_other(cluster: Cluster) -> None:
    async with cluster.running(1) as (runner, measured):
        other = await cluster.member("0")

        async def shared() -> bool:
            return not runner.missing() and 0 < len(runner._running()) < PARTITIONS

        await eventually(shared, 60)
        before = measured.total("rebalances_total")
        other.kill()
        await other.wait()
        other = await cluster.member("0")
        await cluster.publish([(b"k%d" % i, b"v") for i in range(40)])
        await cluster.outputs(40, within_s=30)
        assert measured.total("rebalances_total") == before
        other.send_signal(signal.SIGTERM)
        await other.wait()
