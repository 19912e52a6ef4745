"""What a sender writes beside results: references for the correlator, patience for its group, a code it was told."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.model.capabilities import Correlation
from pipeline.model.reasons import Reason
from pipeline.model.reference import reference
from pipeline.records.internal import MessageRef, ProviderHealth
from pipeline.records.types import AttemptResult, CodeHolder, ResultClass
from pipeline.senders.answers import in_doubt, rejected, throttled
from pipeline.senders.provider import Answer
from tests.unit.senders.doubles import CODEC, DECISION, KEYS, Partition, Process, Task, Versatile, command

ACCEPTED = Answer(result=AttemptResult.ACCEPTED, provider_message_id="m-1")
STALE_NONCE = Answer(
    result=AttemptResult.REJECTED, result_class=ResultClass.ACCOUNT, reason=Reason.ACCOUNT_REJECTED, repeat=True
)


class World:
    def __init__(self, **able: Any) -> None:
        self.log = Partition()
        self.process = Process(provider=Versatile(**able))
        self.task = Task(self.process, self.log)

    def send(self, n: int = 1, **differences: Any) -> None:
        self.log.write(command(n, provider="versatile", recipient_key="rk", **differences))
        self.task.run()

    def end(self, answer: Answer, attempt_id: str = "v1.1") -> None:
        self.process.calls.end(attempt_id, answer)
        self.task.settle()

    def refs(self) -> list[tuple[bytes | None, MessageRef]]:
        return [
            (emit.key, CODEC.decode(MessageRef, emit.value or b"", public=False))
            for emit in self.log.others
            if emit.topic == topics.MESSAGE_REFS
        ]

    def pauses(self) -> list[ProviderHealth]:
        return [
            CODEC.decode(ProviderHealth, emit.value or b"", public=False)
            for emit in self.log.others
            if emit.topic == topics.PROVIDER_HEALTH
        ]


# References ----------------------------------------------------------------------------------------------------------


def test_nothing_is_told_of_messages_whose_receipts_name_them() -> None:
    world = World(correlation=Correlation.REFERENCE)
    world.send()
    world.end(ACCEPTED)
    assert world.refs() == []


def test_a_message_named_by_the_provider_is_told_when_it_is_named() -> None:
    world = World(correlation=Correlation.MESSAGE_ID)
    world.send(bulk=True)
    assert world.refs() == []
    world.end(ACCEPTED)
    [(key, ref)] = world.refs()
    assert key == b"versatile:m-1"
    assert (ref.attempt_id, ref.provider_message_id, ref.reference, ref.bulk) == (
        "v1.1", "m-1", reference("v1", 1, DECISION), True,
    )  # fmt: skip


def test_a_recipient_is_told_before_the_call_as_its_receipt_may_come_before_the_answer() -> None:
    world = World(correlation=Correlation.RECIPIENT)
    world.send()
    [(key, ref)] = world.refs()
    assert key == b"versatile:rk:sms"
    assert (ref.attempt_id, ref.provider_message_id, ref.recipient_key) == ("v1.1", None, "rk")
    world.end(ACCEPTED)
    assert len(world.refs()) == 1, "no receipt would ask for the message's id"


@pytest.mark.parametrize(
    "answer", [in_doubt("timeout"), rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)], ids=["lost", "refused"]
)
def test_a_message_that_was_not_taken_has_no_name(answer: Answer) -> None:
    world = World(correlation=Correlation.MESSAGE_ID)
    world.send()
    world.end(answer)
    assert world.refs() == []


def test_nothing_is_told_where_no_webhook_would_be_taken() -> None:
    world = World(correlation=Correlation.RECIPIENT)
    provider = world.process.provider
    assert isinstance(provider, Versatile)
    provider.webhooks_enabled = False
    world.task = Task(world.process, world.log)
    world.send()
    world.end(ACCEPTED)
    assert world.refs() == []


# Codes the provider made ---------------------------------------------------------------------------------------------


def test_a_code_the_provider_told_travels_sealed() -> None:
    world = World()
    world.send(code_holder=CodeHolder.PROVIDER)
    world.end(Answer(result=AttemptResult.ACCEPTED, made_code="48213"))
    [(_, result)] = world.log.results
    assert result.code_sealed is not None
    assert b"48213" not in CODEC.encode(result)
    opened = KEYS.open(result.code_sealed, verification_id="v1", field="code", record="SendResult")
    assert opened == b"48213"


# Patience ------------------------------------------------------------------------------------------------------------


def test_who_is_asked_for_patience_tells_the_whole_group() -> None:
    world = World()
    world.send()
    world.end(throttled(7.0))
    [health] = world.pauses()
    assert (health.provider, health.task) == ("versatile", 0)
    assert health.paused_until_at == world.process.clock.now_ms() + 7_000


def test_the_same_pause_is_told_once() -> None:
    world = World()
    for n in (1, 2, 3):
        world.send(n)
    for n in (1, 2, 3):
        world.end(throttled(7.0), f"v{n}.1")
    assert len(world.pauses()) == 1


def test_a_recipient_that_is_asked_too_often_pauses_nobody_else() -> None:
    world = World()
    world.send()
    world.end(throttled(7.0, pauses_provider=False))
    assert world.pauses() == []


# Values made for one call --------------------------------------------------------------------------------------------


def test_a_refused_nonce_is_followed_at_once_by_one_more_call_with_fresh_values() -> None:
    world = World()
    world.send()
    world.end(STALE_NONCE)
    assert world.log.results == []
    world.process.calls.advance(200)
    world.task.settle()
    assert len(world.process.provider.built) == 2  # type: ignore[attr-defined]
    world.end(STALE_NONCE)
    assert [result.reason for _, result in world.log.results] == [Reason.ACCOUNT_REJECTED]
    assert world.process.calls.running == []


def test_a_crash_does_not_give_it_a_third() -> None:
    world = World()
    world.send()
    world.end(STALE_NONCE)
    world.task = Task(Process(provider=world.process.provider, name="p2", clock=world.process.clock), world.log)
    world.process = world.task.process
    world.task.run()
    world.end(STALE_NONCE)
    assert [result.reason for _, result in world.log.results] == [Reason.ACCOUNT_REJECTED]
