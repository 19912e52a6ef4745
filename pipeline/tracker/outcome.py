"""The outcome as the world sees it, and what else happens once when a verification ends."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from pipeline import topics
from pipeline.model import lifecycle
from pipeline.model.reasons import Reason
from pipeline.records.internal import Plan, RoutingEvent
from pipeline.records.public import StepView, VerificationOutcome
from pipeline.records.tracker_state import TrackedAttempt, TrackerState
from pipeline.records.types import AttemptResult, CodeHolder, RoutingKind, VerificationState
from pipeline.tracker import attempts as facts
from pipeline.tracker import figures, orders
from pipeline.tracker.turn import Turn, is_final

_MIXED_CURRENCIES: Final = "cost counts {currency} only; attempts in another currency are listed with theirs"


def expires_at(state: TrackerState) -> int:
    """The queue deadline until a provider was called, then the end of the code's life; epoch milliseconds."""
    plan = state.plan
    assert plan is not None
    if state.sent_at is None:
        return plan.queue_deadline_at
    return state.sent_at + plan.expires_in_s * 1_000


def checks_left(state: TrackerState) -> int:
    """Wrong codes that may still be typed."""
    return 0 if state.plan is None else max(0, state.plan.checks_allowed - state.failed_checks)


def active_step(state: TrackerState) -> int | None:
    """The step of the latest attempt; None while there is none.

    Of several steps it stands for, the one its provider has come to, as far as the provider tells.
    """
    if not state.attempts:
        return None
    latest = state.attempts[-1]
    if latest.last_step <= latest.shown.step_index:
        return latest.shown.step_index
    used = latest.shown.used_channel
    steps = state.plan.steps if state.plan is not None else []
    reached = (i for i in reversed(facts.steps_of(latest)) if steps[i].channel is used)
    return next(reached, latest.shown.step_index)


def build(state: TrackerState) -> VerificationOutcome:
    """The whole joined state; ``state.plan`` must be set."""
    plan = state.plan
    assert plan is not None
    tracked = state.attempts
    latest = tracked[-1].shown if tracked else None
    step = active_step(state)
    cost, currency, mixed = _cost(tracked)
    detail = state.detail
    if mixed and detail is None:
        detail = _MIXED_CURRENCIES.format(currency=currency)
    valid = [attempt.shown.number_valid for attempt in tracked if attempt.shown.number_valid is not None]
    return VerificationOutcome(
        verification_id=state.verification_id,
        version=state.version,
        tenant=plan.tenant,
        external_id=plan.external_id,
        job_id=plan.job_id,
        row=plan.row,
        mode=plan.mode,
        state=state.state,
        is_final=is_final(state),
        reason=state.reason,
        detail=detail,
        recipient_masked=plan.recipient_masked,
        recipient_hash=plan.recipient_hash,
        country=plan.country,
        channel=plan.steps[step].channel if step is not None else None,
        step_index=step,
        provider=latest.provider if latest else None,
        steps=_steps(plan, tracked),
        attempts=[attempt.shown for attempt in tracked],
        language=plan.language,
        code_length=(tracked[-1].code_length if tracked else 0) or plan.code_length,
        number_valid=valid[-1] if valid else None,
        failed_checks=state.failed_checks,
        checks_left=checks_left(state),
        max_checks=plan.max_checks,
        cost=cost,
        currency=currency,
        verified_attempt_id=state.verified_attempt_id,
        test=plan.test,
        metadata=plan.metadata,
        created_at=plan.requested_at,
        updated_at=state.updated_at,
        expires_at=expires_at(state),
        sent_at=state.sent_at,
        delivered_at=state.delivered_at,
        verified_at=state.verified_at,
    )


def _steps(plan: Plan, tracked: Sequence[TrackedAttempt]) -> list[StepView]:
    chosen = {step: attempt.shown.provider for attempt in tracked for step in facts.steps_of(attempt)}
    return [
        StepView(
            index=step.index,
            channel=step.channel,
            provider=chosen.get(step.index, step.provider),
            recipient_masked=step.recipient_masked,
            wait_s=step.wait_s,
        )
        for step in plan.steps
    ]


def _cost(tracked: Sequence[TrackedAttempt]) -> tuple[str | None, str | None, bool]:
    """Total, its currency, and whether attempts in other currencies were left out of it."""
    priced = [attempt.shown for attempt in tracked if attempt.shown.cost is not None]
    if not priced:
        return None, None, False
    currency = priced[0].currency
    same = [shown for shown in priced if shown.currency == currency]
    if len(same) == 1:
        return same[0].cost, currency, len(priced) > 1
    total = sum((Decimal(shown.cost or "0") for shown in same), Decimal(0))
    return format(total, "f"), currency, len(same) < len(priced)


def publish(turn: Turn, before: TrackerState | None) -> None:
    """Write the next version when anything shown has changed.

    After the final one nothing is compared any more: late receipts still change the attempts kept for cohort counts.
    """
    if turn.state.plan is None or (before is not None and is_final(before)):
        return
    if before is not None and before.plan is not None and _shown(before) == _shown(turn.state):
        return
    version = turn.state.version + 1
    turn.put(version=version, updated_at=turn.now_ms)
    turn.emit(topics.OUTCOMES, build(turn.state))


def _shown(state: TrackerState) -> tuple[object, ...]:
    """All that :func:`build` looks at, but for version and update time; cheaper to compare than two outcomes."""
    return (
        state.plan,
        state.state,
        state.reason,
        state.detail,
        [attempt.shown for attempt in state.attempts],
        state.failed_checks,
        state.verified_attempt_id,
        state.sent_at,
        state.delivered_at,
        state.verified_at,
    )


def credited(attempts: Sequence[TrackedAttempt], before_at: int) -> TrackedAttempt | None:
    """The last accepted attempt whose call was begun before ``before_at``."""
    for attempt in reversed(attempts):
        if attempt.shown.result is AttemptResult.ACCEPTED and (attempt.shown.sent_at or 0) <= before_at:
            return attempt
    return None


def credited_for_our_code(state: TrackerState, generation: int, before_at: int) -> TrackedAttempt | None:
    """Like :func:`credited`; but somebody who typed the code had it, so an attempt in doubt or unanswered will do.

    Such a one also comes before an accepted attempt that was reported undelivered. One whose provider made a code of
    its own carried another, and so did one of another generation.
    """
    carried = [
        attempt
        for attempt in state.attempts
        if attempt.code_holder is not CodeHolder.PROVIDER and attempt.generation == generation
    ]
    accepted = credited(carried, before_at)
    if accepted is not None and not facts.is_negative(accepted):
        return accepted
    possible = [attempt for attempt in carried if not facts.is_negative(attempt)]
    return possible[-1] if possible else accepted


def finish(
    turn: Turn,
    to: VerificationState,
    reason: Reason | None,
    *,
    detail: str | None = None,
    credit: TrackedAttempt | None = None,
) -> None:
    """End the verification: its last state, its figures, and what the router is told of it."""
    state = turn.state
    assert state.final_at is None, "a verification ends once"
    moved = lifecycle.advance(state.state, to, turn.plan.mode)
    assert lifecycle.is_final(moved, turn.plan.mode), f"{state.state} cannot end as {to}"
    turn.put(state=moved, reason=reason, detail=detail, final_at=turn.now_ms)
    if state.provider_check is not None:
        # Whatever the provider says of it is too late now: it is answered by how the verification ended.
        turn.put(provider_check=None, waiting=[state.provider_check.request, *state.waiting])
    credit = credit or credited(state.attempts, turn.now_ms)
    figures.ended(turn, credit)
    for attempt in state.attempts:
        orders.close(turn, attempt)
    if not state.refused:
        _tell_router(turn, credit)


def close_loser(turn: Turn, decision_id: str, plan: Plan) -> None:
    """Return the guesses that a decision which lost reserved at another recipient."""
    turn.emit(
        topics.lane(topics.ROUTER_INBOX, plan.bulk),
        RoutingEvent(
            verification_id=turn.state.verification_id,
            kind=RoutingKind.CLOSED,
            bulk=plan.bulk,
            decision_id=decision_id,
            tenant=plan.tenant,
            recipient_key=plan.recipient_key,
            occurred_at=turn.now_ms,
        ),
        partition=plan.recipient_partition,
    )


def _tell_router(turn: Turn, credit: TrackedAttempt | None) -> None:
    plan = turn.plan
    verified = turn.state.state is VerificationState.VERIFIED
    turn.emit(
        topics.lane(topics.ROUTER_INBOX, plan.bulk),
        RoutingEvent(
            verification_id=turn.state.verification_id,
            kind=RoutingKind.VERIFIED if verified else RoutingKind.CLOSED,
            bulk=plan.bulk,
            decision_id=turn.state.decision_id,
            n=credit.n if credit else 0,
            step_index=credit.shown.step_index if credit else 0,
            sent_at=turn.state.sent_at,
            tenant=plan.tenant,
            recipient_key=plan.recipient_key,
            failed_checks=turn.state.failed_checks,
            provider=credit.shown.provider if credit else None,
            channel=credit.shown.channel if credit else None,
            occurred_at=turn.now_ms,
        ),
        partition=plan.recipient_partition,
    )
