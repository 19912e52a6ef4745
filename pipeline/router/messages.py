"""The records the router writes, built from what it decided."""

from __future__ import annotations

import hashlib
from typing import Final

from pipeline.model.fields import VERIFICATION_ID
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import Reason
from pipeline.model.reference import reference
from pipeline.records.internal import AttemptPlan, Decision, Plan, RoutingEvent, SendCommand
from pipeline.records.public import VerificationRequest
from pipeline.records.types import CodeHolder, CommandKind, DecisionKind
from pipeline.router.route import Route

_SPEAKABLE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:~/=")
_LONGEST_SHOWN: Final = 128


def published_id(key_ring: KeyRing, verification_id: str) -> str:
    """The id under which a request is decided: its own, unless publishing that would do harm.

    An id that breaks the rule still gets its outcome under its own name where it is short and can be no recipient (no
    ``+``, no ``@``); anything else gets a stand-in that is the same each time.
    """
    if VERIFICATION_ID.fullmatch(verification_id):
        return verification_id
    if 0 < len(verification_id) <= _LONGEST_SHOWN and _SPEAKABLE.issuperset(verification_id):
        return verification_id
    return f"invalid-{key_ring.fingerprint('stand-in-id', verification_id.encode(errors='replace'))}"


def decision_id(verification_id: str, recipient_hash: str, topic: str, partition: int, offset: int) -> str:
    """32 hex digits, one per request record; the recipient's hash is keyed already, so this one need not be."""
    # No part can hold the separator: ids and topics have no such sign, the rest are digits.
    place = f"{verification_id}|{recipient_hash}|{topic}|{partition}|{offset}"
    return hashlib.sha256(place.encode()).hexdigest()[:32]


def minimal_plan(request: VerificationRequest, *, bulk: bool, recorded_at: int) -> Plan:
    """A plan of nothing but fixed or bounded values, for a request on which planning itself failed."""
    tenant = request.tenant if VERIFICATION_ID.fullmatch(request.tenant) else "unknown"
    return Plan(tenant=tenant, bulk=bulk, requested_at=recorded_at, queue_deadline_at=recorded_at)


def answer(
    event: RoutingEvent,
    now_ms: int,
    *,
    kind: DecisionKind,
    attempt: AttemptPlan | None = None,
    reason: Reason | None = None,
    detail: str | None = None,
) -> Decision:
    """The answer to a wish for the next step: ``routed`` with its attempt, or ``unroutable`` with the reason."""
    return Decision(
        verification_id=event.verification_id,
        kind=kind,
        decision_id=event.decision_id,
        step_index=event.step_index,
        n=event.n,
        attempt=attempt,
        reason=reason,
        detail=detail,
        decided_at=now_ms,
    )


def attempt_plan(
    verification_id: str, decision: str, *, n: int, plan: Plan, step_index: int, route: Route, generation: int = 0
) -> AttemptPlan:
    """What an outcome shows of the route that was picked; ``generation`` names the code it carries."""
    return AttemptPlan(
        n=n,
        step_index=step_index,
        channel=plan.steps[step_index].channel,
        provider=route.provider,
        reference=reference(verification_id, n, decision),
        sender=route.sender,
        language=route.language,
        code_holder=route.code_holder,
        adjusted=list(route.adjusted),
        last_step=route.walk[-1].index if route.walk else step_index,
        code_length=route.code_length,
        generation=generation,
        place=0 if route.taken is None else route.taken.place,
        told_steps=len(route.told) if route.taken is None else route.taken.told_steps,
        taken_message_id=None if route.taken is None else route.taken.provider_message_id,
        has_receipts=route.able.receipts,
        has_check=route.able.check,
        has_report=route.able.report,
        has_cancel=route.able.cancel,
        lookups_s=list(route.able.lookups_s),
        # That the message is there would not say that it was sent again.
        finds_lost_s=list(route.able.finds_lost_s) if route.taken is None else [],
        why=route.why,
    )


def send_command(
    verification_id: str,
    decision: str,
    *,
    plan: Plan,
    attempt: AttemptPlan,
    route: Route,
    send_by_at: int,
    valid_until_at: int,
    now_ms: int,
) -> SendCommand:
    """The order to the sender; sealed values travel on as they were sealed into the plan."""
    step = plan.steps[attempt.step_index]
    attempt_id = f"{verification_id}.{attempt.n}"
    return SendCommand(
        verification_id=verification_id,
        command_id=attempt_id,
        kind=CommandKind.SEND,
        attempt_id=attempt_id,
        decision_id=decision,
        n=attempt.n,
        step_index=attempt.step_index,
        tenant=plan.tenant,
        bulk=plan.bulk,
        test=plan.test,
        provider=attempt.provider,
        channel=step.channel,
        reference=attempt.reference,
        provider_message_id=None if route.taken is None else route.taken.provider_message_id,
        recipient_sealed=step.recipient_sealed,
        recipient_masked=step.recipient_masked,
        recipient_hash=step.recipient_hash,
        recipient_key=step.recipient_key,
        country=step.country,
        key_recipient_hash=plan.recipient_hash,
        code_holder=attempt.code_holder,
        kid=plan.kid,
        code_length=attempt.code_length,
        code_sealed=plan.code_sealed if attempt.code_holder is CodeHolder.CALLER else None,
        generation=attempt.generation,
        amount=plan.amount,
        payee_sealed=plan.payee_sealed,
        language=route.asked_language,
        brand=plan.brand,
        signature=plan.signature,
        use_case=plan.use_case,
        end_user_ip_sealed=plan.end_user_ip_sealed,
        prefer_channel=plan.prefer_channel,
        sender=attempt.sender,
        template=step.template,
        text=step.text,
        flow_id=step.flow_id,
        subject=step.subject,
        ttl_s=step.ttl_s,
        options=step.options,
        wait_s=step.wait_s,
        walk=list(route.walk),
        further=list(route.told),
        place=attempt.place,
        again=route.taken is not None and route.taken.again,
        adjusted=attempt.adjusted,
        expires_in_s=plan.expires_in_s,
        send_by_at=send_by_at,
        valid_until_at=valid_until_at,
        requested_at=plan.requested_at,
        issued_at=now_ms,
    )
