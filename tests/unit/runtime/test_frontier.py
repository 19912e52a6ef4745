"""The frontier: until when everything of a lane was handled, so that timers fire in the order of the world."""

from __future__ import annotations

from pipeline.runtime.api import Input, Lane
from pipeline.runtime.frontier import Frontier

INPUTS = [Input("flow", Lane.INTERACTIVE), Input("flow.bulk", Lane.BULK), Input("checks", None)]


def test_nothing_is_complete_before_anything_was_read() -> None:
    assert Frontier(INPUTS).complete_ms(None) < 0


def test_a_handled_record_completes_the_time_before_it_as_others_may_share_its_millisecond() -> None:
    frontier = Frontier(INPUTS)
    frontier.handled("flow", 1_000)
    frontier.handled("checks", 2_000)
    assert frontier.complete_ms(Lane.INTERACTIVE) == 999


def test_the_other_lanes_backlog_does_not_hold_a_lane_back() -> None:
    frontier = Frontier(INPUTS)
    frontier.handled("flow", 1_000)
    frontier.handled("checks", 1_000)
    frontier.handled("flow.bulk", 10)
    assert frontier.complete_ms(Lane.INTERACTIVE) == 999
    assert frontier.complete_ms(Lane.BULK) == 9
    assert frontier.complete_ms(None) == 9


def test_reaching_an_end_completes_the_time_before_it_was_asked_for() -> None:
    frontier = Frontier(INPUTS)
    frontier.snapshot(5_000, {"flow": 10, "flow.bulk": 0, "checks": 3})
    frontier.reached({"flow": 9, "flow.bulk": 0, "checks": 3})
    assert frontier.complete_ms(Lane.INTERACTIVE) < 0
    frontier.reached({"flow": 10, "flow.bulk": 0, "checks": 3})
    assert frontier.complete_ms(Lane.INTERACTIVE) == 4_999


def test_a_late_timestamp_never_takes_completeness_back() -> None:
    frontier = Frontier(INPUTS)
    for timestamp_ms in (5_000, 1_000):
        frontier.handled("flow", timestamp_ms)
        frontier.handled("checks", timestamp_ms)
    assert frontier.complete_ms(Lane.INTERACTIVE) == 4_999


def test_an_end_is_asked_for_again_only_for_a_later_deadline() -> None:
    frontier = Frontier(INPUTS)
    frontier.snapshot(5_000, {})
    assert frontier.asked_since(4_999)
    assert not frontier.asked_since(5_000)
