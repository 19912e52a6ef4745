"""One attempt as facts that only grow: what answers and receipts say, in whatever order and however often they come.

Every fact is joined by an operation that is commutative and repeats harmlessly: the higher rank, the earlier time, the
higher cost. So no order of the inputs is right or wrong.
"""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.model import delivery
from pipeline.model.reasons import Reason
from pipeline.model.told_time import plausible
from pipeline.records.internal import AttemptPlan, Plan, SendResult
from pipeline.records.public import Attempt, DeliveryStatus
from pipeline.records.tracker_state import TrackedAttempt
from pipeline.records.types import AttemptResult, AttemptStatus, CodeHolder, CommandKind, ResultClass

_RESULT_RANK: Final = {
    AttemptResult.UNKNOWN: 0,
    AttemptResult.PENDING: 0,
    # A later look-up, or the sender's own answer overtaken by its journal, knows more than "in doubt".
    AttemptResult.IN_DOUBT: 1,
    AttemptResult.EXPIRED: 2,
    AttemptResult.NOT_SENT: 3,
    AttemptResult.REJECTED: 4,
    # Of two answers that contradict each other the one after which the person may hold a code counts.
    AttemptResult.ACCEPTED: 5,
}
_NEGATIVE_RESULTS: Final = frozenset((AttemptResult.REJECTED, AttemptResult.NOT_SENT, AttemptResult.EXPIRED))
_ON_ITS_WAY: Final = delivery.DELIVERED | {AttemptStatus.SENT}
_CALLED: Final = frozenset((AttemptResult.ACCEPTED, AttemptResult.REJECTED, AttemptResult.IN_DOUBT))
_RECIPIENT: Final = frozenset((Reason.RECIPIENT_REJECTED, Reason.RECIPIENT_BLOCKED))

_CLASS_REASON: Final = {
    ResultClass.RECIPIENT: Reason.RECIPIENT_REJECTED,
    ResultClass.CONTENT: Reason.CONTENT_REJECTED,
    ResultClass.ACCOUNT: Reason.ACCOUNT_REJECTED,
    ResultClass.ROUTE: Reason.ROUTE_UNAVAILABLE,
}


def named(attempt: TrackedAttempt) -> delivery.Named:
    """What a report must name to be of it."""
    return delivery.Named(attempt.shown.attempt_id, attempt.shown.provider, attempt.shown.reference)


def begin(
    verification_id: str, plan: Plan, route: AttemptPlan, *, wish: int = 0, resend: bool = False
) -> TrackedAttempt:
    """The attempt of a route the router has just picked; ``wish`` and ``resend`` are those of the question."""
    step = plan.steps[route.step_index]
    return TrackedAttempt(
        shown=Attempt(
            attempt_id=f"{verification_id}.{route.n}",
            step_index=route.step_index,
            channel=route.channel,
            provider=route.provider,
            reference=route.reference,
            recipient_masked=step.recipient_masked,
            recipient_hash=step.recipient_hash,
            result=AttemptResult.PENDING,
            status=AttemptStatus.NONE,
            language=route.language,
            sender=route.sender,
            adjusted=route.adjusted,
        ),
        n=route.n,
        country=step.country or plan.country,
        code_holder=route.code_holder,
        last_step=max(route.step_index, route.last_step),
        has_receipts=route.has_receipts,
        has_check=route.has_check,
        has_report=route.has_report,
        has_cancel=route.has_cancel,
        lookups_s=route.lookups_s,
        finds_lost_s=route.finds_lost_s,
        code_length=route.code_length,
        generation=route.generation,
        wish=wish,
        resend=resend,
        place=route.place,
        told_steps=route.told_steps,
        taken_message_id=route.taken_message_id,
    )


def is_pending(attempt: TrackedAttempt) -> bool:
    """Whether the sender has not answered; a call may be running."""
    return _RESULT_RANK[attempt.shown.result] == 0


def is_delivered(attempt: TrackedAttempt) -> bool:
    """Whether the message reached the person's device."""
    return attempt.shown.status in delivery.DELIVERED


def is_negative(attempt: TrackedAttempt) -> bool:
    """Whether this attempt definitely did not reach the person."""
    shown = attempt.shown
    return shown.status in delivery.NEGATIVE or (
        shown.result in _NEGATIVE_RESULTS and shown.status not in delivery.DELIVERED
    )


def is_sent(attempt: TrackedAttempt) -> bool:
    """Whether the provider took the message."""
    return attempt.shown.result is AttemptResult.ACCEPTED or delivery.RANK[attempt.shown.status] >= 2


def brings_its_code(attempt: TrackedAttempt) -> bool:
    """Whether its provider took the message, so that its code is, or was, on the way to the person.

    Not by a report of failure alone: that one may stand beside a refusal. Nor while such a report says that the message
    did not arrive: then the person holds another one's code, if any.
    """
    return not is_negative(attempt) and (
        attempt.shown.result is AttemptResult.ACCEPTED or attempt.shown.status in _ON_ITS_WAY
    )


def is_taken(attempt: TrackedAttempt) -> bool:
    """Whether the provider took the message and gave it a name, under which it can be told of it."""
    return attempt.shown.result is AttemptResult.ACCEPTED and attempt.shown.provider_message_id is not None


def steps_of(attempt: TrackedAttempt) -> range:
    """The steps it stands for: several where the provider walks on by itself."""
    return range(attempt.shown.step_index, attempt.last_step + 1)


def is_running(attempt: TrackedAttempt) -> bool:
    """Whether the provider has, or may have, the message and nothing bad is known of it."""
    return attempt.shown.result in (AttemptResult.ACCEPTED, AttemptResult.IN_DOUBT) and not is_negative(attempt)


def blames_recipient(attempt: TrackedAttempt) -> bool:
    """Whether no other provider would reach this recipient on this channel either."""
    return attempt.result_class is ResultClass.RECIPIENT or attempt.status_reason in _RECIPIENT


def with_result(attempt: TrackedAttempt, result: SendResult, *, asked_at: int, recorded_at: int) -> TrackedAttempt:
    """Join the answer to a send, or what a look-up found.

    ``asked_at`` is when the verification was requested, ``recorded_at`` when the broker wrote the answer down.
    """
    shown = attempt.shown
    told = AttemptResult.IN_DOUBT if result.result is AttemptResult.UNKNOWN else result.result
    # A provider that walks on uses another channel later, so the latest word counts.
    latest = result.used_channel if result.finished_at >= attempt.finished_at else None
    changes: dict[str, object] = {
        "used_channel": latest or shown.used_channel or result.used_channel,
        "provider_message_id": shown.provider_message_id or result.provider_message_id,
        "number_valid": shown.number_valid if shown.number_valid is not None else result.number_valid,
    }
    if result.kind is CommandKind.SEND:
        # Not the result's language: the sender echoes the wish it was given, while the route names what goes out as the
        # provider does, or nothing where the provider chooses.
        changes["sender"] = result.sender or shown.sender
        changes["adjusted"] = shown.adjusted + [wish for wish in result.adjusted if wish not in shown.adjusted]
        if told in _CALLED:
            # By a sender's clock that is slow it was called before it was asked for, and nothing is left of the code's
            # life. By one that is fast after its answer was written (or asked for then, by a caller's): it lives on.
            called_at = max(result.called_at or result.finished_at, asked_at)
            changes["sent_at"] = _earlier(shown.sent_at, min(called_at, recorded_at))
    better = _RESULT_RANK[told] > _RESULT_RANK[shown.result]
    if better:
        changes["result"] = told
    holds = CodeHolder.PROVIDER if result.code_holder is CodeHolder.PROVIDER else attempt.code_holder
    joined = msgspec.structs.replace(
        attempt,
        shown=msgspec.structs.replace(shown, **changes),
        code_holder=holds,
        code_sealed=attempt.code_sealed or result.code_sealed,
        result_class=result.result_class if better else attempt.result_class,
        result_reason=delivery.known_reason(result.reason) if better else attempt.result_reason,
        result_detail=_detail_of(told, result) if better else attempt.result_detail,
        finished_at=max(attempt.finished_at, result.finished_at),
    )
    joined = _with_cost(joined, result.cost, result.currency)
    return _with_status(joined, result.status, result.reason, result.finished_at, result.finished_at)


def _detail_of(told: AttemptResult, result: SendResult) -> str | None:
    """Only of what can end a verification: there may be millions of the others in the state."""
    return result.detail if told in _NEGATIVE_RESULTS else None


def with_status(attempt: TrackedAttempt, status: DeliveryStatus, recorded_at: int) -> TrackedAttempt:
    """Join a delivery report.

    It occurred when it says, else when it says it was received, else when its record was written: the first of them
    that is plausible, as anybody may write to the topic.
    """
    joined = _with_cost(attempt, status.cost, status.currency)
    if status.status in delivery.NEGATIVE and len(steps_of(attempt)) > 1:
        # Of one of its channels: its provider goes on to the next by itself, and beside it whatever we sent would be a
        # second message. That the whole walk failed is told by a look-up, or by its time.
        return joined
    told = (plausible(at, received_at=recorded_at) for at in (status.occurred_at, status.received_at))
    occurred_at = next((at for at in told if at is not None), recorded_at)
    return _with_status(joined, status.status, status.reason, occurred_at, recorded_at)


def _with_status(
    attempt: TrackedAttempt, status: AttemptStatus, reason: str | None, occurred_at: int, recorded_at: int
) -> TrackedAttempt:
    shown = attempt.shown
    changes: dict[str, object] = {}
    status_reason, known_at = attempt.status_reason, attempt.delivery_known_at
    if delivery.RANK[status] > delivery.RANK[shown.status]:
        changes["status"] = status
        status_reason = delivery.known_reason(reason)
    if status in delivery.DELIVERED:
        changes["delivered_at"] = _earlier(shown.delivered_at, occurred_at)
        known_at = _earlier(known_at, recorded_at)
    joined = msgspec.structs.replace(
        attempt,
        shown=msgspec.structs.replace(shown, **changes),
        status_reason=status_reason,
        delivery_known_at=known_at,
    )
    return msgspec.structs.replace(joined, shown=msgspec.structs.replace(joined.shown, reason=_reason(joined)))


def _reason(attempt: TrackedAttempt) -> str | None:
    result, status = attempt.shown.result, attempt.shown.status
    if status in delivery.DELIVERED:
        return None
    if status in delivery.NEGATIVE:
        return attempt.status_reason or Reason.UNDELIVERED
    if result is AttemptResult.EXPIRED:
        return attempt.result_reason or Reason.TOO_LATE
    if result in _NEGATIVE_RESULTS:
        return attempt.result_reason or _CLASS_REASON.get(attempt.result_class, Reason.PROVIDER_ERROR)
    return Reason.IN_DOUBT if result is AttemptResult.IN_DOUBT else None


def _earlier(known: int | None, told: int) -> int:
    return told if known is None else min(known, told)


def _with_cost(attempt: TrackedAttempt, cost: str | None, currency: str | None) -> TrackedAttempt:
    """The highest cost told for the attempt, in the currency told first: an estimate and its receipt add to nothing."""
    shown = attempt.shown
    if not delivery.is_dearer(cost, currency, shown_cost=shown.cost, shown_currency=shown.currency):
        return attempt
    return msgspec.structs.replace(attempt, shown=msgspec.structs.replace(shown, cost=cost, currency=currency))
