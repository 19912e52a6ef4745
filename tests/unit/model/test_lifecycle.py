from __future__ import annotations

from itertools import product

import pytest

from pipeline.model.lifecycle import FINAL, MOVES, OPEN, advance, is_final
from pipeline.model.reasons import STATE
from pipeline.records.types import VerificationMode, VerificationState

STATES = [state for state in VerificationState if state is not VerificationState.UNKNOWN]


def test_every_state_is_open_or_final_and_has_its_moves() -> None:
    assert set(OPEN) | FINAL == set(STATES) == set(MOVES)
    assert not set(OPEN) & FINAL


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_leaves_a_final_state(state: VerificationState) -> None:
    assert all(advance(state, to) is state for to in VerificationState)


def test_no_path_leads_back() -> None:
    for before, after in product(OPEN, OPEN):
        moved = advance(before, after)
        assert OPEN.index(moved) >= OPEN.index(before)


def test_what_reached_a_provider_is_neither_rejected_nor_blocked() -> None:
    for state in (VerificationState.SENT, VerificationState.DELIVERED):
        assert advance(state, VerificationState.REJECTED) is state
        assert advance(state, VerificationState.BLOCKED) is state


def test_delivered_is_final_where_nobody_types_a_code() -> None:
    assert is_final(VerificationState.DELIVERED, VerificationMode.REACH)
    assert not is_final(VerificationState.DELIVERED, VerificationMode.VERIFY)
    assert (
        advance(VerificationState.DELIVERED, VerificationState.EXPIRED, VerificationMode.REACH)
        is VerificationState.DELIVERED
    )


def test_every_reason_leads_to_a_state_a_pending_verification_can_reach() -> None:
    assert set(STATE.values()) <= MOVES[VerificationState.PENDING]
