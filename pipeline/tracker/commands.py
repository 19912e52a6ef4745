"""What a caller may ask of a running verification: resend a step, fail over to a step, cancel."""

from __future__ import annotations

import msgspec

from pipeline.model.limits import RESEND_COOLDOWN_MS
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.tracker_state import WaitingRequest
from pipeline.records.types import CommandAction, VerificationState
from pipeline.tracker import outcome, steps
from pipeline.tracker.checks import Verdict
from pipeline.tracker.turn import Turn


def carry_out(turn: Turn, request: WaitingRequest) -> Verdict:
    """Do what is asked, or say why not."""
    if turn.is_final:
        return Verdict(ReplyReason.ALREADY_FINAL)
    if request.step_index is not None and not 0 <= request.step_index < len(turn.plan.steps):
        return Verdict(ReplyReason.NO_SUCH_STEP)
    if request.action is CommandAction.CANCEL:
        outcome.finish(turn, VerificationState.CANCELED, Reason.CANCELED_BY_CALLER)
        return Verdict(ReplyReason.ACCEPTED)
    if request.action is CommandAction.FAILOVER:
        return _failover(turn, request.step_index)
    if request.action is CommandAction.RESEND:
        return _resend(turn, request.step_index)
    return Verdict(ReplyReason.INVALID_FIELD)


def _failover(turn: Turn, named: int | None) -> Verdict:
    state = turn.state
    if state.routing is not None:
        # The next attempt is on its way already: a second one beside it would text the person twice.
        turn.put(routing=msgspec.structs.replace(state.routing, by_caller=True))
        return Verdict(ReplyReason.ACCEPTED, step_index=state.routing.step_index)
    if not steps.is_time_left(turn):
        return Verdict(ReplyReason.TOO_LATE_TO_RESEND)
    step = named
    if step is None:
        first = state.attempts[-1].last_step + 1 if state.attempts else 0
        left = (i for i in range(first, len(turn.plan.steps)) if i not in state.unroutable_steps)
        step = next(left, None)
    if step is None or len(state.attempts) >= turn.tools.policy.max_attempts_total:
        return Verdict(ReplyReason.NO_MORE_STEPS)
    if named is None and state.attempts:
        # Should that step have no route, the one after it is what the caller wants, not this one's wait.
        turn.put_attempt(msgspec.structs.replace(state.attempts[-1], wait_over=True))
    steps.ask_for_route(turn, step, by_caller=True)
    return Verdict(ReplyReason.ACCEPTED, step_index=step)


def _resend(turn: Turn, named: int | None) -> Verdict:
    state = turn.state
    if state.resends >= len(RESEND_COOLDOWN_MS):
        return Verdict(ReplyReason.TOO_MANY_RESENDS)
    if len(state.attempts) >= turn.tools.policy.max_attempts_total:
        return Verdict(ReplyReason.TOO_MANY_RESENDS)
    calls = [attempt.shown.sent_at for attempt in state.attempts if attempt.shown.sent_at is not None]
    retry_at = max(calls, default=turn.now_ms) + RESEND_COOLDOWN_MS[state.resends]
    if steps.in_flight(state) or (calls and turn.now_ms < retry_at):
        return Verdict(ReplyReason.RESEND_TOO_SOON, retry_at=retry_at)
    if not steps.is_time_left(turn):
        return Verdict(ReplyReason.TOO_LATE_TO_RESEND)
    step = outcome.active_step(state) if named is None else named
    turn.put(resends=state.resends + 1)
    steps.ask_for_route(turn, step or 0, by_caller=True, resend=True)
    return Verdict(ReplyReason.ACCEPTED, step_index=step or 0)
