"""Tasks taken over behind the back of the group: by a twin, or because their process stood still for too long."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import Misconfigured
from pipeline.testing import virtual_time
from tests.unit.runtime.counting import World, world


async def take_over(world: World, *partitions: int) -> None:
    """Become the owner of these tasks behind the back of the group, and give each something to notice it by."""
    for number in partitions:
        await world.log.writer(f"count.{number}").start()
        await world.publish(b"v", partition=number)


def test_a_freeze_that_fences_every_task_at_once_is_one_takeover() -> None:
    async def story() -> None:
        world = World(partitions=8)
        async with world.running() as (runner, _, work):
            await asyncio.sleep(2)
            await take_over(world, *range(8))
            await asyncio.sleep(10)
            assert not work.done()
            assert runner.missing() == []
        assert await world.seen() == [1] * 8

    virtual_time.run(story())


@world
async def test_a_process_whose_tasks_are_taken_over_again_and_again_says_why_and_ends(world: World) -> None:
    async with world.running() as (_, _, work):
        for _ in range(5):
            await asyncio.sleep(2)
            assert not work.done()
            await take_over(world, 0)
        await asyncio.sleep(2)
        assert work.done()
    with pytest.raises(Misconfigured, match="--instance"):
        work.result()
