"""Tasks taken over behind the back of the group: by a twin, or because their process stood still for too long."""

from __future__ import annotations

import asyncio

from pipeline.testing import virtual_time
from tests.unit.runtime.counting import World


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
