"""What the passing of time does to a verification; every deadline is derived from the state, so it is as durable.

A timer fires only when all input due before it was read, and exactly the deadline that was asked for: when several are
overdue after a restart, the inputs may have been read up to the first of them only. So each turn handles the one due
first, and the runtime asks for the next.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from pipeline.model.limits import HORIZONS_MS, IN_FLIGHT_MS, UNDECIDED_STATE_MS, UNWATCHED_MS
from pipeline.records.tracker_state import TrackedAttempt, TrackerState
from pipeline.records.types import AttemptResult, VerificationMode
from pipeline.runtime.api import Deadline, Lane
from pipeline.settings import PolicySettings
from pipeline.tracker import figures, join, lookups, outcome, replies, steps, wishes
from pipeline.tracker.turn import Turn, is_final


class What(Enum):
    """The kinds of deadlines."""

    UNKNOWN_ID = "a check or command waited long enough for its decision"
    UNDECIDED = "no decision ever came"
    WAIT = "the active step had its time"
    LOOKUP = "an attempt's provider is to be asked what became of it"
    PROVIDER_CHECK = "a provider that was to judge a typed code had its time"
    EXPIRY = "the code's life, or the queue's, is over"
    HORIZON = "an attempt is old enough to be counted as delivered or not"
    FORGET = "no receipt is expected any more"


class Due(NamedTuple):
    """The earliest deadline of a state."""

    at_ms: int
    what: What
    n: int = 0
    """The attempt, for horizons and look-ups."""
    force_at_ms: int | None = None


def deadline(state: TrackerState, policy: PolicySettings) -> Deadline | None:
    """For the runtime: lanes are waited for as far as they can change what happens."""
    due = next_due(state, policy)
    if due is None:
        return None
    if state.plan is None:
        # The decision may still come in either lane.
        return Deadline(due.at_ms, None, due.force_at_ms)
    return Deadline(due.at_ms, Lane.BULK if state.plan.bulk else Lane.INTERACTIVE)


def next_due(state: TrackerState, policy: PolicySettings) -> Due | None:
    """The earliest deadline."""
    if state.plan is None:
        forget = Due(state.first_seen_at + UNDECIDED_STATE_MS, What.UNDECIDED)
        wait = replies.wait_deadline(state)
        if wait is None:
            return forget
        return min(forget, Due(wait[0], What.UNKNOWN_ID, force_at_ms=wait[1]), key=lambda due: due.at_ms)
    dues = [
        Due(attempt.shown.sent_at + HORIZONS_MS[attempt.matured], What.HORIZON, attempt.n)
        for attempt in state.attempts
        if attempt.matured < len(HORIZONS_MS) and attempt.shown.sent_at is not None and _counts(attempt)
    ]
    if is_final(state):
        # A cohort still to be counted outlives a short retention.
        latest = max((due.at_ms for due in dues), default=0)
        forget_at = max((state.final_at or 0) + policy.final_state_s * 1_000, latest + 1)
        dues.append(Due(forget_at, What.FORGET))
    else:
        if state.provider_check is not None:
            # The expiry waits for it: a check in time by its append time is in time whenever its provider answers.
            dues.append(Due(state.provider_check.until_at, What.PROVIDER_CHECK))
        else:
            dues.append(Due(_expires_at(state, policy), What.EXPIRY))
        for attempt in state.attempts:
            lookup_at = lookups.next_at(attempt)
            if lookup_at is not None:
                dues.append(Due(lookup_at, What.LOOKUP, attempt.n))
        wait_at = steps.wait_until(state, policy.no_receipt_wait_s)
        if wait_at is not None:
            dues.append(Due(wait_at, What.WAIT))
    return min(dues, key=lambda due: due.at_ms)


def _counts(attempt: TrackedAttempt) -> bool:
    return attempt.shown.result in (AttemptResult.ACCEPTED, AttemptResult.IN_DOUBT)


def _expires_at(state: TrackerState, policy: PolicySettings) -> int:
    """When the expiry is told: from the first millisecond at which a check would be too late, and some time more.

    Before the first call is known to have happened, the end waits for calls that may be running, so that a message that
    just made it is not called too late; but not for ever, in case no answer comes at all.
    """
    may_be_called = state.sent_at is None and steps.in_flight(state)
    wait_ms = IN_FLIGHT_MS if may_be_called else _grace_ms(state, policy)
    return max(outcome.expires_at(state) + 1 + wait_ms, state.expiry_put_off_until_at)


def _grace_ms(state: TrackerState, policy: PolicySettings) -> int:
    """How long checks in time may be on their way from a wrong partition, whose task passes them on.

    What this task has read says nothing of them: the record it waits for is written once the other task has read it.
    Whether a check is in time stays a matter of its append time; in reach mode there is none to wait for.
    """
    assert state.plan is not None
    return 0 if state.plan.mode is VerificationMode.REACH else policy.misplaced_grace_ms


def _expire(turn: Turn, due_at: int) -> None:
    """End it; but when nobody looked at that moment, nobody passed anything on then either, and the grace is now.

    Once for one end: a task that is always late would else put it off for ever. Also after a wait for a provider's
    verdict or for a call's answer, which looks the same from here and costs no more than the grace.
    """
    grace_ms = _grace_ms(turn.state, turn.tools.policy)
    was_put_off = turn.state.expiry_put_off_until_at == due_at
    if grace_ms and not was_put_off and turn.now_ms - due_at > min(grace_ms, UNWATCHED_MS):
        turn.put(expiry_put_off_until_at=turn.now_ms + grace_ms)
    else:
        steps.expire(turn)


def fire(turn: Turn) -> bool:
    """Handle the deadline that is due first; False when the state is to be forgotten."""
    policy = turn.tools.policy
    first = next_due(turn.state, policy)
    due = first
    while due is not None and first is not None and due.at_ms <= first.at_ms and due.at_ms <= turn.now_ms:
        if due.what is What.UNDECIDED:
            join.give_up(turn)
        if due.what in (What.UNDECIDED, What.FORGET):
            return False
        _handle(turn, due)
        due = next_due(turn.state, policy)
    return True


def _handle(turn: Turn, due: Due) -> None:
    if due.what is What.UNKNOWN_ID:
        replies.answer_unknown(turn, due.at_ms)
    elif due.what is What.EXPIRY:
        _expire(turn, due.at_ms)
    elif due.what is What.WAIT:
        turn.put_attempt(msgspec.structs.replace(wishes.leading(turn.state), wait_over=True))
        steps.settle(turn)
    elif due.what is What.LOOKUP:
        lookups.ask(turn, turn.state.attempts[due.n - 1])
    elif due.what is What.PROVIDER_CHECK:
        replies.provider_unanswered(turn)
    elif due.what is What.HORIZON:
        attempt = turn.state.attempts[due.n - 1]
        figures.matured(turn, attempt, attempt.matured)
        turn.put_attempt(msgspec.structs.replace(attempt, matured=attempt.matured + 1))
