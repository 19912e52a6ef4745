"""The router as a stage: requests and routing events in, decisions and send commands out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

from pipeline import topics
from pipeline.errors import DeadLetterReason, Poison, Refused
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.model.keys import KeyRing
from pipeline.model.language import normalise_language
from pipeline.model.reasons import STATE, Reason
from pipeline.model.trace import carried
from pipeline.model.validate import Validator
from pipeline.records.internal import Decision, RoutingEvent
from pipeline.records.router_state import RouterState
from pipeline.records.types import DecisionKind, RoutingKind
from pipeline.router import messages
from pipeline.router.arrivals import Arrival, Arrivals
from pipeline.router.codes import CodeRules
from pipeline.router.content import content_hash
from pipeline.router.deciding import Decider, Verdict
from pipeline.router.memory import Memory, id_key, is_empty, recipient_state_key
from pipeline.router.outputs import Outputs, RecordCodec
from pipeline.router.routes import RouteChooser
from pipeline.router.wishes import Template, Wishes
from pipeline.runtime.api import Deadline, Effects, Headers, Input, Lane, Record, Refusal, StateView
from pipeline.runtime.partition import partition_for
from pipeline.settings import Settings

LARGE_BYTES: Final = 65_536
"""Requests above this are validated before they are passed on; ordinary ones only where they are decided."""

_REQUESTS: Final = frozenset({topics.REQUESTS, topics.bulk(topics.REQUESTS)})


class RouterStage:
    """One partition's router; :class:`pipeline.runtime.api.Stage` says who may call what when."""

    name = "router"
    inputs = (
        Input(topics.REQUESTS, Lane.INTERACTIVE),
        Input(topics.ROUTER_INBOX, Lane.INTERACTIVE),
        Input(topics.bulk(topics.REQUESTS), Lane.BULK),
        Input(topics.bulk(topics.ROUTER_INBOX), Lane.BULK),
    )
    changelog = topics.ROUTER_STATE

    def __init__(
        self,
        *,
        codec: RecordCodec,
        key_ring: KeyRing,
        settings: Settings,
        providers: Mapping[str, ProviderCapabilities],
        partitions: int,
    ) -> None:
        """``providers`` are the enabled instances in order; ``partitions`` is the count of every flow topic.

        Raises SettingsError for a tenant's language or a test number that is none.
        """
        policy = settings.policy
        self._codec = codec
        self._outputs = Outputs(codec)
        self._arrivals = Arrivals(codec=codec, key_ring=key_ring)
        self._key_ring = key_ring
        self._partitions = partitions
        self._validator = Validator(
            key_ring=key_ring,
            tenants=settings.tenants,
            policy=policy,
            providers=providers,
            place=self._place,
            test_numbers=settings.test_numbers,
            templates=settings.templates,
        )
        self._memory = Memory(
            id_horizon_ms=policy.id_horizon_s * 1000,
            repeat_window_ms=policy.repeat_window_s * 1000,
            failures_window_ms=policy.failures_window_s * 1000,
            max_failures=policy.max_failures_per_recipient,
        )
        chooser = RouteChooser(
            providers=providers,
            rules=settings.routes.rules,
            senders=settings.senders,
            codes=CodeRules(
                allow_provider_codes=policy.allow_provider_codes,
                min_lengths={name: tenant.min_code_length for name, tenant in settings.tenants.items()},
            ),
            wishes=Wishes(templates={name: Template.of(each.texts) for name, each in settings.templates.items()}),
            languages={name: normalise_language(tenant.language) for name, tenant in settings.tenants.items()},
            min_time_left_s=policy.min_time_left_s,
        )
        self._decider = Decider(
            key_ring=key_ring, chooser=chooser, memory=self._memory, min_time_left_s=policy.min_time_left_s
        )

    def handle(self, record: Record, state: StateView[RouterState], now_ms: int) -> Effects[RouterState]:
        """Decide a request, or answer a routing event."""
        effects: Effects[RouterState] = Effects()
        if record.topic in _REQUESTS:
            arrival = self._arrivals.direct(record)
            proper = self._proper_place(arrival)
            if proper == arrival.here or self._is_hopeless(record, arrival):
                self._decide(arrival, record, state, now_ms, effects)
            else:
                event = self._arrivals.to_pass_on(arrival, now_ms)
                effects.emits.append(self._outputs.to_inbox(event, proper, trace=arrival.trace))
                self._count(arrival, "misplaced", effects)
            return effects
        event = self._codec.decode(RoutingEvent, record.value, public=False)
        if event.kind is RoutingKind.MISPLACED:
            # Handled where it is, whatever its place would be: a request is passed on once.
            self._decide(self._arrivals.passed_on(event, record), record, state, now_ms, effects)
        elif event.kind is RoutingKind.NEXT_STEP and event.plan is not None:
            verdict = self._decider.next_step(event, state, now_ms)
            self._apply(verdict, event.plan.bulk, carried(record.headers), effects)
        elif event.kind in (RoutingKind.VERIFIED, RoutingKind.CLOSED):
            self._close(event, state, now_ms, effects)
        else:
            raise Poison(DeadLetterReason.UNDECODABLE, "a routing event of no known kind", event.verification_id)
        return effects

    def fire(self, key: bytes, state: StateView[RouterState], now_ms: int) -> Effects[RouterState]:
        """Forget an entry whose time is over."""
        entry = state.get(key)
        return Effects() if entry is None or entry.keep_until_at > now_ms else Effects(state={key: None})

    def deadline(self, value: RouterState) -> Deadline | None:
        """When the entry may be forgotten."""
        # Waits for both lanes: an unread bulk record may be the twin of a request that was decided two days ago.
        return Deadline(at_ms=value.keep_until_at, lane=None)

    def encode(self, value: RouterState) -> bytes:
        """The entry as written to the changelog."""
        return self._codec.encode(value)

    def decode(self, data: bytes) -> RouterState:
        """The inverse of :meth:`encode`; raises UnknownWriter."""
        return self._codec.decode(RouterState, data, public=False)

    def quarantine(self, work: Record | bytes, state: StateView[RouterState], now_ms: int) -> Effects[RouterState]:
        """End a verification whose record the router failed on; a timer's entry is forgotten."""
        if isinstance(work, bytes):
            return Effects(state={work: None})
        try:
            return self._given_up(work, state, now_ms)
        except Exception:  # it may fail for the same cause as handle did; the runtime's dead letter tells of it
            return Effects()

    # --- requests -----------------------------------------------------------------------------------------------

    def _place(self, canonical: bytes) -> int:
        return partition_for(canonical, self._partitions)

    def _proper_place(self, arrival: Arrival) -> int:
        try:
            return self._place(self._validator.key_recipient(arrival.request).canonical.encode())
        except Refused:
            return arrival.here  # a recipient that cannot be read has no place; it is refused where it lies

    def _is_hopeless(self, record: Record, arrival: Arrival) -> bool:
        """Whether a request is too large to be passed on without looking, and would be refused anywhere.

        Sealed and framed again it could grow beyond what a topic takes, and end without the answer that an invalid
        request is owed. No valid one comes near that.
        """
        if record.value is None or len(record.value) < LARGE_BYTES:
            return False
        planned = self._validator.plan(
            arrival.request, bulk=arrival.bulk, recorded_at=arrival.recorded_at, partition=arrival.here
        )
        return planned.refused is not None

    def _source(self, arrival: Arrival) -> Record:
        """The record in which a request was published, as far as it is still known where it was passed on to."""
        return Record(
            topic=arrival.topic,
            partition=arrival.partition,
            offset=arrival.offset,
            timestamp_ms=arrival.recorded_at,
            key=None,
            value=self._codec.encode(arrival.request),
            headers=arrival.trace,
        )

    def _decide(
        self,
        arrival: Arrival,
        record: Record,
        state: StateView[RouterState],
        now_ms: int,
        effects: Effects[RouterState],
    ) -> None:
        vid = arrival.verification_id
        content = content_hash(arrival.request, self._key_ring, self._validator)
        known = state.get(id_key(vid))
        if known is not None and known.seen is not None:
            if known.seen.content_hash == content:
                self._count(arrival, "duplicate", effects)
                return
            detail = "verification_id: was used for another tenant, recipient or content; take a new one"
            source = None if arrival.topic == record.topic else self._source(arrival)
            effects.refusals.append(Refusal(DeadLetterReason.ID_CONFLICT, detail, vid, source))
            self._count(arrival, "id_conflict", effects)
            return
        planned = self._validator.plan(
            arrival.request, bulk=arrival.bulk, recorded_at=arrival.recorded_at, partition=arrival.here
        )
        decision_id = arrival.decision_id(planned.plan.recipient_hash)
        verdict = self._decider.request(
            planned,
            verification_id=vid,
            decision_id=decision_id,
            here=arrival.here,
            recorded_at=arrival.recorded_at,
            ack_by_at=arrival.ack_by_at,
            entries=state,
            now_ms=now_ms,
        )
        effects.state[id_key(vid)] = self._memory.seen(content, decision_id, now_ms)
        verdict.decision = arrival.named_in(verdict.decision)
        self._apply(verdict, arrival.bulk, arrival.trace, effects)
        refused = verdict.decision.kind is DecisionKind.REFUSED
        self._count(arrival, verdict.decision.state.value if refused else "accepted", effects)

    def _apply(self, verdict: Verdict, bulk: bool, trace: Headers, effects: Effects[RouterState]) -> None:
        for key, entry in verdict.entries.items():
            if not is_empty(entry):
                effects.state[key] = entry
        effects.emits.append(self._outputs.decision(verdict.decision, bulk=bulk, trace=trace))
        if verdict.command is not None:
            effects.emits.append(self._outputs.command(verdict.command, trace=trace))
        if verdict.event is not None:
            effects.emits.append(self._outputs.to_inbox(verdict.event, verdict.partition, trace=trace))
        if verdict.protection is not None:
            effects.count("protections_total", name=verdict.protection, mode="enforce")

    def _count(self, arrival: Arrival, decision: str, effects: Effects[RouterState]) -> None:
        lane = "bulk" if arrival.bulk else "interactive"
        effects.count("requests_total", lane=lane, tenant=arrival.request.tenant, decision=decision)

    # --- routing events -----------------------------------------------------------------------------------------

    def _close(
        self, event: RoutingEvent, state: StateView[RouterState], now_ms: int, effects: Effects[RouterState]
    ) -> None:
        key = recipient_state_key(event.recipient_key)
        known = state.get(key)
        entry = self._memory.of_recipient(known, now_ms)
        entry = self._memory.close(entry, event.verification_id, event.failed_checks, now_ms)
        if not is_empty(entry):
            effects.state[key] = entry
        elif known is not None:
            effects.state[key] = None

    def _given_up(self, record: Record, state: StateView[RouterState], now_ms: int) -> Effects[RouterState]:
        effects: Effects[RouterState] = Effects()
        detail = "the router failed on this request three times over; its dead letter says handler_refused"
        if record.topic in _REQUESTS:
            arrival = self._arrivals.direct(record)
        else:
            event = self._codec.decode(RoutingEvent, record.value, public=False)
            if event.kind is RoutingKind.NEXT_STEP and event.plan is not None:
                answer = messages.answer(
                    event, now_ms, kind=DecisionKind.UNROUTABLE, reason=Reason.ROUTE_UNAVAILABLE, detail=detail
                )
                self._apply(Verdict(decision=answer, entries={}), event.plan.bulk, carried(record.headers), effects)
                return effects
            if event.kind is not RoutingKind.MISPLACED:
                return effects
            arrival = self._arrivals.passed_on(event, record)
        if id_key(arrival.verification_id) in state:
            return effects  # decided before: this record would have changed nothing
        plan = messages.minimal_plan(arrival.request, bulk=arrival.bulk, recorded_at=arrival.recorded_at)
        refused = Decision(
            verification_id=arrival.verification_id,
            kind=DecisionKind.REFUSED,
            decision_id=arrival.decision_id(""),
            plan=plan,
            state=STATE[Reason.ROUTE_UNAVAILABLE],
            reason=Reason.ROUTE_UNAVAILABLE,
            detail=detail,
            decided_at=now_ms,
        )
        refused = arrival.named_in(refused)
        # Its end stands: the same published once more changes nothing, also when the router does not fail on that copy.
        with contextlib.suppress(Exception):  # it may be this that the router fails on
            content = content_hash(arrival.request, self._key_ring, self._validator)
            effects.state[id_key(arrival.verification_id)] = self._memory.seen(content, refused.decision_id, now_ms)
        self._apply(Verdict(decision=refused, entries={}), arrival.bulk, arrival.trace, effects)
        self._count(arrival, refused.state.value, effects)
        return effects
