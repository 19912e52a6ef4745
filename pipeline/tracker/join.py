"""Joining decisions, results and delivery reports: what belongs together is found here, whichever came first.

What cannot be placed yet (its decision, or the route it answers, is still unread) is kept and looked at again after
each change. What belongs to a decision that lost is dropped and counted: two decisions can exist for one id when the
same id was used for two recipients whose routers know nothing of each other.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from pipeline.errors import DeadLetterReason, Poison, UnknownWriter
from pipeline.model import delivery
from pipeline.model.limits import EARLY_KEPT, KEPT_TEXT
from pipeline.model.reasons import STATE, Reason
from pipeline.records.internal import Decision, Plan, SendResult
from pipeline.records.public import DeliveryStatus
from pipeline.records.tracker_state import EarlyStatus, OutstandingRoute, TrackedAttempt
from pipeline.records.types import CommandKind, DecisionKind
from pipeline.runtime.api import Record, Refusal
from pipeline.tracker import asking, figures, lookups, orders, outcome, steps
from pipeline.tracker import attempts as facts
from pipeline.tracker.turn import Turn

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,3}")
_ATTEMPT_RESULTS: Final = frozenset((CommandKind.SEND, CommandKind.LOOKUP))


def decision(turn: Turn, decided: Decision, record: Record) -> None:
    """Join what the router made of a request or of a routing event; ``record`` is the one it stands in."""
    if decided.kind in (DecisionKind.ACCEPTED, DecisionKind.REFUSED):
        if not turn.state.decision_id:
            _begin(turn, decided)
        elif decided.decision_id != turn.state.decision_id:
            _second(turn, decided, record)
    elif decided.kind in (DecisionKind.ROUTED, DecisionKind.UNROUTABLE):
        if turn.state.decision_id:
            _routed(turn, decided)
        elif decided not in turn.state.early_decisions and len(turn.state.early_decisions) < EARLY_KEPT:
            turn.put(early_decisions=[*turn.state.early_decisions, decided])
    else:
        raise UnknownWriter("decision: a kind this release does not know; finish the upgrade")


def _begin(turn: Turn, decided: Decision) -> None:
    plan = decided.plan
    if plan is None or not decided.decision_id:
        raise Poison(
            DeadLetterReason.UNDECODABLE, "decision: without plan or decision_id, though it begins a verification"
        )
    if decided.kind is DecisionKind.REFUSED:
        reason = Reason(delivery.known_reason(decided.reason) or Reason.INVALID_FIELD)
        # The reason decides the state, so an outcome can never name a reason of another state.
        turn.put(plan=plan, decision_id=decided.decision_id, refused=True)
        outcome.finish(turn, STATE[reason], reason, detail=decided.detail)
    else:
        tracked: list[TrackedAttempt] = []
        routing = None
        if decided.attempt is not None:
            _expect_number(turn, decided, 1)
            tracked = [facts.begin(turn.state.verification_id, plan, decided.attempt)]
        else:
            # The first step's recipient lives in another partition; the router has passed the question on itself.
            routing = OutstandingRoute(n=1, step_index=decided.step_index, asked_at=decided.decided_at)
        turn.put(
            plan=plan,
            decision_id=decided.decision_id,
            attempts=tracked,
            routing=routing,
            # The router went through the steps in order, so those before the one it chose have no route.
            unroutable_steps=list(range(decided.attempt.step_index if decided.attempt else decided.step_index)),
        )
    early = turn.state.early_decisions
    turn.put(early_decisions=[])
    for later in early:
        _routed(turn, later)
    place_early(turn)


def _second(turn: Turn, decided: Decision, record: Record) -> None:
    """An id used twice: the same content changes nothing, other content is a conflict; the first one stands."""
    same = decided.plan is not None and _same_content(turn, turn.plan, decided.plan)
    bulk = decided.plan.bulk if decided.plan else turn.plan.bulk
    tenant = decided.plan.tenant if decided.plan else turn.plan.tenant
    turn.count(
        "requests_total", lane=figures.lane(bulk), tenant=tenant, decision="duplicate" if same else "id_conflict"
    )
    plan = decided.plan
    if decided.kind is DecisionKind.ACCEPTED and plan and plan.recipient_key != turn.plan.recipient_key:
        # Nobody can guess at the loser any more. The same recipient's entry knows one reservation by the id, the
        # winner's, which must stay.
        outcome.close_loser(turn, decided.decision_id, plan)
    if not same:
        turn.effects.refusals.append(
            Refusal(
                DeadLetterReason.ID_CONFLICT,
                "verification_id: already used for another tenant, recipient or content; use a new id",
                turn.state.verification_id,
                _request_of(turn, decided, record),
            )
        )


def _request_of(turn: Turn, decided: Decision, record: Record) -> Record | None:
    """The place of the request that was decided; the request is not at hand, so the decision tells what is known."""
    if not decided.source_topic:
        return None
    return msgspec.structs.replace(
        record,
        topic=decided.source_topic,
        partition=decided.source_partition,
        offset=decided.source_offset,
        timestamp_ms=decided.recorded_at,
        # Says that the value is no request, so that a replay refuses to publish it as one.
        headers=turn.tools.codec.headers(decided),
    )


def _same_content(turn: Turn, one: Plan, other: Plan) -> bool:
    return _content(turn, one) == _content(turn, other)


def _content(turn: Turn, plan: Plan) -> Plan:
    """The plan without what is not content: times, lane, limits left, where it was read, and the key things happen to
    be sealed with.
    """
    ring, verification_id = turn.tools.key_ring, turn.state.verification_id

    def opened(sealed: bytes | None, field: str) -> bytes | None:
        return None if sealed is None else ring.open(sealed, verification_id=verification_id, field=field)

    return msgspec.structs.replace(
        plan,
        bulk=False,
        kid="",
        checks_allowed=0,
        # Of an invalid recipient it is where the request happened to lie; of a valid one it follows from the hash.
        recipient_partition=0,
        queue_deadline_at=0,
        requested_at=0,
        code_sealed=opened(plan.code_sealed, "code"),
        payee_sealed=opened(plan.payee_sealed, "payee"),
        end_user_ip_sealed=opened(plan.end_user_ip_sealed, "end_user_ip"),
        # The hash names the recipient; opening it would only give the number into more hands.
        steps=[msgspec.structs.replace(step, recipient_sealed=b"", partition=0) for step in plan.steps],
    )


def _routed(turn: Turn, decided: Decision) -> None:
    """The answer to the one outstanding route; everything else is an echo of an earlier one."""
    routing = turn.state.routing
    if decided.decision_id != turn.state.decision_id or routing is None:
        return
    if (decided.n, decided.step_index) != (routing.n, routing.step_index):
        return
    if decided.kind is DecisionKind.UNROUTABLE:
        steps.no_route(turn, decided.reason, decided.detail)
        return
    if decided.attempt is None:
        raise Poison(DeadLetterReason.UNDECODABLE, "decision: routed without an attempt", turn.state.verification_id)
    _expect_number(turn, decided, routing.n)
    # Also on a final state: the message may be on its way, and is counted though no outcome shows it.
    turn.put_attempt(
        facts.begin(turn.state.verification_id, turn.plan, decided.attempt, wish=routing.wish, resend=routing.resend)
    )
    turn.put(routing=None)
    place_early(turn)
    arrived = any(facts.is_delivered(attempt) for attempt in turn.state.attempts)
    if turn.is_final or (arrived and not routing.wish):
        # Asked for before the delivery was known; now a second message would only annoy the person.
        orders.cancel_unsent(turn, turn.state.attempts[-1])


def _expect_number(turn: Turn, decided: Decision, n: int) -> None:
    if decided.attempt is not None and decided.attempt.n != n:
        raise Poison(
            DeadLetterReason.UNDECODABLE,
            f"decision: attempt n is {decided.attempt.n} where {n} was due",
            turn.state.verification_id,
        )


def result(turn: Turn, told: SendResult, recorded_at: int) -> None:
    """Join a sender's answer; answers to reports and cancels change nothing here."""
    if told.kind not in _ATTEMPT_RESULTS:
        return
    if told.kind is CommandKind.LOOKUP and told.called_at is None:
        return  # nobody was asked: "not sent" or "expired" is the look-up, not the message
    state = turn.state
    if state.decision_id and told.decision_id and told.decision_id != state.decision_id:
        figures.foreign_result(turn, told)
    elif 0 < told.n <= len(state.attempts):
        before = state.attempts[told.n - 1]
        joined = facts.with_result(before, told, asked_at=turn.plan.requested_at, recorded_at=recorded_at)
        after = lookups.carried_on(before, joined, turn.now_ms)
        _replace(turn, after)
        if turn.is_final and facts.is_taken(after) and not facts.is_taken(before):
            orders.close(turn, after)
    elif _hopeless(turn) or len(state.early_results) >= EARLY_KEPT:
        figures.foreign_result(turn, told)
    elif told not in state.early_results:
        known_at = _early_at(turn)
        turn.put(early_results=[*state.early_results, told], early_results_at=[*known_at, recorded_at])


def status(turn: Turn, told: DeliveryStatus, recorded_at: int, reference: str | None = None) -> None:
    """Join a delivery report; after the final outcome it only matters to the cohorts, which count it at their time.

    ``reference`` is that of the message reported on, when its writer told it.
    """
    state, told = turn.state, _bounded(told)
    number, named = attempt_number(told), delivery.Named(told.attempt_id, told.provider, reference)
    if number is None or not delivery.is_sound(named):
        _unmatched(turn, told)
    elif number <= len(state.attempts):
        attempt = state.attempts[number - 1]
        if not delivery.is_of(named, facts.named(attempt)):
            _unmatched(turn, told)
            return
        _replace(turn, facts.with_status(attempt, told, recorded_at))
    elif _hopeless(turn) or len(state.early_statuses) >= EARLY_KEPT:
        _unmatched(turn, told)
    elif all((kept.status, kept.reference) != (told, reference) for kept in state.early_statuses):
        early = EarlyStatus(status=told, recorded_at=recorded_at, reference=reference)
        turn.put(early_statuses=[*state.early_statuses, early])


def _bounded(told: DeliveryStatus) -> DeliveryStatus:
    """The report with nothing of any length in it: it may be kept. Its attempt id is held to its form anyway."""
    return msgspec.structs.replace(
        told,
        provider=told.provider[:KEPT_TEXT],
        reason=delivery.known_reason(told.reason),
        cost=None if told.cost is None or len(told.cost) > KEPT_TEXT else told.cost,
        currency=None if told.currency is None or len(told.currency) > KEPT_TEXT else told.currency,
    )


def _unmatched(turn: Turn, told: DeliveryStatus) -> None:
    # Anybody may write to the topic, and what they call the provider may be anything: no name for a metric.
    known = any(attempt.shown.provider == told.provider for attempt in turn.state.attempts)
    turn.count("receipts_unmatched_total", provider=told.provider if known else figures.OTHER)


def attempt_number(told: DeliveryStatus) -> int | None:
    """The n of the attempt a report names; None when the name is none of this verification's."""
    own, _, number = told.attempt_id.rpartition(".")
    return int(number) if own == told.verification_id and _NUMBER.fullmatch(number) else None


def place_early(turn: Turn) -> None:
    """Join what came before its attempt was known, now that it may be."""
    results, statuses = turn.state.early_results, turn.state.early_statuses
    if not results and not statuses:
        return
    recorded_at = _early_at(turn)
    turn.put(early_results=[], early_results_at=[], early_statuses=[])
    for told, at in zip(results, recorded_at, strict=True):
        result(turn, told, at)
    for early in statuses:
        status(turn, early.status, early.recorded_at, early.reference)


def _early_at(turn: Turn) -> list[int]:
    """When each early result was written: by the broker's clock, as a code's life is counted from it."""
    known = turn.state.early_results_at
    # An earlier release kept no times: before now, and mostly just before.
    return [*known, *[turn.now_ms] * (len(turn.state.early_results) - len(known))]


def give_up(turn: Turn) -> None:
    """No decision ever came: nothing is written, but what was told of calls and deliveries is counted."""
    for told in turn.state.early_results:
        figures.foreign_result(turn, told)
    for early in turn.state.early_statuses:
        _unmatched(turn, early.status)


def _hopeless(turn: Turn) -> bool:
    """Whether no further attempt can become known, so that nothing needs to be kept for it."""
    return turn.is_final and turn.state.routing is None


def _replace(turn: Turn, attempt: TrackedAttempt) -> None:
    before = turn.state.attempts[attempt.n - 1]
    figures.attempt_changed(turn, before, attempt)
    if attempt != before:
        turn.put_attempt(attempt)
        asking.joined(turn, before, attempt)
