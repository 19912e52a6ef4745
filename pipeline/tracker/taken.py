"""Messages whose code their provider made, and which it may send again or take to another channel when asked."""

from __future__ import annotations

from pipeline.records.internal import TakenMessage
from pipeline.records.tracker_state import TrackedAttempt, TrackerState
from pipeline.records.types import AttemptStatus, CodeHolder
from pipeline.tracker import attempts as facts


def for_step(state: TrackerState, step_index: int) -> list[TakenMessage]:
    """Those whose provider was told of this step, newest first; whether it is still asked is the router's choice."""
    found: dict[tuple[str, str | None], TakenMessage] = {}
    for attempt in reversed(state.attempts):
        place = step_index - attempt.shown.step_index + attempt.place
        message_id = attempt.shown.provider_message_id
        if message_id is None or message_of(attempt) in found or not 0 <= place <= attempt.place + attempt.told_steps:
            continue
        if facts.is_taken(attempt) and _is_alive(attempt):
            # Of a sending whose answer was lost nobody knows whether it was made.
            same = [
                other for other in state.attempts if facts.is_taken(other) and message_of(other) == message_of(attempt)
            ]
            found[message_of(attempt)] = TakenMessage(
                provider=attempt.shown.provider,
                provider_message_id=message_id,
                place=place,
                again=any(other.place == place for other in same),
                told_steps=attempt.place + attempt.told_steps - place,
                code_length=attempt.code_length,
            )
    return list(found.values())


def message_of(attempt: TrackedAttempt) -> tuple[str, str | None]:
    """Which message it is a sending of; None in the second place while that is not known.

    Of another sending of one that its provider has, it is known although the answer was lost: it brings no other code.
    """
    return attempt.shown.provider, attempt.shown.provider_message_id or attempt.taken_message_id


def _is_alive(attempt: TrackedAttempt) -> bool:
    """A message that did not arrive may still be sent again; one whose code has ended may not."""
    return attempt.code_holder is CodeHolder.PROVIDER and attempt.shown.status is not AttemptStatus.EXPIRED
