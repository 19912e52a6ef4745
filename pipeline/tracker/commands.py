"""What a caller may ask of a running verification: resend a step, fail over to a step, cancel."""

from __future__ import annotations

import msgspec

from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.tracker_state import WaitingRequest
from pipeline.records.types import CodeHolder, CommandAction, VerificationState
from pipeline.tracker import outcome, steps, wishes
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
        wish = state.routing.wish or wishes.next_number(state)
        turn.put(routing=msgspec.structs.replace(state.routing, wish=wish))
        return Verdict(ReplyReason.ACCEPTED, step_index=state.routing.step_index)
    if not steps.is_time_left(turn):
        return Verdict(ReplyReason.TOO_LATE_TO_RESEND)
    step = named
    if step is None:
        step = steps.first_open(state, wishes.leading(state).last_step + 1 if state.attempts else 0)
    if step >= len(turn.plan.steps) or len(state.attempts) >= turn.tools.policy.max_attempts_total:
        return Verdict(ReplyReason.NO_MORE_STEPS)
    steps.ask_for_route(turn, step, wish=wishes.next_number(state), onward=named is None)
    return Verdict(ReplyReason.ACCEPTED, step_index=step)


def _resend(turn: Turn, named: int | None) -> Verdict:
    state = turn.state
    policy = turn.tools.policy
    if state.resends >= policy.max_resends or len(state.attempts) >= policy.max_attempts_total:
        return Verdict(ReplyReason.TOO_MANY_RESENDS)
    if not steps.is_time_left(turn):
        return Verdict(ReplyReason.TOO_LATE_TO_RESEND)
    cooldown_ms = policy.resend_cooldown_s[min(state.resends, len(policy.resend_cooldown_s) - 1)] * 1_000
    calls = [attempt.shown.sent_at for attempt in state.attempts if attempt.shown.sent_at is not None]
    if steps.in_flight(state):
        # A call is about to be made, or is being made now: the cool-down counts from that one.
        calls.append(turn.now_ms)
    retry_at = max(calls, default=0) + cooldown_ms
    if turn.now_ms < retry_at:
        # Whoever is told a time finds something to be had then.
        is_over = state.sent_at is not None and retry_at >= steps.route_until(turn)
        reason = ReplyReason.TOO_LATE_TO_RESEND if is_over else ReplyReason.RESEND_TOO_SOON
        return Verdict(reason, retry_at=None if is_over else retry_at)
    step = outcome.active_step(state) if named is None else named
    turn.put(resends=state.resends + 1)
    if policy.resend_code == "new" and turn.plan.code_holder is CodeHolder.OURS:
        turn.put(generation=state.generation + 1)
    steps.ask_for_route(turn, step or 0, wish=wishes.next_number(state), resend=True)
    return Verdict(ReplyReason.ACCEPTED, step_index=step or 0)
