"""What follows from the facts: the state, the next route to ask for, and the end when there is none.

Everything here is derived from the state alone, so it does not matter which record came last. At most one route is
asked for at a time: two would give two attempts the same number, or text the person twice.
"""

from __future__ import annotations

import msgspec

from pipeline import topics
from pipeline.model import delivery, lifecycle
from pipeline.model.reasons import STATE, Reason
from pipeline.records.internal import Plan, RoutingEvent
from pipeline.records.tracker_state import OutstandingRoute, TrackedAttempt, TrackerState
from pipeline.records.types import AttemptStatus, RoutingKind, VerificationMode, VerificationState
from pipeline.tracker import attempts as facts
from pipeline.tracker import outcome, taken, wishes
from pipeline.tracker.turn import Turn


def settle(turn: Turn) -> None:
    """Bring the state up to its facts, and ask for the next route or end when that is due."""
    if turn.state.plan is None or turn.is_final:
        return
    _progress(turn)
    state = turn.state
    delivered = state.state is VerificationState.DELIVERED
    if delivered and turn.plan.mode is VerificationMode.REACH:
        outcome.finish(turn, VerificationState.DELIVERED, None)
        return
    if state.routing is not None or state.route_reason == Reason.TOO_LATE:
        # Steps are left but no time: it stays open for the codes that may be out there, until it expires.
        return
    is_full = len(state.attempts) >= turn.tools.policy.max_attempts_total
    unmet = wishes.unmet(state)
    if unmet is not None and not is_full and is_time_left(turn):
        ask_for_route(turn, unmet.shown.step_index, wish=unmet.wish, resend=unmet.resend)
        return
    if delivered:
        # The step succeeded: the next one would only annoy the person. What is left is the code, or the expiry.
        return
    step = next_step(state)
    if step is None:
        return
    if step >= len(turn.plan.steps):
        if _nothing_left(state):
            _fail(turn)
    elif is_full:
        if _nothing_left(state):
            outcome.finish(turn, VerificationState.FAILED, Reason.ATTEMPTS_EXHAUSTED, detail=_told(state))
    elif is_time_left(turn):
        ask_for_route(turn, step)


def _progress(turn: Turn) -> None:
    state = turn.state
    sent_at = delivered_at = None
    is_sent = is_delivered = False
    for attempt in state.attempts:
        shown = attempt.shown
        if shown.sent_at is not None and (sent_at is None or shown.sent_at < sent_at):
            sent_at = shown.sent_at
        if shown.delivered_at is not None and (delivered_at is None or shown.delivered_at < delivered_at):
            delivered_at = shown.delivered_at
        is_sent = is_sent or facts.is_sent(attempt)
        is_delivered = is_delivered or facts.is_delivered(attempt)
    if sent_at is not None and state.sent_at is None:
        # What was too late for the queue is in time for the code's life, which has only just begun.
        turn.put(route_reason=None, route_detail=None)
    moved = state.state
    if is_sent:
        moved = lifecycle.advance(moved, VerificationState.SENT)
    if is_delivered:
        moved = lifecycle.advance(moved, VerificationState.DELIVERED)
    if moved is not state.state or sent_at != state.sent_at or delivered_at != state.delivered_at:
        turn.put(state=moved, sent_at=sent_at, delivered_at=delivered_at)


def next_step(state: TrackerState) -> int | None:
    """The step that is due now; ``len(plan.steps)`` when there is none left, None while the latest attempt may succeed.

    A negative attempt moves on to another provider of its step, unless it is the recipient that does not work.
    """
    if not state.attempts:
        first = 0
    else:
        latest = wishes.leading(state)
        if facts.is_negative(latest):
            first = latest.last_step + 1 if facts.blames_recipient(latest) else latest.shown.step_index
        elif latest.wait_over:
            first = latest.last_step + 1
        else:
            return None
    return first_open(state, first)


def first_open(state: TrackerState, first: int) -> int:
    """The first step from there on that may have a route; ``len(plan.steps)`` when there is none."""
    assert state.plan is not None
    steps = len(state.plan.steps)
    closed = wishes.hopeless_steps(state).union(state.unroutable_steps)
    return next((i for i in range(first, steps) if i not in closed), steps)


def wait_until(state: TrackerState, no_receipt_wait_s: int) -> int | None:
    """When the active step's wait is over; None while no wait is running, or nothing would follow it."""
    if not state.attempts or state.routing is not None or state.state is VerificationState.DELIVERED:
        return None
    if state.route_reason == Reason.TOO_LATE:
        return None
    latest = wishes.leading(state)
    if latest.wait_over or latest.shown.sent_at is None or not facts.is_running(latest):
        return None
    assert state.plan is not None
    if first_open(state, latest.last_step + 1) == len(state.plan.steps):
        return None
    waits_s = (state.plan.steps[i].wait_s if latest.has_receipts else no_receipt_wait_s for i in facts.steps_of(latest))
    return latest.shown.sent_at + sum(waits_s) * 1_000


def route_until(turn: Turn) -> int:
    """No call may begin at or after this; epoch milliseconds."""
    if turn.state.sent_at is None:
        return turn.plan.queue_deadline_at
    return outcome.expires_at(turn.state) - turn.tools.policy.min_time_left_s * 1_000


def is_time_left(turn: Turn) -> bool:
    """Whether another attempt could still be sent.

    The sender's own time counts as well: one that has just answered ``expired`` by a clock ahead of ours would answer
    the next command the same way, and the next, until the attempts are used up.
    """
    finished_at = turn.state.attempts[-1].finished_at if turn.state.attempts else 0
    return max(turn.now_ms, finished_at) < route_until(turn)


def in_flight(state: TrackerState) -> bool:
    """Whether a call may be running, or a route may still be on its way to a sender."""
    return state.routing is not None or any(facts.is_pending(attempt) for attempt in state.attempts)


def ask_for_route(turn: Turn, step_index: int, *, wish: int = 0, resend: bool = False, onward: bool = False) -> None:
    """Ask the router, where the step's recipient lives, for the next attempt."""
    state = turn.state
    assert state.routing is None
    n = len(state.attempts) + 1
    tried = [attempt.shown.provider for attempt in state.attempts if step_index in facts.steps_of(attempt)]
    # A resend wants another route than the one that did not convert, not one that was never tried; once refused, it
    # wants one that was not tried at all, if there is any.
    begins = all(attempt.wish != wish for attempt in state.attempts)
    used = tried[-1:] if resend and begins else list(dict.fromkeys(tried))
    if state.attempts and taken.was_refused(latest := state.attempts[-1]):
        used = [provider for provider in used if provider != latest.shown.provider]
    route = OutstandingRoute(n=n, step_index=step_index, asked_at=turn.now_ms, resend=resend, wish=wish, onward=onward)
    _route(turn, route, used)


def _route(turn: Turn, route: OutstandingRoute, used: list[str]) -> None:
    state, plan = turn.state, turn.plan
    turn.put(routing=route)
    turn.emit(
        topics.lane(topics.ROUTER_INBOX, plan.bulk),
        RoutingEvent(
            verification_id=state.verification_id,
            kind=RoutingKind.NEXT_STEP,
            bulk=plan.bulk,
            decision_id=state.decision_id,
            plan=plan,
            step_index=route.step_index,
            n=route.n,
            used_providers=used,
            last_step=max((attempt.last_step for attempt in state.attempts), default=-1),
            taken=taken.for_step(state, route.step_index),
            generation=state.generation,
            sent_at=state.sent_at,
            send_by_at=route_until(turn),
            valid_until_at=0 if state.sent_at is None else outcome.expires_at(state),
            tenant=plan.tenant,
            recipient_key=plan.recipient_key,
            occurred_at=turn.now_ms,
        ),
        partition=plan.steps[route.step_index].partition,
    )


def no_route(turn: Turn, reason: str | None, detail: str | None) -> None:
    """The router found none for what was asked; the caller settles afterwards."""
    route = turn.state.routing
    assert route is not None
    turn.put(routing=None)
    may_go_on = is_time_left(turn) and not turn.is_final
    if route.resend and may_go_on:
        again = msgspec.structs.replace(route, asked_at=turn.now_ms, resend=False)
        _route(turn, again, wishes.refused_by(turn.state, route.wish))
        return
    told = delivery.known_reason(reason) or Reason.NO_ROUTE
    steps = turn.state.unroutable_steps
    if told != Reason.TOO_LATE:
        steps = sorted({*steps, route.step_index})
    turn.put(unroutable_steps=steps, route_reason=told, route_detail=detail)
    if route.onward and may_go_on and told != Reason.TOO_LATE:
        step = first_open(turn.state, route.step_index + 1)
        if step < len(turn.plan.steps) and _is_for_the_same(turn.plan, route.step_index, step):
            ask_for_route(turn, step, wish=route.wish, onward=True)
            return
    turn.put(wishes_over=max(turn.state.wishes_over, route.wish))


def _is_for_the_same(plan: Plan, one: int, other: int) -> bool:
    return plan.steps[one].recipient_key == plan.steps[other].recipient_key


def _nothing_left(state: TrackerState) -> bool:
    """No attempt can arrive any more, and no typed code is being judged that may show that one did."""
    return state.provider_check is None and all(facts.is_negative(attempt) for attempt in state.attempts)


def was_called(attempt: TrackedAttempt) -> bool:
    """Whether a provider saw this attempt; a receipt proves it before the answer is read."""
    return attempt.shown.sent_at is not None or attempt.shown.status not in (AttemptStatus.NONE, AttemptStatus.UNKNOWN)


def expire(turn: Turn) -> None:
    """The time is up: the code's, or the queue's when nothing was ever called."""
    called = any(was_called(attempt) for attempt in turn.state.attempts)
    outcome.finish(turn, VerificationState.EXPIRED, Reason.EXPIRED if called else Reason.TOO_LATE)


def _fail(turn: Turn) -> None:
    """No step is left and nothing is under way."""
    state = turn.state
    if not state.attempts:
        # Nothing was ever sent, so what the router said of the step is the truth, be it a refusal or a block.
        reason = Reason(state.route_reason or Reason.NO_ROUTE)
        outcome.finish(turn, STATE[reason], reason, detail=state.route_detail)
        return
    if len(turn.plan.steps) > 1:
        outcome.finish(turn, VerificationState.FAILED, Reason.STEPS_EXHAUSTED, detail=_told(state))
        return
    reason = Reason(state.attempts[-1].shown.reason or Reason.PROVIDER_ERROR)
    if STATE[reason] is VerificationState.EXPIRED:
        expire(turn)
    else:
        failed = STATE[reason] is VerificationState.FAILED
        shown = reason if failed else Reason.PROVIDER_ERROR
        outcome.finish(turn, VerificationState.FAILED, shown, detail=_told(state))


def _told(state: TrackerState) -> str | None:
    """What the senders said of the attempts, in order; None when they said nothing."""
    parts = [
        f"{attempt.shown.provider} {attempt.shown.channel}: {attempt.result_detail}"
        for attempt in state.attempts
        if attempt.result_detail
    ]
    return "; ".join(parts) or None
