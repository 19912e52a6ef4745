"""A tracker task under our hands, with a router and a person that answer as the real ones do."""

from __future__ import annotations

from typing import Any

from pipeline import topics
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.internal import AttemptPlan, Decision, Plan, PlannedStep, RoutingEvent, SendCommand, SendResult
from pipeline.records.public import CodeCheck, Command, DeliveryStatus, Reply, VerificationOutcome
from pipeline.records.tracker_state import TrackerState
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CommandAction,
    CommandKind,
    DecisionKind,
    ResultClass,
    RoutingKind,
)
from pipeline.runtime.api import Headers
from pipeline.runtime.partition import partition_for
from pipeline.settings import PolicySettings
from pipeline.testing.drive import Drive
from pipeline.tracker.stage import TrackerStage

T0 = 1_764_000_000_000
PARTITIONS = 4
CODEC = Codec()
RING = KeyRing.for_tests()
DECISION = "aa" * 16
GRACE_MS = PolicySettings().misplaced_grace_ms
"""How much later than the end an expiry is told."""


class World(Drive[TrackerState]):
    """One verification ``v1`` as the stages around the tracker would see it."""

    vid = "v1"

    def plan(self, steps: int = 1, **changes: Any) -> Plan:
        channels = (Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.VIBER, Channel.EMAIL)
        fields: dict[str, Any] = {
            "recipient_masked": "+49*******678",
            "recipient_hash": "r" * 32,
            "recipient_key": "k" * 32,
            "recipient_partition": 2,
            "country": "DE",
            "steps": [
                PlannedStep(
                    index=i,
                    channel=channels[i],
                    recipient_masked="+49*******678",
                    recipient_hash="r" * 32,
                    recipient_sealed=b"sealed",
                    partition=i % PARTITIONS,
                    wait_s=30,
                    country="DE",
                )
                for i in range(steps)
            ],
            "kid": "t2",
            "code_length": 6,
            "queue_deadline_at": T0 + 300_000,
            "requested_at": T0 - 200,
        }
        return Plan(**{**fields, **changes})

    @property
    def code(self) -> str:
        return self.code_of(0)

    def code_of(self, generation: int) -> str:
        return RING.code(
            "t2",
            verification_id=self.vid,
            recipient_hash="r" * 32,
            generation=generation,
            amount=None,
            payee=None,
            length=6,
        )

    @property
    def wrong(self) -> str:
        return "111111" if self.code != "111111" else "222222"

    def attempt(self, n: int, step: int, provider: str, **changes: Any) -> AttemptPlan:
        channel = (Channel.SMS, Channel.VOICE, Channel.WHATSAPP, Channel.VIBER, Channel.EMAIL)[step]
        fields: dict[str, Any] = {"n": n, "step_index": step, "channel": channel, "provider": provider}
        return AttemptPlan(**{**fields, "reference": f"{self.vid}_{n}_abcdef", **changes})

    def accepted(self, steps: int = 1, provider: str = "ycloud", plan: Plan | None = None, **attempt: Any) -> Decision:
        return Decision(
            verification_id=self.vid,
            kind=DecisionKind.ACCEPTED,
            decision_id=DECISION,
            plan=plan or self.plan(steps),
            attempt=self.attempt(1, 0, provider, **attempt),
            decided_at=self.now_ms,
        )

    def result(self, n: int = 1, result: AttemptResult = AttemptResult.ACCEPTED, **changes: Any) -> SendResult:
        fields: dict[str, Any] = {
            "command_id": f"{self.vid}.{n}",
            "kind": CommandKind.SEND,
            "attempt_id": f"{self.vid}.{n}",
            "decision_id": DECISION,
            "n": n,
            "provider": "ycloud",
            "channel": Channel.SMS,
            "result": result,
            "called_at": None if result in (AttemptResult.NOT_SENT, AttemptResult.EXPIRED) else self.now_ms,
            "finished_at": self.now_ms,
        }
        return SendResult(verification_id=self.vid, **{**fields, **changes})

    def status(self, n: int = 1, status: AttemptStatus = AttemptStatus.DELIVERED, **changes: Any) -> DeliveryStatus:
        fields: dict[str, Any] = {"provider": "ycloud", "occurred_at": self.now_ms, "received_at": self.now_ms}
        return DeliveryStatus(
            verification_id=self.vid, attempt_id=f"{self.vid}.{n}", status=status, **{**fields, **changes}
        )

    # What the other stages write.

    def decide(self, decision: Decision) -> None:
        bulk = decision.plan.bulk if decision.plan else False
        self.give(topics.lane(topics.DECISIONS, bulk), decision)

    def tell(self, n: int = 1, result: AttemptResult = AttemptResult.ACCEPTED, **changes: Any) -> None:
        self.give(topics.RESULTS, self.result(n, result, **changes))

    def reject(self, n: int = 1, kind: ResultClass = ResultClass.ROUTE, **changes: Any) -> None:
        self.tell(n, AttemptResult.REJECTED, result_class=kind, **changes)

    def report(
        self,
        n: int = 1,
        status: AttemptStatus = AttemptStatus.DELIVERED,
        *,
        reference: str | None = None,
        **changes: Any,
    ) -> None:
        headers: Headers = () if reference is None else (("reference", reference.encode()),)
        self.give(topics.STATUSES, self.status(n, status, **changes), headers=headers)

    def route(self, provider: str, event: RoutingEvent | None = None, **attempt: Any) -> None:
        """The router answers the outstanding question with a route."""
        event = event or self.asked()[-1]
        self.decide(
            Decision(
                verification_id=self.vid,
                kind=DecisionKind.ROUTED,
                decision_id=event.decision_id,
                attempt=self.attempt(event.n, event.step_index, provider, **attempt),
                step_index=event.step_index,
                n=event.n,
            )
        )

    def no_route(
        self, reason: str = "no_route", event: RoutingEvent | None = None, *, detail: str | None = None
    ) -> None:
        event = event or self.asked()[-1]
        self.decide(
            Decision(
                verification_id=self.vid,
                kind=DecisionKind.UNROUTABLE,
                decision_id=event.decision_id,
                step_index=event.step_index,
                n=event.n,
                reason=reason,
                detail=detail,
            )
        )

    def judge(self, valid: bool | None, command: SendCommand | None = None, **changes: Any) -> None:
        """The provider that was asked last (or by ``command``) judges the typed code; None: it was asked in vain."""
        command = command or self.provider_checks()[-1]
        fields: dict[str, Any] = {
            "command_id": command.command_id,
            "kind": CommandKind.CHECK,
            "attempt_id": command.attempt_id,
            "provider": command.provider,
            "channel": command.channel,
            "code_holder": command.code_holder,
            "valid": valid,
        }
        result = AttemptResult.NOT_SENT if valid is None else AttemptResult.ACCEPTED
        self.tell(command.n, **{"result": result, **fields, **changes})

    # What the person and the caller do.

    def check(self, code: str, check_id: str = "c1", at_ms: int | None = None, **changes: Any) -> Reply | None:
        """The reply this check got at once, if any."""
        before = len(self.replies)
        self.give(
            topics.CHECKS,
            CodeCheck(check_id=check_id, verification_id=self.vid, code=code, **changes),
            at_ms=at_ms,
        )
        return self.replies[-1] if len(self.replies) > before else None

    def command(self, action: CommandAction, command_id: str = "m1", **changes: Any) -> Reply | None:
        before = len(self.replies)
        self.give(
            topics.COMMANDS,
            Command(command_id=command_id, verification_id=self.vid, action=action, **changes),
        )
        return self.replies[-1] if len(self.replies) > before else None

    # What the tracker wrote.

    @property
    def outcomes(self) -> list[VerificationOutcome]:
        return self.out(topics.OUTCOMES, VerificationOutcome)

    @property
    def last(self) -> VerificationOutcome:
        return self.outcomes[-1]

    @property
    def replies(self) -> list[Reply]:
        return self.out(topics.REPLIES, Reply)

    def inbox(self) -> list[RoutingEvent]:
        bulk = topics.bulk(topics.ROUTER_INBOX)
        return self.out(topics.ROUTER_INBOX, RoutingEvent) + self.out(bulk, RoutingEvent)

    def asked(self) -> list[RoutingEvent]:
        return [event for event in self.inbox() if event.kind is RoutingKind.NEXT_STEP]

    def orders(self, *kinds: CommandKind) -> list[SendCommand]:
        """What senders were told to do, in the order it was written."""
        written = [emit for emit in self.emits if ".send." in emit.topic or emit.topic == topics.PROVIDER_CHECKS]
        commands = [self._read(SendCommand, emit.value) for emit in written]
        return [command for command in commands if command.kind in kinds]

    def provider_checks(self) -> list[SendCommand]:
        return self.out(topics.PROVIDER_CHECKS, SendCommand)

    def closing(self) -> list[RoutingEvent]:
        return [event for event in self.inbox() if event.kind is not RoutingKind.NEXT_STEP]


def make_stage(**policy: Any) -> TrackerStage:
    return TrackerStage(codec=CODEC, key_ring=RING, settings=PolicySettings(**policy), partitions=PARTITIONS)


def make_world(**policy: Any) -> World:
    return World(stage=make_stage(**policy), codec=CODEC, now_ms=T0, partition=partition_for(b"v1", PARTITIONS))
