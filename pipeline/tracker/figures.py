"""What the tracker measures; names and labels are those of the metric catalogue."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from pipeline.model import delivery
from pipeline.model.limits import HORIZONS_MS
from pipeline.records.internal import SendResult
from pipeline.records.tracker_state import TrackedAttempt
from pipeline.records.types import AttemptResult, CommandKind, VerificationMode, VerificationState
from pipeline.tracker.attempts import is_delivered, is_negative, is_pending
from pipeline.tracker.turn import Turn

_NONE: Final = "none"
OTHER: Final = "other"
"""Label value for what is no name of ours."""
_MATURED: Final = tuple(f"delivery_matured_{horizon // 1_000}s_total" for horizon in HORIZONS_MS)


def lane(bulk: bool) -> str:
    """The label value."""
    return "bulk" if bulk else "interactive"


def attempt_changed(turn: Turn, before: TrackedAttempt, after: TrackedAttempt) -> None:
    """Count each thing once per attempt, however often its records come."""
    old, new = before.shown, after.shown
    if is_pending(before) and not is_pending(after):
        turn.count(
            "attempts_total",
            provider=new.provider,
            channel=new.channel,
            country=after.country or OTHER,
            result=new.result,
            reason=new.reason or _NONE,
        )
    if new.delivered_at is not None and new.sent_at is not None and (old.delivered_at is None or old.sent_at is None):
        # The provider's clock is not ours: a delivery "before" the call is one at once.
        seconds = max(0, new.delivered_at - new.sent_at) / 1_000
        turn.count("delivery_seconds", seconds, provider=new.provider, channel=new.channel)
    if new.cost is not None and new.currency is not None and new.cost != old.cost:
        grown = Decimal(new.cost) - Decimal(old.cost or "0")
        if grown > 0:
            turn.count("cost_total", float(grown), provider=new.provider, currency=new.currency)


def foreign_result(turn: Turn, result: SendResult) -> None:
    """A provider was called for a decision that lost; the call happened, so it is counted as an attempt.

    Looking the message up afterwards is none.
    """
    if result.kind is not CommandKind.SEND:
        return
    turn.count(
        "attempts_total",
        provider=result.provider,
        channel=result.channel,
        country=OTHER,
        result=result.result,
        reason=delivery.known_reason(result.reason) or _NONE,
    )


def matured(turn: Turn, attempt: TrackedAttempt, horizon: int) -> None:
    """Count an attempt at one of its ages, by when its report was written: a stopped tracker counts alike.

    Exact is which attempts are counted, and as what: ``TrackedAttempt.matured`` moves on in the same transaction, so
    none is counted twice or forgotten over restarts. The increment itself follows the commit, like every other: a
    process that dies between the two takes the increments of that one transaction with it.
    """
    shown = attempt.shown
    until = (shown.sent_at or 0) + HORIZONS_MS[horizon]
    if is_delivered(attempt) and attempt.delivery_known_at is not None and attempt.delivery_known_at <= until:
        delivered = "yes"
    elif not attempt.has_receipts or (shown.result is AttemptResult.IN_DOUBT and not is_negative(attempt)):
        delivered = "unknown"
    else:
        delivered = "no"
    turn.count(
        _MATURED[horizon],
        provider=shown.provider,
        channel=shown.channel,
        country=attempt.country or OTHER,
        delivered=delivered,
    )


def ended(turn: Turn, credit: TrackedAttempt | None) -> None:
    """Count a verification at its end."""
    state, plan = turn.state, turn.plan
    where = lane(plan.bulk)
    turn.count("outcomes_total", state=state.state, reason=state.reason or _NONE, lane=where)
    turn.count("end_to_end_seconds", max(0, turn.now_ms - plan.requested_at) / 1_000, lane=where)
    if state.state is VerificationState.VERIFIED and state.verified_at is not None and state.sent_at is not None:
        turn.count("time_to_verify_seconds", max(0, state.verified_at - state.sent_at) / 1_000)
    if plan.test:
        converted = "test"
    elif state.state is VerificationState.CANCELED:
        converted = "canceled"
    elif state.state is VerificationState.VERIFIED:
        converted = "yes"
    elif credit is None:
        converted = "no_attempt"
    else:
        # Nobody is asked for a code in reach mode: called "no" it would look like a route that does not work.
        converted = "reach" if plan.mode is VerificationMode.REACH else "no"
    turn.count(
        "conversion_matured_total",
        provider=credit.shown.provider if credit else _NONE,
        channel=credit.shown.channel if credit else _NONE,
        country=(credit.country if credit else plan.country) or OTHER,
        converted=converted,
    )
