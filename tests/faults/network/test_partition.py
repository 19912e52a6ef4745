"""A process that the network cuts off from its broker: the others take over, and it comes back by itself."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.runtime.runner import StageRunner
from pipeline.testing.kafka_proxy import Direction, Fault, Hold
from tests.integration.runtime.cluster import PARTITIONS, eventually

from .net import Net

pytestmark = pytest.mark.kafka
CUT = [None, Direction.REQUEST, Direction.RESPONSE]
SLOW = 300
"""Seconds a test may take that cuts for a minute, on a machine that does other things as well."""


def owns(runner: StageRunner[object]) -> int:
    return PARTITIONS if runner.missing() else len(runner._running())


async def shared(one: StageRunner[object], other: StageRunner[object], within_s: float) -> None:
    """Each has a part of the tasks, and all of them run."""

    async def found() -> bool:
        parts = [len(each._running()) for each in (one, other)]
        return not one.missing() and not other.missing() and min(parts) > 0 and sum(parts) == PARTITIONS

    await eventually(found, within_s)


async def cut_off(net: Net, direction: Direction | None, seconds: float) -> None:
    """Cut the first of two members off for so long, under load."""
    async with net.side.running(1) as (near, _), net.stage.running(0) as (far, _):
        async with net.load():
            await shared(near, far, 60)
            await net.catches_up()
            with net.proxy.during(Fault(Hold(), direction=direction, times=None)):
                hole = asyncio.create_task(asyncio.sleep(seconds))

                async def taken_over() -> bool:
                    return len(near._running()) == PARTITIONS and not near.missing()

                await eventually(taken_over, 60)
                await net.catches_up()
                await hole
                await net.catches_up()
            # What was held passes now, in the middle of everything: all that the cut-off member had said or was told.
            await shared(near, far, 90)
            await net.publish()
            await net.catches_up()
        await net.nothing_is_lost_or_doubled()


@pytest.mark.campaign
@pytest.mark.timeout(SLOW)
@pytest.mark.parametrize("direction", CUT, ids=["both_ways", "requests_only", "replies_only"])
async def test_of_a_member_cut_off_for_a_minute_another_takes_over_and_it_comes_back(
    net: Net, direction: Direction | None
) -> None:
    await cut_off(net, direction, 60)


@pytest.mark.campaign
@pytest.mark.timeout(SLOW)
async def test_a_member_alone_that_is_cut_off_for_a_minute_goes_on_by_itself(net: Net) -> None:
    async with net.stage.running() as (runner, _):
        async with net.load(every_s=0.5):
            await net.catches_up()
            with net.proxy.during(Fault(Hold(), times=None)):
                await asyncio.sleep(60)
            await net.catches_up(90)
            assert runner.missing() == []
        await net.nothing_is_lost_or_doubled()
