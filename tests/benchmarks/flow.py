"""Inputs of router and tracker as the pipeline writes them, and one stage driven through them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import phonenumbers

from pipeline import topics
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.internal import Decision, SendCommand, SendResult
from pipeline.records.public import CodeCheck, DeliveryStatus, Step, VerificationRequest
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    AvroRecord,
    Channel,
    CommandKind,
    DecisionKind,
    ResultClass,
)
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Emit, Record, Stage
from pipeline.runtime.partition import partition_for
from pipeline.senders import registry
from pipeline.settings import PolicySettings, Settings
from pipeline.tracker.stage import TrackerStage

NOW = 1_764_000_000_000
PARTITIONS = 4
CODEC = Codec()
RING = KeyRing.for_tests()
SETTINGS = Settings.model_validate(
    {
        "providers": {
            "ycloud": {"enabled": True, "api_key": "k", "webhook_secret": ["whsec_1"]},
            "neutrino": {"enabled": True, "user_id": "u", "api_key": "k"},
        },
        "routes": {"rules": [{"providers": ["ycloud", "neutrino"]}]},
    }
)
COUNTRIES = ("DE", "US", "GB", "IN", "BR", "FR", "ID", "MX", "NG", "PL")

MIX_OF_REQUESTS = "new ids: 70% automatic, 20% two steps, 4% e-mail, 3% bad number, 3% published twice; 10 countries"
MIX_OF_EVENTS = (
    "per id: decision, accepted, sent, delivered, 1.1 checks; 5% of first attempts rejected and routed again"
)


def numbers(count: int) -> list[str]:
    """Different valid mobile numbers of ten countries."""
    made: list[str] = []
    for n in range(count):
        example = phonenumbers.example_number_for_type(COUNTRIES[n % 10], phonenumbers.PhoneNumberType.MOBILE)
        text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        made.append(text[:-4] + f"{n // 10 % 10_000:04d}")
    return made


def requests(count: int, *, first: int = 0) -> list[VerificationRequest]:
    """Requests of the mix above."""
    made: list[VerificationRequest] = []
    for n, number in enumerate(numbers(count), first):
        fields: dict[str, Any] = {"recipient": number, "external_id": f"order-{n}", "requested_at": NOW - 50}
        share = n * 37 % 100
        if share < 20:
            fields["steps"] = [Step(channel=Channel.SMS, wait_s=30), Step(channel=Channel.VOICE)]
        elif share < 24:
            fields |= {"recipient": f"person{n}@example.org", "steps": [Step(channel=Channel.EMAIL)]}
        elif share < 27:
            fields["recipient"] = "+49 30 1"
        made.append(VerificationRequest(verification_id=f"0f8fad5b-d9cb-469f-a165-{n:012d}", **fields))
        if share >= 97:
            made[-1] = made[max(0, len(made) - 5)]
    return made


def router() -> RouterStage:
    """A router with both providers."""
    return RouterStage(
        codec=CODEC,
        key_ring=RING,
        settings=SETTINGS,
        providers=registry.capabilities(SETTINGS),
        partitions=PARTITIONS,
    )


def tracker(partitions: int = PARTITIONS) -> TrackerStage:
    """A tracker."""
    return TrackerStage(codec=CODEC, key_ring=RING, settings=PolicySettings(), partitions=partitions)


def inputs_of_router(count: int, *, first: int = 0) -> list[Record]:
    """Requests where their keys put them, as records."""
    records: list[Record] = []
    for offset, request in enumerate(requests(count, first=first), first):
        key = (request.recipient or "").encode()
        value = CODEC.encode(request)
        records.append(
            Record(topics.REQUESTS, partition_for(key, PARTITIONS), offset, NOW, key, value, CODEC.headers(request))
        )
    return records


def inputs_of_tracker(decided: Sequence[Emit]) -> Iterator[Record]:
    """What arrives at the tracker for the router's outputs, in an order as in life: stages interleave."""
    offset = 0
    commands = {
        command.verification_id: command
        for command in (
            CODEC.decode(SendCommand, emit.value, public=False) for emit in decided if ".send." in emit.topic
        )
    }

    def record(topic: str, value: AvroRecord, vid: str) -> Record:
        nonlocal offset
        offset += 1
        key = vid.encode()
        # One task is driven, so everything lies in the partition where the tracker looks for it.
        where = partition_for(key, PARTITIONS)
        return Record(topic, where, offset, NOW + offset // 100, key, CODEC.encode(value), CODEC.headers(value))

    stages: list[list[Record]] = []
    for emit in decided:
        if emit.topic != topics.DECISIONS:
            continue
        decision = CODEC.decode(Decision, emit.value, public=False)
        vid = decision.verification_id
        mine = [record(topics.DECISIONS, decision, vid)]
        stages.append(mine)
        command = commands.get(vid)
        if decision.kind is not DecisionKind.ACCEPTED or command is None or decision.plan is None:
            continue
        n = 1
        if offset % 20 == 0:
            mine.append(record(topics.RESULTS, _result(command, n, AttemptResult.REJECTED), vid))
            n = 2
            assert decision.attempt is not None
            again = _again(decision, n)
            mine.append(record(topics.DECISIONS, again, vid))
        mine.append(record(topics.RESULTS, _result(command, n, AttemptResult.ACCEPTED), vid))
        for status in (AttemptStatus.SENT, AttemptStatus.DELIVERED):
            report = DeliveryStatus(
                verification_id=vid,
                attempt_id=f"{vid}.{n}",
                provider=command.provider if n == 1 else "neutrino",
                status=status,
                occurred_at=NOW,
                received_at=NOW,
            )
            mine.append(record(topics.STATUSES, report, vid))
        code = RING.code(
            decision.plan.kid,
            verification_id=vid,
            recipient_hash=decision.plan.recipient_hash,
            generation=0,
            amount=None,
            payee=None,
            length=decision.plan.code_length,
        )
        typed = ["111111", code] if offset % 10 == 0 else [code]
        mine += [
            record(topics.CHECKS, CodeCheck(check_id=f"{vid}-{i}", verification_id=vid, code=one, checked_at=NOW), vid)
            for i, one in enumerate(typed)
        ]
    for step in range(max(len(mine) for mine in stages)):
        yield from (mine[step] for mine in stages if step < len(mine))


def _result(command: SendCommand, n: int, result: AttemptResult) -> SendResult:
    return SendResult(
        verification_id=command.verification_id,
        command_id=f"{command.verification_id}.{n}",
        kind=CommandKind.SEND,
        attempt_id=f"{command.verification_id}.{n}",
        decision_id=command.decision_id,
        n=n,
        step_index=command.step_index,
        provider=command.provider if n == 1 else "neutrino",
        channel=command.channel,
        result=result,
        result_class=ResultClass.ROUTE if result is AttemptResult.REJECTED else ResultClass.NONE,
        provider_message_id="63e5e3b6c9d4c85d9b2f4f10",
        called_at=NOW,
        finished_at=NOW,
    )


def _again(decision: Decision, n: int) -> Decision:
    assert decision.attempt is not None
    attempt = msgspec.structs.replace(
        decision.attempt, n=n, provider="neutrino", reference=decision.attempt.reference.replace("_1_", f"_{n}_")
    )
    return Decision(
        verification_id=decision.verification_id,
        kind=DecisionKind.ROUTED,
        decision_id=decision.decision_id,
        attempt=attempt,
        step_index=decision.step_index,
        n=n,
        decided_at=NOW,
    )


class Driven:
    """One task of a stage without a log: what it emits is encoded, what it changes is written as for a changelog."""

    def __init__(self, stage: Stage[Any]) -> None:
        self.stage = stage
        self.state: dict[bytes, Any] = {}
        self.emits: list[Emit] = []
        self.refused = 0

    def run(self, records: Sequence[Record]) -> float:
        """Handle all; microseconds of CPU per record."""
        stage, state = self.stage, self.state
        began = time.process_time()
        for record in records:
            effects = stage.handle(record, state, record.timestamp_ms)
            for key, value in effects.state.items():
                if value is None:
                    state.pop(key, None)
                else:
                    stage.encode(value)
                    state[key] = value
            self.emits += effects.emits
            self.refused += len(effects.refusals)
        return (time.process_time() - began) / len(records) * 1e6
