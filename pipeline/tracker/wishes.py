"""Messages that a caller asked for, by a resend or a failover, and was told that they are accepted.

One that its provider refuses goes another route of its step, also when an earlier message was delivered: the person
still waits for this one. A wish is for the person of its step and for nobody else: when no route is left for it, what
was going on before it goes on as if it had never been made.
"""

from __future__ import annotations

from pipeline.records.tracker_state import TrackedAttempt, TrackerState
from pipeline.tracker import attempts as facts
from pipeline.tracker import taken


def next_number(state: TrackerState) -> int:
    """The number of the wish that is accepted now."""
    return 1 + max(state.wishes_over, *(attempt.wish for attempt in state.attempts), 0)


def unmet(state: TrackerState) -> TrackedAttempt | None:
    """The attempt that came to nothing although a caller asked for it, while another route of its step may do."""
    latest = state.attempts[-1] if state.attempts else None
    if latest is None or latest.wish <= state.wishes_over or not facts.is_negative(latest):
        return None
    return None if facts.blames_recipient(latest) else latest


def leading(state: TrackerState) -> TrackedAttempt:
    """The attempt that the course of the plan follows: the latest but for wishes that came to nothing."""
    attempts = state.attempts
    follows = (each for each in reversed(attempts) if not (each.wish and facts.is_negative(each)))
    return next(follows, attempts[0])


def hopeless_steps(state: TrackerState) -> set[int]:
    """Steps whose recipient a wish has shown to be out of reach: the course of the plan leaves them out."""
    return {
        step
        for attempt in state.attempts
        if attempt.wish and facts.is_negative(attempt) and facts.blames_recipient(attempt)
        for step in facts.steps_of(attempt)
    }


def refused_by(state: TrackerState, wish: int) -> list[str]:
    """Providers that did not fulfil this wish, so that no way leads back to them; any other is better than none."""
    return [
        attempt.shown.provider for attempt in state.attempts if attempt.wish == wish and not taken.was_refused(attempt)
    ]
