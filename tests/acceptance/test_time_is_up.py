"""The end: what nobody completed expires, once and at its second, and nothing that was published is still open.

The last module on purpose: its verifications were started before all others.
"""

from __future__ import annotations

import re

import pytest

from tests.acceptance.conftest import Unfinished
from tests.acceptance.harness import Simulator
from tests.acceptance.stranger import Stranger, assert_exact, attempts

pytestmark = pytest.mark.kafka


def test_a_code_expires_once_at_its_second_and_is_refused_after_it(stranger: Stranger, unfinished: Unfinished) -> None:
    final = stranger.final(unfinished.codes, within_s=45)
    for verification_id, code in unfinished.codes.items():
        outcome = final[verification_id]
        assert (outcome["state"], outcome["reason"]) == ("expired", "expired")
        assert outcome["expires_at"] == outcome["sent_at"] + 30_000
        # Not a millisecond early, and no later than the inputs take to be read.
        assert 0 < outcome["updated_at"] - outcome["expires_at"] < 4_000
        reply = stranger.reply(stranger.check(verification_id, code))
        assert (reply["ok"], reply["reason"], reply["state"]) == (False, "expired", "expired")
        assert stranger.history(verification_id)[-1] == outcome
        assert_exact(stranger.history(verification_id))


def test_an_attempt_in_doubt_without_a_receipt_ends_with_its_code(
    stranger: Stranger, simulator: Simulator, unfinished: Unfinished
) -> None:
    outcome = stranger.outcome(unfinished.lost, within_s=45)
    assert (outcome["state"], outcome["reason"]) == ("expired", "expired")
    assert attempts(outcome) == [("ycloud", "in_doubt", "none")]
    assert len(simulator.calls(unfinished.lost_person)) == 1
    assert_exact(stranger.history(unfinished.lost))


def test_everything_that_was_published_has_ended_exactly_once(stranger: Stranger) -> None:
    ids = [one for one in stranger.published if re.fullmatch(r"[A-Za-z0-9_-]{1,48}", one)]
    stranger.final(ids, within_s=60)
    for verification_id in ids:
        assert_exact(stranger.history(verification_id))
