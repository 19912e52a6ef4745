from __future__ import annotations

from pipeline.clock import Seldom
from pipeline.testing.clock import ManualClock


def test_the_same_thing_passes_once_in_its_time_with_the_number_of_those_left_out() -> None:
    clock = ManualClock()
    seldom = Seldom(every_s=10)

    def passes(what: str) -> int | None:
        return seldom.passes(clock.monotonic_s(), "ycloud", what)

    assert [passes("unreachable") for _ in range(3)] == [0, None, None]
    assert passes("tls") == 0
    clock.advance(9_999)
    assert passes("unreachable") is None
    clock.advance(1)
    assert [passes("unreachable") for _ in range(2)] == [3, None]
    clock.advance(10_000)
    assert passes("unreachable") == 1


def test_no_more_than_so_many_things_are_remembered() -> None:
    seldom = Seldom()
    for what in range(Seldom.MOST):
        assert seldom.passes(0.0, what) == 0
    assert seldom.passes(0.0, 0) is None
    assert seldom.passes(0.0, "one more") == 0
    assert seldom.passes(0.0, 0) == 0
