"""What a long run says about growth."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.benchmarks.soak import LIMITS, STATE_BYTES, Sample, growths, report, slope

SAMPLES = 60


def run(**per_hour: float) -> list[Sample]:
    """Ten minutes of samples in which each named value grows by so much an hour, and all else stands."""
    made = []
    for n in range(SAMPLES):
        at_s = n * 10.0
        values = {"memory_mb": 200.0, "files": 60.0, "tasks": 90.0, "lag": 30.0, "entries": 0.0, "cpu_s": 0.0}
        for name, growth in per_hour.items():
            values[name] += growth * at_s / 3_600
        made.append(Sample(at_s=at_s, **values))
    return made


def not_flat(samples: list[Sample]) -> list[str]:
    return [one.name for one in growths(samples) if not one.flat]


def test_a_run_in_which_nothing_grows_is_flat() -> None:
    assert not_flat(run()) == []
    assert "NOT FLAT" not in report(run())


@pytest.mark.parametrize("name", LIMITS)
def test_each_value_that_goes_on_growing_is_told(name: str) -> None:
    grown = run(**{name: 1_000})
    assert not_flat(grown) == [name]
    assert f"{name}: +1000.0 ± 0.0 in an hour" in report(grown)


def test_what_goes_up_and_down_by_more_than_it_may_grow_is_flat_and_grows_all_the_same() -> None:
    def swung(samples: list[Sample]) -> list[Sample]:
        return [replace(one, lag=one.lag + (500 if n % 3 else -500)) for n, one in enumerate(samples)]

    assert not_flat(swung(run(lag=300))) == []
    assert not_flat(swung(run(lag=30_000))) == ["lag"]


def test_what_grows_only_in_the_first_half_is_flat() -> None:
    first, second = run(files=1_000)[: SAMPLES // 2], run()[SAMPLES // 2 :]
    assert not_flat(first + second) == []


def test_memory_may_grow_by_the_state_that_comes_and_by_no_more() -> None:
    an_hour = 100_000
    assert not_flat(run(entries=an_hour, memory_mb=an_hour * STATE_BYTES / 1e6)) == []
    assert not_flat(run(entries=an_hour, memory_mb=an_hour * STATE_BYTES / 1e6 + 100)) == ["memory_mb"]


def test_the_slope_is_that_of_the_line_of_least_squares_with_its_error() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == (2, 0)
    assert slope([(0, 0), (1, 3), (2, 0)]) == (0, pytest.approx(math.sqrt(3)))
    assert slope([(5, 7), (6, 8)]) == (0, 0)
