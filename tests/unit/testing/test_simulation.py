"""The seeded simulation: the same seed is the same run, a kill is a kill, and the promises hold on some seeds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Final

import pytest

from pipeline.testing import virtual_time
from pipeline.testing.simulation.campaign import judge, past_seeds
from pipeline.testing.simulation.machine import Machine, task_factory
from pipeline.testing.simulation.run import simulate

FRESH: Final = range(24)
"""Fixed ones; ``make simulate`` runs thousands of others."""


@pytest.mark.parametrize("seed", [*past_seeds(), *(each for each in FRESH if each not in past_seeds())])
def test_whatever_happens_together_the_promises_hold(seed: int) -> None:
    assert judge(seed).broken == []


def test_the_same_seed_is_the_same_run_byte_for_byte() -> None:
    """Whatever the order of sets and the addresses of objects: two interpreters, two seeds of their hashes."""
    command = [sys.executable, "-m", "pipeline.testing.simulation", "--seed", "3"]
    runs = [
        subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": of}, stdout=subprocess.PIPE, text=True)
        for of in ("1", "77")
    ]
    one, other = (each.communicate(timeout=300)[0] for each in runs)
    assert one == other
    assert "every promise held" in one


def test_a_seed_can_be_watched_step_by_step_without_another_course() -> None:
    told: list[str] = []
    watched = simulate(5, told.append)
    assert watched.digest == simulate(5).digest
    assert any("writes Decision" in line for line in told)
    assert any("writes" in line for line in told)


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_process_dies_at_any_resume_and_runs_nothing_of_itself_any_more(steps: int) -> None:
    done: list[str] = []

    async def child() -> None:
        try:
            await asyncio.sleep(1)
            done.append("child")
        finally:
            done.append("child's finally")

    async def parent() -> None:
        try:
            await asyncio.gather(child(), child())
            await asyncio.sleep(1)
            done.append("parent")
        finally:
            done.append("parent's finally")

    async def story() -> None:
        asyncio.get_running_loop().set_task_factory(task_factory)
        at_death: list[str] = []
        machine = Machine("one", lambda: at_death.extend(done))
        machine.dies_after_steps(steps)
        running = machine.start(parent())
        await asyncio.sleep(10)
        assert machine.dead == (steps <= machine.steps)
        if machine.dead:
            assert done == at_death
            assert not running.done()
        else:
            assert done[-1] == "parent's finally"
        machine.bury()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    virtual_time.run(story())


def test_a_process_that_stands_still_does_what_fell_due_when_it_goes_on() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(task_factory)
        machine = Machine("one", lambda: None)
        times: list[float] = []

        async def beat() -> None:
            for _ in range(3):
                await asyncio.sleep(1)
                times.append(loop.time())

        beating = machine.start(beat())
        await asyncio.sleep(0.5)
        await machine.stand_still(5)
        await beating
        assert times == [5.5, 6.5, 7.5]

    virtual_time.run(story())
