"""Simulated time passes only by what is slept or told, and runs the same way each time."""

from __future__ import annotations

import asyncio
import time

import pytest

from pipeline.clock import Clock
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock


def test_a_manual_clock_stands_still_until_advanced() -> None:
    clock: Clock = (manual := ManualClock(now_ms=1_000))
    assert (clock.now_ms(), clock.monotonic_s()) == (1_000, 0.0)
    manual.advance(250)
    assert (clock.now_ms(), clock.monotonic_s()) == (1_250, 0.25)


@pytest.mark.parametrize("jump", [-5_000, 5_000])
def test_a_jump_moves_the_wall_clock_only(jump: int) -> None:
    clock = ManualClock(now_ms=10_000)
    clock.jump(jump)
    assert clock.now_ms() == 10_000 + jump
    assert clock.monotonic_s() == 0.0


def test_a_manual_clock_refuses_to_run_backwards() -> None:
    with pytest.raises(ValueError, match="jump"):
        ManualClock().advance(-1)


def test_a_simulated_day_takes_no_time_and_a_bound_clock_sees_it_pass() -> None:
    async def day() -> tuple[int, float]:
        clock = ManualClock(now_ms=0)
        clock.bind(asyncio.get_running_loop().time)
        await asyncio.sleep(86_400)
        return clock.now_ms(), clock.monotonic_s()

    began = time.monotonic()
    now_ms, monotonic_s = virtual_time.run(day())
    assert now_ms == 86_400_000
    assert monotonic_s == pytest.approx(86_400)
    assert time.monotonic() - began < 5


def test_a_sleep_to_a_millisecond_ends_at_that_millisecond_however_long_the_loop_runs() -> None:
    async def wake() -> list[int]:
        clock = ManualClock(now_ms=0)
        clock.bind(asyncio.get_running_loop().time)
        seen = []
        for _ in range(3_000):
            due = clock.now_ms() + 333_337
            await asyncio.sleep((due - clock.now_ms()) / 1_000)
            seen.append(clock.now_ms() - due)
        return seen

    assert set(virtual_time.run(wake())) == {0}


def test_callbacks_run_in_order_of_time_and_in_the_same_order_each_run() -> None:
    async def order() -> list[tuple[float, int]]:
        ran: list[tuple[float, int]] = []

        async def after(delay_s: float, number: int) -> None:
            await asyncio.sleep(delay_s)
            ran.append((delay_s, number))

        await asyncio.gather(*(after(number * 7 % 5, number) for number in range(40)))
        return ran

    first = virtual_time.run(order())
    assert [delay_s for delay_s, _ in first] == sorted(delay_s for delay_s, _ in first)
    assert virtual_time.run(order()) == first


@pytest.mark.parametrize("start_s", [0.0, 0.1, 86_400 * 365.25 + 0.3])
def test_waiting_for_what_is_left_ends_however_little_is_left(start_s: float) -> None:
    async def wait() -> int:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(start_s)
        turns = 0
        deadline_s = loop.time() + 1 / 3
        while (left_s := deadline_s - loop.time()) > 0:
            await asyncio.sleep(left_s / 2)
            turns += 1
        return turns

    assert virtual_time.run(wait()) < 40


def test_a_rest_too_small_to_be_added_to_the_time_takes_a_tick_all_the_same() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(86_400)
        before_s = loop.time()
        await asyncio.sleep(1e-15)
        return loop.time() - before_s

    assert virtual_time.run(wait()) > 0


def test_a_timeout_ends_a_wait_that_nobody_would_end() -> None:
    async def wait() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), timeout=30)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(wait()) == pytest.approx(30)


def test_tasks_that_wait_for_each_other_are_reported_instead_of_hanging() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual_time.Deadlock):
        virtual_time.run(stuck())


def test_threads_are_refused_as_they_take_real_time() -> None:
    async def thread() -> None:
        await asyncio.to_thread(time.sleep, 0)

    with pytest.raises(RuntimeError, match="no threads"):
        virtual_time.run(thread())


def test_two_bound_clocks_jump_apart() -> None:
    async def apart() -> int:
        one, other = ManualClock(now_ms=0), ManualClock(now_ms=0)
        for clock in (one, other):
            clock.bind(asyncio.get_running_loop().time)
        await asyncio.sleep(1)
        one.jump(-400)
        await asyncio.sleep(1)
        return other.now_ms() - one.now_ms()

    assert virtual_time.run(apart()) == 400
