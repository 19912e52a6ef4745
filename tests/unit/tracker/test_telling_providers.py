"""What providers hear of the end: a success where they ask for it, and which messages nobody wants any more."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CodeHolder,
    CommandAction,
    CommandKind,
    VerificationMode,
    VerificationState,
)
from pipeline.senders.opening import open_command
from tests.unit.tracker.world import RING, T0, World

State = VerificationState


def _reports(world: World) -> list[SendCommand]:
    return world.orders(CommandKind.REPORT)


def _cancels(world: World) -> list[str]:
    """Ids of the messages that providers shall withdraw."""
    return [each.provider_message_id for each in world.orders(CommandKind.CANCEL) if each.provider_message_id]


def _sent(world: World, **able: Any) -> World:
    world.decide(world.accepted(**able))
    world.tell(provider_message_id="m-1")
    world.advance(1_000)
    return world


def _two(world: World, mode: VerificationMode = VerificationMode.VERIFY, **able: Any) -> World:
    """Two steps, both accepted."""
    world.decide(world.accepted(plan=world.plan(2, mode=mode), **able))
    world.tell(provider_message_id="m-1")
    world.advance(30_000)
    world.route("neutrino", **able)
    world.tell(2, provider="neutrino", channel=Channel.VOICE, provider_message_id="n-2")
    return world


def test_a_success_is_reported_with_all_that_the_code_is_derived_from(world: World) -> None:
    recipient = RING.seal(b"+4915112345678", verification_id="v1", field="recipient")
    payee = RING.seal(b"Shop", verification_id="v1", field="payee")
    step = msgspec.structs.replace(world.plan().steps[0], recipient_sealed=recipient)
    plan = msgspec.structs.replace(world.plan(), steps=[step], amount="12.50", payee_sealed=payee)
    world.decide(world.accepted(plan=plan, has_report=True))
    world.tell(provider_message_id="m-1")
    code = RING.code(
        "t2", verification_id="v1", recipient_hash="r" * 32, generation=0, amount="12.50", payee="Shop", length=6
    )
    world.check(code)
    (command,) = _reports(world)
    assert (command.command_id, command.attempt_id, command.provider) == ("v1.1:report", "v1.1", "ycloud")
    assert (command.provider_message_id, command.send_by_at) == ("m-1", T0 + 600_000)
    assert open_command(command, RING).code == code
    assert world.out(topics.send(Channel.SMS), SendCommand) == [command]


def test_the_callers_own_code_is_reported_too(world: World) -> None:
    sealed = RING.seal(b"AbC123", verification_id="v1", field="code")
    plan = world.plan(code_holder=CodeHolder.CALLER, code_sealed=sealed)
    _sent(world, plan=plan, has_report=True, code_holder=CodeHolder.CALLER).check("abc123")
    (command,) = _reports(world)
    assert (command.code_holder, command.code_sealed) == (CodeHolder.CALLER, sealed)


def test_only_the_attempt_that_is_credited_is_reported(world: World) -> None:
    _two(world, has_report=True).check(world.code)
    assert [command.attempt_id for command in _reports(world)] == ["v1.2"]


def test_a_provider_that_wants_no_report_gets_none(world: World) -> None:
    _sent(world).check(world.code)
    assert _reports(world) == []


def test_a_provider_that_judged_its_own_code_knows_already(world: World) -> None:
    _sent(world, has_report=True, has_check=True, code_holder=CodeHolder.PROVIDER).check("123456")
    world.judge(True)
    assert world.last.state is State.VERIFIED
    assert _reports(world) == []


@pytest.mark.parametrize("action", [CommandAction.CANCEL, None])
def test_nothing_but_a_success_is_reported(world: World, action: CommandAction | None) -> None:
    _sent(world, has_report=True)
    if action is not None:
        world.command(action)
    world.advance(400_000)
    assert world.last.is_final
    assert _reports(world) == []


def test_a_success_before_the_answer_was_read_is_reported_with_the_answer_and_once(world: World) -> None:
    world.decide(world.accepted(has_report=True))
    world.check(world.code)
    assert _reports(world) == []
    for _ in range(2):
        world.tell(provider_message_id="m-1")
    assert [command.provider_message_id for command in _reports(world)] == ["m-1"]


def test_a_cancel_withdraws_what_was_sent(world: World) -> None:
    _two(world, has_cancel=True).command(CommandAction.CANCEL)
    assert _cancels(world) == ["m-1", "n-2"]
    (first, _) = world.orders(CommandKind.CANCEL)
    assert (first.command_id, first.attempt_id) == ("v1.1:cancel", "v1.1")
    assert first.send_by_at > world.now_ms
    assert first.recipient_sealed == b"sealed"


def test_a_success_withdraws_all_but_the_message_it_came_from(world: World) -> None:
    _two(world, has_cancel=True).check(world.code)
    assert world.last.verified_attempt_id == "v1.2"
    assert _cancels(world) == ["m-1"]


def test_also_the_one_it_came_from_when_its_provider_would_walk_on(world: World) -> None:
    world.decide(world.accepted(steps=2, last_step=1, has_cancel=True))
    world.tell(provider_message_id="m-1")
    world.check(world.code)
    assert _cancels(world) == ["m-1"]


def test_an_expiry_withdraws_nothing(world: World) -> None:
    _sent(world, has_cancel=True).advance(400_000)
    assert world.last.state is State.EXPIRED
    assert _cancels(world) == []


def test_too_many_wrong_codes_withdraw_it(world: World) -> None:
    _sent(world, has_cancel=True)
    for i in range(3):
        world.check(world.wrong, f"c{i}")
    assert world.last.state is State.FAILED
    assert _cancels(world) == ["m-1"]


def test_nothing_is_left_to_withdraw_of_a_message_that_failed(world: World) -> None:
    _sent(world, has_cancel=True).report(status=AttemptStatus.UNDELIVERED)
    world.command(CommandAction.CANCEL)
    assert _cancels(world) == []


def test_an_arrival_ends_reach_mode_and_withdraws_only_the_others(world: World) -> None:
    _two(world, VerificationMode.REACH, has_cancel=True)
    world.report(2, provider="neutrino")
    assert world.last.is_final
    assert _cancels(world) == ["m-1"]


def test_a_provider_that_withdraws_nothing_is_not_asked_to(world: World) -> None:
    _sent(world).command(CommandAction.CANCEL)
    assert world.orders(CommandKind.CANCEL) == []


def test_an_answer_after_the_end_is_withdrawn_then_and_once(world: World) -> None:
    world.decide(world.accepted(has_cancel=True))
    world.command(CommandAction.CANCEL)
    (unsent,) = world.orders(CommandKind.CANCEL)
    assert unsent.provider_message_id is None
    for _ in range(2):
        world.tell(provider_message_id="m-1")
    assert _cancels(world) == ["m-1"]


def test_a_route_after_the_end_whose_answer_is_read_already_is_withdrawn_once(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.check(world.code)
    world.tell(2, provider="neutrino", provider_message_id="n-2")
    world.route("neutrino", has_cancel=True)
    assert [each.provider_message_id for each in world.orders(CommandKind.CANCEL)] == ["n-2"]


@pytest.mark.parametrize("result", [AttemptResult.REJECTED, AttemptResult.NOT_SENT, AttemptResult.IN_DOUBT])
def test_what_no_provider_is_known_to_have_is_not_withdrawn(world: World, result: AttemptResult) -> None:
    world.decide(world.accepted(has_cancel=True, has_report=True))
    world.command(CommandAction.CANCEL)
    world.tell(result=result, provider_message_id="m-1")
    assert _cancels(world) == []


def test_an_attempt_in_doubt_that_is_found_after_the_success_is_reported(world: World) -> None:
    world.decide(world.accepted(has_report=True))
    world.tell(result=AttemptResult.IN_DOUBT)
    world.check(world.code)
    world.tell(provider_message_id="m-1")
    assert [command.attempt_id for command in _reports(world)] == ["v1.1"]
