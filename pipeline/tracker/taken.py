"""Messages whose code their provider made, and which it may send again or take to another channel when asked."""

from __future__ import annotations

from pipeline.records.internal import TakenMessage
from pipeline.records.tracker_state import TrackedAttempt, TrackerState
from pipeline.records.types import AttemptResult, AttemptStatus, CodeHolder
from pipeline.tracker import attempts as facts


def for_step(state: TrackerState, step_index: int) -> list[TakenMessage]:
    """Those whose provider was told of this step, newest first; whether it is still asked is the router's choice."""
    found: dict[tuple[str, str | None], TakenMessage] = {}
    for attempt in reversed(state.attempts):
        place = step_index - attempt.shown.step_index + attempt.place
        message_id = attempt.shown.provider_message_id
        if message_id is None or message_of(attempt) in found or not 0 <= place <= attempt.place + attempt.told_steps:
            continue
        same = [other for other in state.attempts if message_of(other) == message_of(attempt)]
        if facts.is_taken(attempt) and _is_alive(attempt) and not any(_speaks_against(state, each) for each in same):
            found[message_of(attempt)] = TakenMessage(
                provider=attempt.shown.provider,
                provider_message_id=message_id,
                place=place,
                # Of a sending whose answer was lost nobody knows whether it was made.
                again=any(other.place == place and facts.is_taken(other) for other in same),
                told_steps=attempt.place + attempt.told_steps - place,
                code_length=attempt.code_length,
            )
    return list(found.values())


def message_of(attempt: TrackedAttempt) -> tuple[str, str | None]:
    """Which message it is a sending of; None in the second place while that is not known.

    Of another sending of one that its provider has, it is known although the answer was lost: it brings no other code.
    """
    return attempt.shown.provider, attempt.shown.provider_message_id or attempt.taken_message_id


def codes_in_doubt(state: TrackerState, attempt: TrackedAttempt) -> int:
    """How many typed codes its provider was asked about without our learning the answer."""
    first = first_sending(state, attempt)
    return sum(mark.startswith(f"{first.n}:") for mark in state.doubtful_codes)


def first_sending(state: TrackerState, attempt: TrackedAttempt) -> TrackedAttempt:
    """The attempt that its message was made for; itself while it is not known which message it is."""
    if message_of(attempt)[1] is None:
        return attempt
    return next((each for each in state.attempts if message_of(each) == message_of(attempt)), attempt)


def was_refused(attempt: TrackedAttempt) -> bool:
    """Whether its provider would not send the message once more; that says nothing of a new message."""
    return attempt.taken_message_id is not None and attempt.shown.result is AttemptResult.REJECTED


def _speaks_against(state: TrackerState, sending: TrackedAttempt) -> bool:
    """Whether the message is better left: also a code in doubt may be used up, and then only a new one helps."""
    return was_refused(sending) or codes_in_doubt(state, sending) > 0


def _is_alive(attempt: TrackedAttempt) -> bool:
    """A message that did not arrive may still be sent again; one whose code has ended may not."""
    return attempt.code_holder is CodeHolder.PROVIDER and attempt.shown.status is not AttemptStatus.EXPIRED
