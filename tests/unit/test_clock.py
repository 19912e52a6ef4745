from __future__ import annotations

from pipeline.clock import Seldom
from pipeline.testing.clock import ManualClock


def test_the_same_thing_passes_once_in_its_time_with_the_number_of_those_left_out() -> None:
    clock = ManualClock()
    seldom = Seldom(clock, every_s=10)
    assert [seldom.passes("ycloud", "unreachable") for _ in range(3)] == [0, None, None]
    assert seldom.passes("ycloud", "tls") == 0
    clock.advance(9_999)
    assert seldom.passes("ycloud", "unreachable") is None
    clock.advance(1)
    assert [seldom.passes("ycloud", "unreachable") for _ in range(2)] == [3, None]
    clock.advance(10_000)
    assert seldom.passes("ycloud", "unreachable") == 1
