"""The tracker, the real router and what a sender reads, hand to hand: what one writes the other understands."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.public import CodeCheck, Step, VerificationRequest
from pipeline.records.router_state import RouterState
from pipeline.records.types import (
    AttemptResult,
    Channel,
    CommandAction,
    CommandKind,
    ResultClass,
    VerificationState,
)
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.partition import partition_for
from pipeline.senders.opening import open_command
from pipeline.settings import Settings
from pipeline.testing.drive import Drive
from tests.unit.tracker.world import CODEC, PARTITIONS, RING, T0, World, make_world

State = VerificationState
PHONE = "+4915123456789"
OWN = ChannelCapabilities(own_code=True, code_digits_only=False, amount=True)
PROVIDERS = {
    name: ProviderCapabilities(kind=name, channels=dict.fromkeys((Channel.SMS, Channel.VOICE, Channel.EMAIL), OWN))
    for name in ("ycloud", "neutrino")
}


class Both:
    """A router and a tracker; what they write to each other is handed over until both are silent."""

    def __init__(self, routers_ring: KeyRing = RING, **policy: Any) -> None:
        self.tracker: World = make_world(**policy)
        stage = RouterStage(
            codec=CODEC, key_ring=routers_ring, settings=Settings(), providers=PROVIDERS, partitions=PARTITIONS
        )
        self.router: Drive[RouterState] = Drive(stage=stage, codec=CODEC, now_ms=T0)
        self.moved: dict[str, int] = {"router": 0, "tracker": 0}

    def publish(self, **fields: Any) -> None:
        self.router.give(
            topics.REQUESTS,
            VerificationRequest(**{"verification_id": "v1", "recipient": PHONE, **fields}),
            partition=partition_for(PHONE.encode(), PARTITIONS),
        )
        self.exchange()

    def exchange(self) -> None:
        moving = True
        while moving:
            moving = False
            for name, source in (("router", self.router), ("tracker", self.tracker)):
                fresh = source.emits[self.moved[name] :]
                self.moved[name] += len(fresh)
                for emit in fresh:
                    moving = self.hand_over(emit) or moving

    def hand_over(self, emit: Emit) -> bool:
        for target in (self.router, self.tracker):
            if any(emit.topic == each.topic for each in target.stage.inputs):
                key = emit.key or b""
                partition = partition_for(key, PARTITIONS) if emit.partition is None else emit.partition
                target.handle(Record(emit.topic, partition, 0, target.now_ms, key, emit.value, emit.headers))
                return True
        return False

    @property
    def commands(self) -> list[SendCommand]:
        sent = [self.router.out(topics.send(channel), SendCommand) for channel in topics.CHANNELS]
        return sorted((command for each in sent for command in each), key=lambda command: command.n)

    def answer(self, command: SendCommand, result: AttemptResult, **changes: Any) -> None:
        self.tracker.give(
            topics.RESULTS,
            SendResult(
                verification_id=command.verification_id,
                command_id=command.command_id,
                kind=CommandKind.SEND,
                attempt_id=command.attempt_id,
                decision_id=command.decision_id,
                n=command.n,
                step_index=command.step_index,
                provider=command.provider,
                channel=command.channel,
                result=result,
                called_at=self.tracker.now_ms,
                finished_at=self.tracker.now_ms,
                **changes,
            ),
        )
        self.exchange()

    def code_of(self, command: SendCommand) -> str:
        """What the sender puts into the message."""
        code = open_command(command, RING).code
        assert code is not None
        return code

    def check(self, code: str) -> bool:
        self.tracker.give(topics.CHECKS, CodeCheck(check_id=f"c{code}", verification_id="v1", code=code))
        self.exchange()
        return self.tracker.replies[-1].ok


@pytest.fixture
def both() -> Both:
    return Both()


ANY_CODE = pytest.mark.parametrize(
    "fields", [{}, {"code": "aB12Cd"}, {"amount": "10.00", "payee": "Shop"}, {"code_length": 8}]
)


@ANY_CODE
def test_the_code_that_is_sent_is_the_code_that_is_accepted(both: Both, fields: dict[str, Any]) -> None:
    both.publish(**fields)
    (command,) = both.commands
    both.answer(command, AttemptResult.ACCEPTED)
    assert both.check(both.code_of(command))
    assert both.tracker.last.state is State.VERIFIED
    assert both.router.refusals == both.tracker.refusals == []


@ANY_CODE
def test_a_key_promoted_between_sending_and_checking_breaks_no_code(fields: dict[str, Any]) -> None:
    """The verification pins its key id; what is current when the code is checked does not matter."""
    both = Both(routers_ring=KeyRing.for_tests(current="t1"))
    both.publish(**fields)
    (command,) = both.commands
    assert command.kid == "t1" != RING.current
    both.answer(command, AttemptResult.ACCEPTED)
    assert both.check(both.code_of(command))
    assert both.tracker.last.state is State.VERIFIED


def test_a_new_code_is_the_same_to_the_sender_that_sends_it_and_the_tracker_that_judges_it() -> None:
    both = Both(resend_code="new")
    both.publish()
    both.answer(both.commands[0], AttemptResult.ACCEPTED)
    both.tracker.advance(29_999)
    both.tracker.now_ms += 1
    both.tracker.command(CommandAction.RESEND)
    both.exchange()
    both.answer(both.commands[1], AttemptResult.ACCEPTED)
    first, second = map(both.code_of, both.commands)
    assert first != second
    assert not both.check(first)
    assert both.check(second)
    assert both.tracker.last.verified_attempt_id == "v1.2"


def test_a_failover_goes_round_through_the_router(both: Both) -> None:
    both.publish(steps=[Step(channel=Channel.SMS), Step(channel=Channel.VOICE)])
    both.answer(both.commands[0], AttemptResult.REJECTED, result_class=ResultClass.ROUTE)
    assert [command.n for command in both.commands] == [1, 2]
    assert both.commands[0].provider != both.commands[1].provider
    assert both.commands[1].channel is Channel.SMS
    both.answer(both.commands[1], AttemptResult.ACCEPTED)
    both.tracker.advance(30_000)
    both.exchange()
    assert both.commands[2].channel is Channel.VOICE
    assert [attempt.reference for attempt in both.tracker.last.attempts] == [c.reference for c in both.commands]
    assert both.code_of(both.commands[0]) == both.code_of(both.commands[2])


def test_when_every_route_fails_it_ends_and_the_router_frees_what_it_reserved(both: Both) -> None:
    both.publish(steps=[Step(channel=Channel.SMS)])
    for n in (0, 1):
        both.answer(both.commands[n], AttemptResult.REJECTED, result_class=ResultClass.CONTENT)
    assert len(both.commands) == 2
    assert (both.tracker.last.state, both.tracker.last.reason) == (State.FAILED, Reason.CONTENT_REJECTED)
    assert all(not entry.reserved for entry in both.router.state.values())


def test_a_first_step_for_somebody_else_is_routed_where_that_person_lives(both: Both) -> None:
    mail = next(
        address
        for address in (f"jane{i}@example.org" for i in range(100))
        if partition_for(address.encode(), PARTITIONS) != partition_for(PHONE.encode(), PARTITIONS)
    )
    both.publish(steps=[Step(channel=Channel.EMAIL, recipient=mail), Step(channel=Channel.SMS)])
    (command,) = both.commands
    assert command.channel is Channel.EMAIL
    assert [attempt.attempt_id for attempt in both.tracker.last.attempts] == ["v1.1"]
    both.answer(command, AttemptResult.ACCEPTED)
    assert both.check(both.code_of(command))


def test_a_request_the_router_refuses_ends_at_once(both: Both) -> None:
    both.publish(recipient="not a number")
    assert both.tracker.last.is_final
    assert both.tracker.last.state is State.REJECTED
    assert both.tracker.last.reason == Reason.INVALID_RECIPIENT


def test_wrong_codes_are_counted_for_the_person(both: Both) -> None:
    both.publish()
    both.answer(both.commands[0], AttemptResult.ACCEPTED)
    right = both.code_of(both.commands[0])
    for wrong in ("000000", "000001", "000002"):
        assert not both.check(wrong)
    assert not both.check(right)
    failures = [entry.failures for entry in both.router.state.values() if entry.failures]
    assert len(failures) == 1
