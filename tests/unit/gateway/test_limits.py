"""How often a key may be used, and what its holder is told of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gateway.limits import Limits
from pipeline.testing.clock import ManualClock
from tests.unit.gateway.bench import assert_problem
from tests.unit.gateway.entrance import DESK_KEY, SHOP_KEY, Entrance


async def test_one_more_than_the_rate_is_429_until_the_time_it_is_told() -> None:
    entrance = Entrance()
    assert [(await entrance.get()).status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = await entrance.get()
    assert_problem(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "1"
    entrance.clock.advance(1_000)
    assert (await entrance.get()).status_code == 200
    assert len(entrance.callers) == 4


async def test_each_answer_tells_the_limit_and_what_is_left() -> None:
    entrance = Entrance()
    told = [(await entrance.get()).headers for _ in range(4)]
    assert [each["RateLimit-Limit"] for each in told] == ["3"] * 4
    assert [each["RateLimit-Remaining"] for each in told] == ["2", "1", "0", "0"]
    assert [each["RateLimit-Reset"] for each in told] == ["1"] * 4


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/things", 200), ("/v1/refuse", 409), ("/v1/away", 503), ("/v1/things", 403), ("/v1/broken", 500)],
)
async def test_so_does_each_problem_of_a_key_that_is_known(path: str, status: int) -> None:
    entrance = Entrance()
    answer = await (entrance.post(key=DESK_KEY) if status == 403 else entrance.get(path))
    assert answer.status_code == status
    limit = 5 if status == 403 else 3
    assert answer.headers["RateLimit-Limit"] == str(limit)
    assert answer.headers["RateLimit-Remaining"] == str(limit - 1)
    assert answer.headers["RateLimit-Reset"] == "1"


async def test_a_key_that_may_not_do_it_uses_up_its_rate_all_the_same() -> None:
    entrance = Entrance()
    assert [(await entrance.post(key=DESK_KEY)).status_code for _ in range(6)] == [403] * 5 + [429]


async def test_one_key_takes_nothing_from_another_and_a_wrong_one_from_none() -> None:
    entrance = Entrance()
    await entrance.keys.refresh()
    for _ in range(4):
        await entrance.get()
    assert (await entrance.get()).status_code == 429
    assert (await entrance.get(key=DESK_KEY)).headers["RateLimit-Remaining"] == "4"
    for _ in range(20):
        assert (await entrance.get(key=SHOP_KEY + "x")).status_code == 401
    assert (await entrance.get(key=DESK_KEY)).headers["RateLimit-Remaining"] == "3"


async def test_an_answer_to_nobody_tells_no_limit() -> None:
    entrance = Entrance(with_database=False)
    assert not [name for name in (await entrance.get(key="wrong")).headers if name.startswith("ratelimit")]


def test_a_rate_below_one_a_second_lets_one_through_now_and_then() -> None:
    clock = ManualClock()
    limits = Limits(clock=clock)
    first, second = limits.take("key", 0.1), limits.take("key", 0.1)
    assert (first.granted, first.limit, first.remaining, first.reset_s) == (True, 1, 0, 10)
    assert (second.granted, second.retry_after_s) == (False, 10)
    clock.advance(10_000)
    assert limits.take("key", 0.1).granted


def test_buckets_that_are_full_again_are_forgotten() -> None:
    clock = ManualClock()
    limits = Limits(clock=clock, sweep_at=10)
    most = 0
    for number in range(1_000):
        limits.take(number, 1)
        clock.advance(1_000)
        most = max(most, len(limits))
    assert most <= 10


def test_a_bucket_in_use_is_not_forgotten_whatever_comes_between() -> None:
    limits = Limits(clock=ManualClock(), sweep_at=10)
    assert limits.take("mine", 1).granted
    for number in range(1_000):
        limits.take(number, 1)
    assert not limits.take("mine", 1).granted


RATES = st.floats(0.05, 200)
WAITS_MS = st.lists(st.integers(0, 3_000), min_size=1, max_size=200)


@given(RATES, WAITS_MS)
def test_no_more_are_granted_in_any_time_than_the_rate_and_one_seconds_worth(rate: float, waits_ms: list[int]) -> None:
    clock = ManualClock()
    limits = Limits(clock=clock)
    granted = 0
    for wait_ms in waits_ms:
        clock.advance(wait_ms)
        granted += limits.take("key", rate).granted
    assert granted <= max(1.0, rate) + rate * clock.monotonic_s() + 1e-6


@given(RATES, WAITS_MS)
def test_who_waits_as_long_as_told_is_granted(rate: float, waits_ms: list[int]) -> None:
    clock = ManualClock()
    limits = Limits(clock=clock)
    for wait_ms in waits_ms:
        clock.advance(wait_ms)
        taken = limits.take("key", rate)
        if not taken.granted:
            assert taken.remaining == 0
            clock.advance(taken.retry_after_s * 1_000)
            assert limits.take("key", rate).granted


@given(RATES, st.integers(1, 300))
def test_after_the_reset_the_limit_is_there_again(rate: float, used: int) -> None:
    clock = ManualClock()
    limits = Limits(clock=clock)
    taken = [limits.take("key", rate) for _ in range(used)][-1]
    assert taken.reset_s > 0
    clock.advance(taken.reset_s * 1_000)
    assert limits.take("key", rate).remaining == taken.limit - 1
