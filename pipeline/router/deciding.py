"""What becomes of one request or one wish for a next step: pure, from a plan and what is remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pipeline.errors import Refused
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import STATE, Reason
from pipeline.model.validate import Planned
from pipeline.records.internal import AttemptPlan, Decision, Plan, RoutingEvent, SendCommand, TakenMessage
from pipeline.records.router_state import ReservedChecks, RouterState
from pipeline.records.types import CodeHolder, DecisionKind, RoutingKind
from pipeline.router import messages
from pipeline.router.memory import RESERVATION_SLACK_MS, Memory, recent_routes, recipient_state_key
from pipeline.router.route import NoRoute, Route, Wanted
from pipeline.router.routes import RouteChooser

Entries = Mapping[bytes, RouterState]


@dataclass(slots=True, kw_only=True)
class Verdict:
    """A decision with what follows from it."""

    decision: Decision
    command: SendCommand | None = None
    event: RoutingEvent | None = None
    """For the router of ``partition``, where the first step is routed."""
    partition: int = 0
    entries: dict[bytes, RouterState]
    """Recipients' entries as they are now."""
    protection: str | None = None
    """The protection that refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decides by the settings of one deployment."""

    key_ring: KeyRing
    chooser: RouteChooser
    memory: Memory
    min_time_left_s: int

    def request(
        self,
        planned: Planned,
        *,
        verification_id: str,
        decision_id: str,
        here: int,
        recorded_at: int,
        ack_by_at: int | None,
        entries: Entries,
        now_ms: int,
    ) -> Verdict:
        """Accept or refuse a request that is new; ``here`` is the partition of the task."""
        plan = planned.plan
        try:
            if ack_by_at is not None and recorded_at > ack_by_at:
                # The gateway has told its client 503 by then, and the client may have asked again.
                raise Refused(
                    Reason.TOO_LATE, "the request reached the log after its caller had been told to ask again"
                )
            if planned.refused is not None:
                raise planned.refused
            if now_ms > plan.queue_deadline_at:
                raise Refused(Reason.TOO_LATE, "the deadline for the first message passed before it could be sent")
            return self._accept(plan, verification_id, decision_id, here=here, entries=entries, now_ms=now_ms)
        except Refused as refused:
            reason = Reason(refused.reason)
            return Verdict(
                decision=Decision(
                    verification_id=verification_id,
                    kind=DecisionKind.REFUSED,
                    decision_id=decision_id,
                    plan=plan,
                    state=STATE[reason],
                    reason=reason,
                    detail=refused.detail,
                    decided_at=now_ms,
                ),
                entries={},
                protection="failures_per_recipient" if reason is Reason.TOO_MANY_FAILURES else None,
            )

    def _accept(
        self, plan: Plan, verification_id: str, decision_id: str, *, here: int, entries: Entries, now_ms: int
    ) -> Verdict:
        key = recipient_state_key(plan.recipient_key)
        entry = self.memory.of_recipient(entries.get(key), now_ms)
        if not plan.test:  # test numbers reach nobody, and tests must be free to guess wrong
            allowed = min(plan.max_checks, self.memory.checks_left(entry))
            if allowed <= 0:
                raise Refused(Reason.TOO_MANY_FAILURES, "recipient: too many wrong codes and open verifications; wait")
            plan = msgspec.structs.replace(plan, checks_allowed=allowed)
            until_at = plan.queue_deadline_at + plan.expires_in_s * 1000 + RESERVATION_SLACK_MS
            entry = self.memory.reserve(
                entry,
                ReservedChecks(
                    verification_id=verification_id, decision_id=decision_id, checks=allowed, until_at=until_at
                ),
            )
        accepted = Decision(
            verification_id=verification_id,
            kind=DecisionKind.ACCEPTED,
            decision_id=decision_id,
            plan=plan,
            decided_at=now_ms,
        )
        obstacles: list[NoRoute] = []
        for step in plan.steps:
            if step.partition != here:
                # The limits of this step's recipient live in its own partition, so it is routed there.
                event = RoutingEvent(
                    verification_id=verification_id,
                    kind=RoutingKind.NEXT_STEP,
                    bulk=plan.bulk,
                    decision_id=decision_id,
                    plan=plan,
                    step_index=step.index,
                    n=1,
                    send_by_at=plan.queue_deadline_at,
                    tenant=plan.tenant,
                    occurred_at=now_ms,
                )
                decision = msgspec.structs.replace(accepted, step_index=step.index)
                return Verdict(decision=decision, event=event, partition=step.partition, entries={key: entry})
            step_key = recipient_state_key(step.recipient_key)
            step_entry = entry if step_key == key else self.memory.of_recipient(entries.get(step_key), now_ms)
            route = self._choose(plan, verification_id, step.index, step_entry, validity_s=plan.expires_in_s)
            if isinstance(route, NoRoute):
                obstacles.append(route)
                continue
            attempt = messages.attempt_plan(
                verification_id, decision_id, n=1, plan=plan, step_index=step.index, route=route
            )
            return Verdict(
                decision=msgspec.structs.replace(accepted, attempt=attempt, step_index=step.index),
                command=messages.send_command(
                    verification_id,
                    decision_id,
                    plan=plan,
                    attempt=attempt,
                    route=route,
                    send_by_at=plan.queue_deadline_at,
                    valid_until_at=0,
                    now_ms=now_ms,
                ),
                entries={key: entry, step_key: self._used(step_entry, attempt, route, now_ms)},
            )
        raise Refused(obstacles[0].reason, obstacles[0].detail)

    def next_step(self, event: RoutingEvent, entries: Entries, now_ms: int) -> Verdict:
        """Route a later attempt, or the first one of a step whose recipient lives here."""
        plan = event.plan
        assert plan is not None
        step = plan.steps[event.step_index]
        key = recipient_state_key(step.recipient_key)
        entry = self.memory.of_recipient(entries.get(key), now_ms)
        left_s = (event.valid_until_at - now_ms) // 1000 if event.valid_until_at else plan.expires_in_s
        late = now_ms > event.send_by_at > 0 or left_s < self.min_time_left_s
        route = (
            NoRoute(Reason.TOO_LATE, f"steps[{event.step_index}]: too little time is left for a message")
            if late
            else self._choose(
                plan,
                event.verification_id,
                event.step_index,
                entry,
                validity_s=left_s,
                used_providers=tuple(event.used_providers),
                last_step=event.last_step,
                taken=event.taken,
            )
        )
        if isinstance(route, NoRoute):
            answer = messages.answer(
                event, now_ms, kind=DecisionKind.UNROUTABLE, reason=route.reason, detail=route.detail
            )
            return Verdict(decision=answer, entries={})
        attempt = messages.attempt_plan(
            event.verification_id,
            event.decision_id,
            n=event.n,
            plan=plan,
            step_index=event.step_index,
            route=route,
            generation=event.generation,
        )
        return Verdict(
            decision=messages.answer(event, now_ms, kind=DecisionKind.ROUTED, attempt=attempt),
            command=messages.send_command(
                event.verification_id,
                event.decision_id,
                plan=plan,
                attempt=attempt,
                route=route,
                send_by_at=event.send_by_at,
                valid_until_at=event.valid_until_at,
                now_ms=now_ms,
            ),
            entries={key: self._used(entry, attempt, route, now_ms)},
        )

    def _choose(
        self,
        plan: Plan,
        verification_id: str,
        index: int,
        entry: RouterState,
        *,
        validity_s: int,
        used_providers: tuple[str, ...] = (),
        last_step: int = -1,
        taken: Sequence[TakenMessage] = (),
    ) -> Route | NoRoute:
        step = plan.steps[index]
        own_code = None
        if plan.code_holder is CodeHolder.CALLER and plan.code_sealed is not None:
            own_code = self.key_ring.open(plan.code_sealed, verification_id=verification_id, field="code").decode()
        number = ""
        if self.chooser.needs_number:
            number = self.key_ring.open(
                step.recipient_sealed, verification_id=verification_id, field="recipient"
            ).decode()
        return self.chooser.choose(
            Wanted(
                plan=plan,
                step=step,
                number=number,
                own_code=own_code,
                validity_s=validity_s,
                used_providers=used_providers,
                last_step=last_step,
                taken=taken,
                recent=recent_routes(entry, step.channel),
            )
        )

    def _used(self, entry: RouterState, attempt: AttemptPlan, route: Route, now_ms: int) -> RouterState:
        entry = self.memory.use_route(entry, attempt.channel, attempt.provider, attempt.sender, now_ms)
        for step in route.walk:
            entry = self.memory.use_route(entry, step.channel, attempt.provider, step.sender, now_ms)
        return entry
