"""Asking providers what became of a message that they report nothing of, or whose answer was lost."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.records.tracker_state import TrackedAttempt
from pipeline.records.types import AttemptResult, CodeHolder
from pipeline.tracker import attempts as facts
from pipeline.tracker import orders, outcome
from pipeline.tracker.turn import Turn


def next_at(attempt: TrackedAttempt) -> int | None:
    """When to ask for the attempt the next time; None when there is nothing (more) to ask."""
    schedule, sent_at = _schedule(attempt), attempt.shown.sent_at
    if sent_at is None or attempt.looked_up >= len(schedule):
        return None
    return sent_at + schedule[attempt.looked_up] * 1_000


def _schedule(attempt: TrackedAttempt) -> Sequence[int]:
    if not (attempt.lookups_s or attempt.finds_lost_s):
        return ()
    if facts.is_negative(attempt):
        return ()
    lost = attempt.shown.result is AttemptResult.IN_DOUBT
    # A receipt may say that it arrived, but not by which name its provider knows it: without that, the code its
    # provider made could never be judged.
    if facts.is_delivered(attempt) and not (lost and attempt.code_holder is CodeHolder.PROVIDER):
        return ()
    if lost:
        # An answer in doubt may have told the message's id, and whoever knows that need not search for it.
        named = attempt.shown.provider_message_id is not None
        return (named and attempt.lookups_s) or attempt.finds_lost_s
    return attempt.lookups_s if facts.is_taken(attempt) else ()


def ask(turn: Turn, attempt: TrackedAttempt) -> None:
    """Ask once, also when several times have passed while nobody looked."""
    passed = _passed(_schedule(attempt), attempt, turn.now_ms)
    attempt = msgspec.structs.replace(attempt, looked_up=max(attempt.looked_up + 1, passed))
    turn.put_attempt(attempt)
    if turn.now_ms <= outcome.expires_at(turn.state):
        orders.lookup(turn, attempt)


def carried_on(before: TrackedAttempt, after: TrackedAttempt, now_ms: int) -> TrackedAttempt:
    """The attempt with its count moved to the times of an accepted message when its lost answer was found."""
    if before.shown.result is not AttemptResult.IN_DOUBT or after.shown.result is not AttemptResult.ACCEPTED:
        return after
    return msgspec.structs.replace(after, looked_up=_passed(after.lookups_s, after, now_ms))


def _passed(schedule: Sequence[int], attempt: TrackedAttempt, now_ms: int) -> int:
    sent_at = attempt.shown.sent_at
    return 0 if sent_at is None else sum(sent_at + seconds * 1_000 <= now_ms for seconds in schedule)
