"""Bugs planted on purpose, one at a time: the simulation finds each within so many seeds (docs/testing.md)."""

from __future__ import annotations

from typing import Final

import pytest

from tests.faults.planted import bugs
from tests.faults.planted.__main__ import first_to_find

WITHIN: Final[dict[bugs.Plant, int]] = {
    bugs.positions_are_not_read_again_after_the_fence: 20,
    bugs.calls_begin_before_started_is_committed: 20,
    bugs.replies_are_not_remembered: 20,
    bugs.a_wrong_code_is_counted_twice: 20,
    bugs.what_is_in_doubt_is_called_again: 20,
    bugs.duplicates_are_forgotten: 20,
    bugs.a_late_result_changes_the_end: 20,
    bugs.a_refused_answer_is_taken_for_none: 20,
    bugs.positions_are_committed_apart: 60,
    bugs.deadlines_of_sends_are_not_looked_at: 60,
    bugs.an_ended_code_is_accepted: 80,
    bugs.the_correlator_guesses: 120,
    bugs.offsets_are_committed_past_held_records: 60,
    bugs.timers_fire_without_waiting_for_inputs: 800,
}
"""Bounds with room, as every change of the simulation changes what each seed does."""


@pytest.mark.campaign
@pytest.mark.parametrize("plant", WITHIN, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: bugs.Plant) -> None:
    assert first_to_find(plant, WITHIN[plant]) is not None


def test_every_planted_bug_has_its_bound() -> None:
    assert len(WITHIN) >= 10
    assert set(bugs.ALL) == WITHIN.keys()
