"""Members that join and leave under load: one output per input, counted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.integration.runtime.cluster import Cluster, Load, assert_agree


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("joins", "pause_s"),
    [pytest.param(2, 1.0, id="quick"), pytest.param(15, 2.0, id="30s", marks=pytest.mark.campaign)],
)
async def test_members_that_join_and_leave_under_load_leave_one_output_per_input(
    cluster: Cluster, joins: int, pause_s: float
) -> None:
    async with AsyncExitStack() as steady:
        _, measured = await steady.enter_async_context(cluster.running(0))
        load = Load(cluster)
        # Each has a place of its own: it joins by a rebalance, and is missed when its session has ended.
        for number in range(1, joins):
            async with cluster.running(number):
                await asyncio.sleep(pause_s)
        await steady.enter_async_context(cluster.running(joins))
        await asyncio.sleep(pause_s)
        await load.stop()
        await cluster.outputs(load.published.total(), within_s=120)
        await asyncio.sleep(0.5)
        found = await cluster.read("out")
    assert measured.total("rebalances_total") >= joins / 2
    assert_agree(found, load.published)
