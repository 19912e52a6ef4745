"""Promises 1 and 2 at every provider: no kill of its sender, at any point, loses a request or sends one twice."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.acceptance import promises
from tests.acceptance.providers.accounts import KINDS
from tests.acceptance.providers.killing import OTHERS, REQUESTS, Killed
from tests.acceptance.stranger import shown

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def results(killed: Killed) -> dict[str, str]:
    """The one answer of its sender that each attempt may have."""
    return promises.assert_each_send_has_one_result(killed.campaign)


def test_each_sender_died_in_a_call_and_at_another_moment(killed: Killed) -> None:
    """Else the rest would show nothing."""
    blows = Counter(killed.campaign.blows)
    assert {(blow.process, blow.how): count for blow, count in blows.items()} == {
        **{(kind, how): 1 for kind in KINDS for how in ("killed in a call", "killed")},
        **{(name, "killed"): 1 for name in OTHERS},
    }
    assert {process for process, persons in killed.campaign.interrupted.items() if persons} == set(KINDS)


def test_every_request_ends_in_exactly_one_final_outcome(killed: Killed) -> None:
    assert len(killed.campaign.final) >= REQUESTS + len(killed.ended)
    promises.assert_each_ends_once(killed.campaign)


def test_no_attempt_is_sent_twice(killed: Killed) -> None:
    promises.assert_nobody_is_sent_twice(killed.campaign)


def test_what_was_accepted_was_called(killed: Killed) -> None:
    promises.assert_what_was_accepted_was_called(killed.campaign)


def test_what_was_cut_off_in_a_call_is_in_doubt(killed: Killed, results: dict[str, str]) -> None:
    promises.assert_what_was_cut_off_is_in_doubt(killed.campaign, results)


def test_what_is_in_doubt_is_never_tried_again_elsewhere(killed: Killed, results: dict[str, str]) -> None:
    """It waits for a report, a look-up, the right code or its end."""
    doubtful = [
        killed.campaign.final[attempt.rpartition(".")[0]] for attempt, result in results.items() if result == "in_doubt"
    ]
    assert {outcome["provider"] for outcome in doubtful} == set(KINDS)
    for outcome in doubtful:
        assert len(outcome["attempts"]) == 1, shown([outcome])
        assert outcome["state"] in ("verified", "expired"), shown([outcome])


def test_attempts_stay_what_they_are_and_states_never_move_back(killed: Killed) -> None:
    promises.assert_attempts_stay_what_they_are(killed.campaign)
    promises.assert_states_never_move_back(killed.campaign)


def test_every_check_has_one_answer_and_of_two_right_ones_one_is_valid(killed: Killed) -> None:
    promises.assert_each_check_has_one_answer(killed.campaign)


def test_sigterm_ends_every_sender_with_0_and_leaves_nothing_in_doubt(killed: Killed, results: dict[str, str]) -> None:
    """With calls under way at each: their answers are awaited, and what was not begun goes out after the return."""
    assert sorted(killed.campaign.exit_codes) == [(kind, 0) for kind in sorted(KINDS)]
    assert all(killed.in_calls[kind] for kind in KINDS)
    ended = {attempt: result for attempt, result in results.items() if attempt.rpartition(".")[0] in killed.ended}
    assert len(ended) == len(killed.ended)
    assert set(ended.values()) == {"accepted"}
