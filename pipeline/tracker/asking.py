"""Codes that providers made: nobody but they can say whether one was typed rightly.

One check at a time is put to them, to one attempt after the other, newest first. Any yes is a yes. When all say no the
code is wrong. When one of them gave no verdict, and nobody said yes, there is none at all: an outage must not look like
a person's mistake.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from pipeline.model.codes import same_code
from pipeline.model.limits import UNJUDGED_CODES
from pipeline.records.internal import SendResult
from pipeline.records.tracker_state import ProviderCheck, TrackedAttempt, TrackerState, WaitingRequest
from pipeline.records.types import AttemptResult, AttemptStatus, CodeHolder
from pipeline.tracker import attempts as facts
from pipeline.tracker import orders
from pipeline.tracker.taken import codes_in_doubt, first_sending, message_of
from pipeline.tracker.turn import Turn


class Ruling(NamedTuple):
    """What all code holders together say of one check."""

    request: WaitingRequest
    credit: TrackedAttempt | None = None
    """The attempt whose provider said yes."""
    judged: bool = True
    """Whether it was judged at all."""


def told_us(turn: Turn, typed: str) -> TrackedAttempt | None:
    """The newest attempt whose provider told us this code when it made it."""
    for attempt in reversed(turn.state.attempts):
        if attempt.code_sealed is not None and _is_out(attempt):
            code = turn.tools.key_ring.open(
                attempt.code_sealed,
                verification_id=turn.state.verification_id,
                field="code",
                record="SendResult",
            ).decode()
            if same_code(code, typed):
                return attempt
    return None


def begin(turn: Turn, request: WaitingRequest, typed: str) -> Ruling | None:
    """Put a code that is none we know to the providers; None when their answer must be waited for.

    ``typed`` is normalised; the empty string is no code at all and asks nobody.
    """
    assert turn.state.provider_check is None, "at most one is outstanding"
    asked = _judges(turn.state) if typed else []
    if asked:
        request = msgspec.structs.replace(request, code_sealed=seal(turn, typed))
        _ask_next(turn, ProviderCheck(request=request, left=asked))
        return None
    judged = not typed or _is_known_without_them(turn.state)
    if not judged:
        _remember_unjudged(turn, typed)
    return Ruling(request, judged=judged)


def joined(turn: Turn, before: TrackedAttempt, after: TrackedAttempt) -> None:
    """Ask about this one too when it comes out, while a code is being judged, that its provider took it.

    People type faster than some providers answer: they may hold the code of a message whose send is not answered yet.
    Another sending of a message that is asked about already brings no other code.
    """
    check = turn.state.provider_check
    if check is None or _can_judge(before) or after.n in (check.asked, *check.left):
        return
    if after.n not in _judges(turn.state):
        return
    turn.put(provider_check=msgspec.structs.replace(check, left=[after.n, *check.left]))


def answered(turn: Turn, told: SendResult) -> Ruling | None:
    """Join a provider's answer; None when others are still to be asked, or when it answers nothing that is asked."""
    state, check = turn.state, turn.state.provider_check
    if check is None or told.command_id != check.request.request_id or told.decision_id != state.decision_id:
        return None
    if told.n in check.left or not 0 < told.n <= len(state.attempts):
        return None
    attempt, typed = state.attempts[told.n - 1], _typed(turn, check)
    verdict = _verdict(turn, attempt, typed, told)
    if verdict:
        # Also one that was given up and is late: the code is used up at the provider, and the person still waits.
        turn.put(provider_check=None)
        return Ruling(check.request, credit=_newest_sending(turn.state, attempt))
    if told.n != check.asked:
        return None
    if told.result is AttemptResult.IN_DOUBT:
        _doubt(turn, attempt, typed)
    return _go_on(turn, typed, judged=verdict is not None)


def unanswered(turn: Turn) -> Ruling | None:
    """The one being asked had its time, and may have used up the code without our knowing."""
    check = turn.state.provider_check
    assert check is not None
    typed = _typed(turn, check)
    _doubt(turn, turn.state.attempts[check.asked - 1], typed)
    return _go_on(turn, typed, judged=False)


def is_used_up(turn: Turn, typed: str) -> bool:
    """Whether too many other codes were tried already while nobody judged them."""
    unjudged = turn.state.unjudged_codes
    return len(unjudged) >= UNJUDGED_CODES and _unjudged(turn, typed) not in unjudged


def _go_on(turn: Turn, typed: str, *, judged: bool) -> Ruling | None:
    check = turn.state.provider_check
    assert check is not None
    check = msgspec.structs.replace(check, unanswered=check.unanswered or not judged)
    if check.left:
        _ask_next(turn, check)
        return None
    turn.put(provider_check=None)
    told = told_us(turn, typed)
    if told is not None:
        return Ruling(check.request, credit=told)
    if check.unanswered:
        _remember_unjudged(turn, typed)
    return Ruling(check.request, judged=not check.unanswered)


def _ask_next(turn: Turn, check: ProviderCheck) -> None:
    n, *left = check.left
    until_at = turn.now_ms + turn.tools.policy.provider_check_s * 1_000
    turn.put(provider_check=msgspec.structs.replace(check, asked=n, left=left, until_at=until_at))
    request = check.request
    orders.check(turn, turn.state.attempts[n - 1], request.request_id, request.code_sealed, until_at)


def _verdict(turn: Turn, attempt: TrackedAttempt, typed: str, told: SendResult) -> bool | None:
    """Yes, no, or None for none.

    "Verified already" is a yes for the very code whose answer was lost before: it was right then. For any other it is a
    no: the provider accepts a code once, and that one was not this. Where answers to several codes were lost it is no
    verdict on these, as only one of them was right. Nor is a plain no to a code whose answer was lost: most providers
    say it of a code that is used up as well, and the lost answer may have been the yes.
    """
    doubtful = _doubtful(turn, attempt, typed) in turn.state.doubtful_codes
    if told.already_verified:
        return (None if codes_in_doubt(turn.state, attempt) > 1 else True) if doubtful else False
    if told.result is not AttemptResult.ACCEPTED or (doubtful and not told.valid):
        return None
    return told.valid


def _is_out(attempt: TrackedAttempt) -> bool:
    """Whether the person may hold its code, and the provider still knows it."""
    took = attempt.shown.result is AttemptResult.ACCEPTED or facts.is_delivered(attempt)
    return took and attempt.shown.status is not AttemptStatus.EXPIRED


def _judges(state: TrackerState) -> list[int]:
    """The attempts to ask, newest first; of several sendings of one message its first: asked twice about one code, a
    provider would count two wrong ones, and what is in doubt of the first sending is so of the others."""
    judges: dict[tuple[str, str | None], int] = {}
    for attempt in reversed(state.attempts):
        if _can_judge(attempt):
            judges[message_of(attempt)] = attempt.n
    return list(judges.values())


def _newest_sending(state: TrackerState, judged: TrackedAttempt) -> TrackedAttempt:
    """What the person most likely read the code in."""
    same = [each for each in state.attempts if message_of(each) == message_of(judged) and _is_out(each)]
    return same[-1] if same else judged


def _can_judge(attempt: TrackedAttempt) -> bool:
    made = attempt.code_holder is CodeHolder.PROVIDER and attempt.code_sealed is None
    return made and attempt.has_check and _is_out(attempt)


def _is_known_without_them(state: TrackerState) -> bool:
    """Whether a code that differs from ours is wrong though no provider was asked.

    It is not when all that may have been sent are codes of providers whose answer to the send is unknown or unread:
    nobody could say what is right.
    """
    sent = [attempt for attempt in state.attempts if not facts.is_negative(attempt)]
    made = [attempt for attempt in sent if attempt.code_holder is CodeHolder.PROVIDER]
    return len(made) < len(sent) or all(attempt.code_sealed is not None for attempt in made)


def _doubt(turn: Turn, attempt: TrackedAttempt, typed: str) -> None:
    mark = _doubtful(turn, attempt, typed)
    if mark not in turn.state.doubtful_codes:
        turn.put(doubtful_codes=[*turn.state.doubtful_codes, mark])


def _doubtful(turn: Turn, attempt: TrackedAttempt, typed: str) -> str:
    """The mark of a typed code in doubt; it begins with the attempt's number, so that those of one can be counted.

    Of several sendings of a message it is always the first's: who is asked about its code changes when one expires.
    """
    first = first_sending(turn.state, attempt)
    return f"{first.n}:{_fingerprint(turn, 'doubtful-code', first.shown.attempt_id, typed)}"


def _unjudged(turn: Turn, typed: str) -> str:
    return _fingerprint(turn, "unjudged-code", turn.state.verification_id, typed)


def _remember_unjudged(turn: Turn, typed: str) -> None:
    code = _unjudged(turn, typed)
    if code not in turn.state.unjudged_codes:
        turn.put(unjudged_codes=[*turn.state.unjudged_codes, code])


def _fingerprint(turn: Turn, purpose: str, where: str, typed: str) -> str:
    return turn.tools.key_ring.fingerprint(purpose, where.encode(), typed.encode())


def seal(turn: Turn, typed: str) -> bytes:
    """A typed code as it may rest in the changelog and travel to a sender."""
    return turn.tools.key_ring.seal(
        typed.encode(), verification_id=turn.state.verification_id, field="code", record="CodeCheck"
    )


def opened(turn: Turn, sealed: bytes) -> str:
    """The inverse of :func:`seal`."""
    return turn.tools.key_ring.open(
        sealed, verification_id=turn.state.verification_id, field="code", record="CodeCheck"
    ).decode()


def _typed(turn: Turn, check: ProviderCheck) -> str:
    assert check.request.code_sealed is not None
    return opened(turn, check.request.code_sealed)
