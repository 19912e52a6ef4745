"""Checks at a provider that holds the code: one call each, journalled like sends."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, CodeHolder, CommandKind
from pipeline.runtime.api import Queue
from pipeline.senders.answers import in_doubt, judged, throttled
from pipeline.senders.provider import Answer
from tests.unit.senders.doubles import KEYS, Partition, Process, Task, Versatile, command, key


def check(check_id: str = "c-1", typed: str = "123456", n: int = 1, **differences: Any) -> SendCommand:
    verification_id = f"v{n}"
    sealed = KEYS.seal(typed.encode(), verification_id=verification_id, field="code", record="CodeCheck")
    told: dict[str, Any] = {
        "kind": CommandKind.CHECK,
        "command_id": check_id,
        "provider": "versatile",
        "provider_message_id": "m-1",
        "code_holder": CodeHolder.PROVIDER,
        "code_sealed": sealed,
    }
    return command(n, **(told | differences))


def key_of(told: SendCommand) -> str:
    return f"{key(told.attempt_id)}:check:{told.command_id}"


class World:
    def __init__(self) -> None:
        self.log = Partition()
        self.provider = Versatile()
        self.process = Process(provider=self.provider)
        self.task = Task(self.process, self.log)

    def write(self, told: SendCommand) -> SendCommand:
        self.log.write(told, topic=topics.PROVIDER_CHECKS)
        self.task.run()
        return told

    def end(self, told: SendCommand, answer: Answer) -> None:
        self.process.calls.end(key_of(told), answer)
        self.task.settle()


@pytest.fixture
def world() -> World:
    return World()


def test_the_provider_is_asked_for_what_was_typed(world: World) -> None:
    world.write(check(typed="48 29"))
    [(told, opened)] = world.provider.built
    assert (told.provider_message_id, opened.code) == ("m-1", "48 29")


@pytest.mark.parametrize("valid", [True, False])
def test_its_verdict_goes_to_the_tracker(world: World, valid: bool) -> None:
    world.end(world.write(check()), judged(valid))
    [(topic, result)] = world.log.results
    assert (topic, result.kind, result.command_id, result.result, result.valid) == (
        topics.RESULTS, CommandKind.CHECK, "c-1", AttemptResult.ACCEPTED, valid,
    )  # fmt: skip
    assert world.log.urgent == [result], "the tracker would let it wait for others"
    assert world.log.committed[topics.PROVIDER_CHECKS] == 1


def test_that_the_code_was_used_before_is_told_as_such(world: World) -> None:
    world.end(world.write(check()), Answer(result=AttemptResult.ACCEPTED, already_verified=True))
    [(_, result)] = world.log.results
    assert (result.valid, result.already_verified) == (None, True)


def test_a_check_read_twice_is_asked_once(world: World) -> None:
    told = world.write(check())
    world.write(told)
    assert world.process.calls.begun == ["c-1"]
    world.end(told, judged(True))
    world.write(told)
    assert (world.process.calls.begun, len(world.log.results)) == (["c-1"], 1)


def test_a_check_that_may_have_been_asked_before_a_crash_is_in_doubt_and_never_repeated(world: World) -> None:
    # A provider counts wrong codes, and takes a right one only once: asked again it would answer another question.
    world.write(check())
    world.task = Task(Process(provider=world.provider, name="p2", clock=world.process.clock), world.log)
    world.task.run()
    [(_, result)] = world.log.results
    assert (result.kind, result.result, result.valid) == (CommandKind.CHECK, AttemptResult.IN_DOUBT, None)
    assert len(world.provider.built) == 1


def test_a_lost_verdict_is_in_doubt(world: World) -> None:
    world.end(world.write(check()), in_doubt("timeout"))
    assert [(result.result, result.valid) for _, result in world.log.results] == [(AttemptResult.IN_DOUBT, None)]


def test_a_throttled_check_is_asked_again(world: World) -> None:
    told = world.write(check())
    world.end(told, throttled(1.0))
    world.process.calls.advance(2_000)
    world.task.settle()
    world.end(told, judged(False))
    assert [result.valid for _, result in world.log.results] == [False]


def test_a_check_past_its_deadline_is_answered_without_a_verdict(world: World) -> None:
    world.write(check(send_by_at=world.process.clock.now_ms() - 1))
    assert [(result.result, result.valid) for _, result in world.log.results] == [(AttemptResult.EXPIRED, None)]
    assert world.process.calls.begun == []


def test_a_provider_that_judges_no_codes_gives_no_verdict(world: World) -> None:
    world.provider.unsendable = CommandKind.CHECK
    world.write(check())
    assert [(result.result, result.valid) for _, result in world.log.results] == [(AttemptResult.REJECTED, None)]


def test_two_checks_of_one_attempt_are_two_calls(world: World) -> None:
    world.write(check("c-1"))
    world.write(check("c-2"))
    assert world.process.calls.begun == ["c-1", "c-2"]


def test_a_check_goes_before_the_messages_that_wait_and_after_the_checks_before_it(world: World) -> None:
    world.process.permits.pause(1.0)
    for n in (1, 2):
        world.log.write(command(n, provider="versatile"))
    world.write(check("c-1", n=3, bulk=True))
    world.write(check("c-2", n=4))
    world.process.calls.advance(2_000)
    world.task.settle()
    assert world.process.calls.begun == ["c-1", "c-2", "v1.1", "v2.1"]


def test_checks_find_room_when_the_sender_holds_no_more_messages() -> None:
    process = Process(provider=Versatile(), max_concurrency=1)
    task = Task(process, log := Partition(), max_held=2)
    for n in (1, 2):
        log.write(command(n, provider="versatile"))
    task.run()
    assert (task.stage.room(Queue.INTERACTIVE), task.stage.room(Queue.URGENT)) == (0, 2)
