"""Judging a typed code: in time, at most as often as allowed, right once."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.model.codes import normalise_typed, same_code
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.tracker_state import TrackedAttempt, TrackerState, WaitingRequest
from pipeline.records.types import CodeHolder, VerificationMode, VerificationState
from pipeline.tracker import asking, outcome
from pipeline.tracker import attempts as facts
from pipeline.tracker.turn import Turn


class Verdict(NamedTuple):
    """What a reply says beyond the state."""

    reason: ReplyReason
    retry_at: int | None = None
    step_index: int | None = None


_ENDED: Final = {
    VerificationState.VERIFIED: ReplyReason.ALREADY_VERIFIED,
    VerificationState.EXPIRED: ReplyReason.EXPIRED,
}


def judge(turn: Turn, request: WaitingRequest, code: str) -> Verdict | None:
    """Compare the code of a check in time; a right one ends the verification, a wrong one uses up a check.

    None when a provider has to judge it: :func:`rule` tells the verdict once it did.
    """
    state = turn.state
    if turn.is_final:
        return Verdict(_after_the_end(state))
    if turn.plan.mode is VerificationMode.REACH:
        return Verdict(ReplyReason.NOT_ACTIVE)
    if not is_in_time(state, request):
        # Not counted as a guess: it could not have succeeded. The expiry itself is the timer's, once all is read.
        return Verdict(ReplyReason.EXPIRED)
    typed = normalise_typed(code)
    if asking.is_used_up(turn, typed):
        return Verdict(ReplyReason.TOO_MANY_CHECKS)
    generation = _generation_of(turn, typed)
    if generation is not None:
        return _verified(turn, request, outcome.credited_for_our_code(state, generation, request.recorded_at))
    attempt = asking.told_us(turn, typed)
    if attempt is not None:
        return _verified(turn, request, attempt)
    ruling = asking.begin(turn, request, typed)
    return None if ruling is None else rule(turn, ruling)


def rule(turn: Turn, ruling: asking.Ruling) -> Verdict:
    """Carry out what the providers that hold codes say of one that is none of ours."""
    if ruling.credit is not None:
        return _verified(turn, ruling.request, ruling.credit)
    return _wrong(turn) if ruling.judged else Verdict(ReplyReason.PROVIDER_UNAVAILABLE)


def is_in_time(state: TrackerState, request: WaitingRequest) -> bool:
    """By the broker's append time of the check, up to and including the last millisecond of the code's life."""
    return request.recorded_at <= outcome.expires_at(state)


def _verified(turn: Turn, request: WaitingRequest, credit: TrackedAttempt | None) -> Verdict:
    turn.put(
        verified_at=request.recorded_at, verified_attempt_id=credit.shown.attempt_id if credit is not None else None
    )
    outcome.finish(turn, VerificationState.VERIFIED, None, credit=credit)
    return Verdict(ReplyReason.VALID)


def _wrong(turn: Turn) -> Verdict:
    turn.put(failed_checks=turn.state.failed_checks + 1)
    if outcome.checks_left(turn.state) == 0:
        outcome.finish(turn, VerificationState.FAILED, Reason.CHECKS_EXHAUSTED)
    return Verdict(ReplyReason.WRONG_CODE)


def _after_the_end(state: TrackerState) -> ReplyReason:
    if state.reason == Reason.CHECKS_EXHAUSTED:
        # Fewer checks than asked for were allowed because this recipient had failed too often before.
        plan = state.plan
        cut = plan is not None and plan.checks_allowed < plan.max_checks
        return ReplyReason.TOO_MANY_FAILURES if cut else ReplyReason.TOO_MANY_CHECKS
    if state.reason == Reason.TOO_MANY_FAILURES:
        return ReplyReason.TOO_MANY_FAILURES
    return _ENDED.get(state.state, ReplyReason.NOT_ACTIVE)


def _generation_of(turn: Turn, typed: str) -> int | None:
    """Which of the verification's codes was typed; None when it is none that is right now.

    A new one ends those before it when its message was taken by a provider and is not known to have failed. Else (the
    answer is not there, lost, a refusal, or it was not delivered) the person may hold an earlier one only, so both are
    right. All are compared, whichever it is, so that
    the time tells nothing.
    """
    state = turn.state
    first = max(
        (
            attempt.generation
            for attempt in state.attempts
            if attempt.code_holder is not CodeHolder.PROVIDER and facts.brings_its_code(attempt)
        ),
        default=0,
    )
    found = None
    for generation in range(first, state.generation + 1):
        if same_code(_expected(turn, generation), typed):
            found = generation
    return found


def _expected(turn: Turn, generation: int) -> str:
    """A code of this verification: the caller's, opened, or ours, derived again from what the plan pinned."""
    plan, ring, verification_id = turn.plan, turn.tools.key_ring, turn.state.verification_id
    if plan.code_holder is CodeHolder.CALLER:
        if plan.code_sealed is None:
            return ""
        return ring.open(plan.code_sealed, verification_id=verification_id, field="code").decode()
    if plan.code_holder is not CodeHolder.OURS:
        return ""
    payee = plan.payee_sealed
    return ring.code(
        plan.kid,
        verification_id=verification_id,
        recipient_hash=plan.recipient_hash,
        generation=generation,
        amount=plan.amount,
        payee=None if payee is None else ring.open(payee, verification_id=verification_id, field="payee").decode(),
        length=plan.code_length,
    )
