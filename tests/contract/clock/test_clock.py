"""What a clock promises to everything that measures or waits by it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from tests.contract.clock.conftest import Machine

YEAR_2024_MS, YEAR_2100_MS = 1_704_067_200_000, 4_102_444_800_000
HOUR_MS = 3_600_000
STEP_S = 0.02
SLACK_S = 0.002
"""Clocks tick in steps, and a loop may wake its sleepers one such step early."""


def test_the_wall_clock_counts_whole_milliseconds_since_the_epoch(machine: Machine) -> None:
    now_ms = machine.clock.now_ms()
    assert type(now_ms) is int
    assert YEAR_2024_MS < now_ms < YEAR_2100_MS
    assert isinstance(machine.clock.monotonic_s(), float)


def test_neither_clock_runs_back_by_itself(machine: Machine) -> None:
    async def main() -> None:
        readings = []
        for turn in range(200):
            readings.append((machine.clock.monotonic_s(), machine.clock.now_ms()))
            await asyncio.sleep(STEP_S / 100 if turn % 10 else 0)
        for before, after in pairwise(readings):
            assert after[0] >= before[0]
            assert after[1] >= before[1]
        assert readings[-1][0] > readings[0][0]

    machine.run(main)


def test_who_has_slept_finds_that_at_least_so_much_has_passed_on_both(machine: Machine) -> None:
    async def main() -> None:
        for seconds in (STEP_S, 3 * STEP_S):
            monotonic_s, now_ms = machine.clock.monotonic_s(), machine.clock.now_ms()
            await asyncio.sleep(seconds)
            assert machine.clock.monotonic_s() - monotonic_s >= seconds - SLACK_S
            assert machine.clock.now_ms() - now_ms >= (seconds - SLACK_S) * 1_000 - 1

    machine.run(main)


def test_both_clocks_and_the_loop_run_at_the_same_rate(machine: Machine) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Whatever stands still between two readings, it stands within these.
        began = loop.time(), machine.clock.monotonic_s(), machine.clock.now_ms() / 1_000, loop.time()
        await asyncio.sleep(5 * STEP_S)
        ended = loop.time(), machine.clock.monotonic_s(), machine.clock.now_ms() / 1_000, loop.time()
        shortest_s, longest_s = ended[0] - began[3], ended[3] - began[0]
        for clock in (1, 2):
            assert shortest_s - SLACK_S <= ended[clock] - began[clock] <= longest_s + SLACK_S

    machine.run(main)


def test_a_deadline_is_not_over_before_its_time_by_the_clock(machine: Machine) -> None:
    async def main() -> None:
        monotonic_s = machine.clock.monotonic_s()
        try:
            async with asyncio.timeout(STEP_S):
                await asyncio.Event().wait()
        except TimeoutError:
            assert machine.clock.monotonic_s() - monotonic_s >= STEP_S - SLACK_S
        else:
            raise AssertionError("nobody set the event")

    machine.run(main)


def test_sleepers_wake_in_the_order_of_their_deadlines(machine: Machine) -> None:
    async def main() -> None:
        woken: list[tuple[int, float]] = []

        async def sleeper(steps: int) -> None:
            await asyncio.sleep(steps * STEP_S)
            woken.append((steps, machine.clock.monotonic_s()))

        await asyncio.gather(*(sleeper(steps) for steps in (3, 1, 4, 2)))
        assert [steps for steps, _ in woken] == [1, 2, 3, 4]
        assert [at_s for _, at_s in woken] == sorted(at_s for _, at_s in woken)

    machine.run(main)


def test_who_sets_the_wall_clock_moves_neither_the_monotonic_one_nor_any_sleeper(machine: Machine) -> None:
    async def main() -> None:
        for set_by_ms in (-HOUR_MS, 2 * HOUR_MS):
            monotonic_s, now_ms = machine.clock.monotonic_s(), machine.clock.now_ms()
            sleeping = asyncio.create_task(asyncio.sleep(5 * STEP_S))
            await asyncio.sleep(STEP_S)
            machine.set_wall_clock(set_by_ms)
            await sleeping
            passed_s = machine.clock.monotonic_s() - monotonic_s
            assert 5 * STEP_S - SLACK_S <= passed_s < HOUR_MS / 1_000
            told_ms = machine.clock.now_ms() - now_ms - set_by_ms
            assert 5 * STEP_S * 1_000 - 2 <= told_ms < HOUR_MS

    machine.run(main)


def test_time_of_one_run_goes_on_in_the_next(machine: Machine) -> None:
    """A process that is started again, or a test with two loops, never sees a younger clock."""
    readings: list[tuple[float, int]] = []

    async def main() -> None:
        readings.append((machine.clock.monotonic_s(), machine.clock.now_ms()))
        await asyncio.sleep(STEP_S)
        readings.append((machine.clock.monotonic_s(), machine.clock.now_ms()))

    machine.run(main)
    machine.run(main)
    assert readings == sorted(readings)
    assert [now_ms for _, now_ms in readings] == sorted(now_ms for _, now_ms in readings)
