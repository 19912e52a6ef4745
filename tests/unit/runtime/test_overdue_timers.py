"""What a stage finds when it comes back after its deadlines."""

from __future__ import annotations

import asyncio

from pipeline.testing import virtual_time
from tests.unit.runtime.waiting import World


def test_a_stage_back_after_its_deadlines_reads_what_came_in_time_before_it_gives_up() -> None:
    """The person answered in time while nobody read; a timer that fired at once would turn that into a failure."""

    async def story() -> list[bytes | None]:
        world = World()
        await world.write("questions", b"wait")
        await world.run_for(5)
        await world.write("answers", b"answer")
        await asyncio.sleep(60)
        await world.run_for(5)
        return await world.told()

    assert virtual_time.run(story()) == [b"wait", b"answer"]


def test_a_stage_back_after_its_deadlines_gives_up_once_where_nothing_came() -> None:
    async def story() -> list[bytes | None]:
        world = World()
        await world.write("questions", b"wait")
        await world.run_for(5)
        await asyncio.sleep(60)
        await world.run_for(5)
        await world.run_for(5)
        return await world.told()

    assert virtual_time.run(story()) == [b"wait", b"gave up"]


def test_an_answer_that_came_too_late_does_not_stop_the_timer_of_a_running_stage() -> None:
    async def story() -> list[bytes | None]:
        world = World()
        await world.write("questions", b"wait")
        running = asyncio.create_task(world.run_for(40))
        await asyncio.sleep(31)
        await world.write("answers", b"answer")
        await running
        return await world.told()

    assert virtual_time.run(story()) == [b"wait", b"gave up", b"answer"]
