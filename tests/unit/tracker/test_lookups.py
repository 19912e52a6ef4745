"""Asking what became of a message: when, how often, and what an answer that knows nothing must not break."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CodeHolder, CommandKind, VerificationState
from tests.unit.tracker.world import GRACE_MS, T0, World

State = VerificationState
LOOKUPS = [10, 30, 60]
FINDS = [5, 20]


def _sent(world: World, result: AttemptResult = AttemptResult.ACCEPTED, **changes: Any) -> World:
    world.decide(world.accepted(lookups_s=LOOKUPS, finds_lost_s=FINDS))
    told = {"provider_message_id": "m-1"} if result is AttemptResult.ACCEPTED else {}
    world.tell(result=result, **{**told, **changes})
    return world


def _asked(world: World) -> list[SendCommand]:
    return world.orders(CommandKind.LOOKUP)


def _ask_times(world: World, until_s: int) -> list[int]:
    """Seconds after the call at which look-ups were asked for."""
    times = []
    for second in range((world.now_ms - T0) // 1_000, until_s + 1):
        before = len(_asked(world))
        world.advance_to(T0 + second * 1_000)
        times += [second] * (len(_asked(world)) - before)
    return times


def test_an_accepted_message_is_asked_about_at_its_times_while_nothing_final_is_known(world: World) -> None:
    assert _ask_times(_sent(world), 200) == LOOKUPS


def test_a_lost_answer_is_looked_for_at_its_own_times(world: World) -> None:
    assert _ask_times(_sent(world, AttemptResult.IN_DOUBT), 200) == FINDS


def test_a_doubtful_answer_that_told_the_id_is_asked_about_like_an_accepted_message(world: World) -> None:
    assert _ask_times(_sent(world, AttemptResult.IN_DOUBT, provider_message_id="m-1"), 15) == LOOKUPS[:1]
    assert _asked(world)[0].provider_message_id == "m-1"
    world.tell(kind=CommandKind.LOOKUP, provider_message_id="m-1")
    assert world.last.attempts[0].result is AttemptResult.ACCEPTED
    assert _ask_times(world, 200) == LOOKUPS[1:]


def test_a_doubtful_answer_with_an_id_is_searched_for_where_messages_cannot_be_asked_about(world: World) -> None:
    world.decide(world.accepted(finds_lost_s=FINDS))
    world.tell(result=AttemptResult.IN_DOUBT, provider_message_id="m-1")
    assert _ask_times(world, 200) == FINDS


def test_the_look_up_says_all_that_finds_the_message(world: World) -> None:
    _sent(world)
    world.advance(30_000)
    first, second = _asked(world)
    assert (first.command_id, second.command_id) == ("v1.1:lookup.1", "v1.1:lookup.2")
    assert (second.attempt_id, second.n, second.provider, second.channel) == ("v1.1", 1, "ycloud", Channel.SMS)
    assert (second.provider_message_id, second.reference, second.called_at) == ("m-1", "v1_1_abcdef", T0)
    assert (second.recipient_sealed, second.recipient_hash) == (b"sealed", "r" * 32)
    assert second.send_by_at == T0 + 60_000
    (emit, _) = [emit for emit in world.emits if emit.topic == topics.send(Channel.SMS)]
    assert (emit.key, emit.headers[-1]) == (b"v1", ("provider", b"ycloud"))


def test_of_a_lost_answer_there_is_no_message_id_to_ask_with(world: World) -> None:
    _sent(world, AttemptResult.IN_DOUBT)
    world.advance(5_000)
    (command,) = _asked(world)
    assert (command.provider_message_id, command.called_at) == (None, T0)


def test_an_accepted_message_without_a_name_cannot_be_asked_about(world: World) -> None:
    assert _ask_times(_sent(world, provider_message_id=None), 200) == []


def test_a_look_up_travels_in_the_lane_of_its_verification(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(bulk=True), lookups_s=LOOKUPS))
    world.tell(provider_message_id="m-1")
    world.advance(10_000)
    assert len(world.out(topics.bulk(topics.send(Channel.SMS)), SendCommand)) == 1


@pytest.mark.parametrize(
    "status",
    [
        AttemptStatus.DELIVERED,
        AttemptStatus.READ,
        AttemptStatus.UNDELIVERED,
        AttemptStatus.FAILED,
        AttemptStatus.EXPIRED,
    ],
)
def test_nothing_is_asked_once_the_end_of_the_message_is_known(world: World, status: AttemptStatus) -> None:
    _sent(world)
    world.advance(10_000)
    world.report(status=status)
    assert _ask_times(world, 200) == []


def test_a_message_that_arrived_is_still_looked_for_while_its_provider_alone_can_judge_its_code(world: World) -> None:
    """A receipt names the attempt, not the provider's id of the message, and only by that id a code can be checked."""
    world.decide(world.accepted(code_holder=CodeHolder.PROVIDER, has_check=True, finds_lost_s=FINDS))
    world.tell(result=AttemptResult.IN_DOUBT, code_holder=CodeHolder.PROVIDER)
    world.report(status=AttemptStatus.DELIVERED)
    world.advance(5_000)
    assert len(_asked(world)) == 1
    world.tell(kind=CommandKind.LOOKUP, provider_message_id="m-1", code_holder=CodeHolder.PROVIDER)
    assert _ask_times(world, 200) == []
    world.check("482913")
    assert [command.provider_message_id for command in world.orders(CommandKind.CHECK)] == ["m-1"]


def test_a_message_with_our_code_that_arrived_is_not_looked_for(world: World) -> None:
    _sent(world, AttemptResult.IN_DOUBT)
    world.report(status=AttemptStatus.DELIVERED)
    assert _ask_times(world, 200) == []


def test_queued_and_sent_are_no_end(world: World) -> None:
    _sent(world)
    world.report(status=AttemptStatus.SENT)
    assert _ask_times(world, 200) == LOOKUPS


@pytest.mark.parametrize("result", [AttemptResult.REJECTED, AttemptResult.NOT_SENT, AttemptResult.EXPIRED])
def test_what_was_never_taken_is_not_asked_about(world: World, result: AttemptResult) -> None:
    assert _ask_times(_sent(world, result, provider_message_id="m-1"), 200) == []


def test_what_a_look_up_says_is_joined(world: World) -> None:
    _sent(world, AttemptResult.IN_DOUBT)
    world.advance(5_000)
    world.tell(kind=CommandKind.LOOKUP, provider_message_id="m-1", status=AttemptStatus.DELIVERED)
    attempt = world.last.attempts[0]
    assert (attempt.result, attempt.status, attempt.provider_message_id) == (
        AttemptResult.ACCEPTED,
        AttemptStatus.DELIVERED,
        "m-1",
    )
    assert world.last.state is State.DELIVERED


def test_a_found_message_is_asked_about_at_the_next_time_that_has_not_passed(world: World) -> None:
    _sent(world, AttemptResult.IN_DOUBT)
    world.advance(20_000)
    world.tell(kind=CommandKind.LOOKUP, provider_message_id="m-1")
    assert _ask_times(world, 200) == [30, 60]


def test_a_message_that_was_never_sent_moves_on_at_once(world: World) -> None:
    _sent(world, AttemptResult.IN_DOUBT)
    world.advance(5_000)
    world.tell(result=AttemptResult.NOT_SENT, kind=CommandKind.LOOKUP, called_at=world.now_ms)
    assert [event.used_providers for event in world.asked()] == [["ycloud"]]


@pytest.mark.parametrize("result", [AttemptResult.NOT_SENT, AttemptResult.EXPIRED, AttemptResult.REJECTED])
def test_a_look_up_that_was_never_made_says_nothing_of_the_message(world: World, result: AttemptResult) -> None:
    """Else the message that may be on its way would be sent again, only because asking was not possible."""
    _sent(world, AttemptResult.IN_DOUBT)
    world.advance(5_000)
    world.tell(result=result, kind=CommandKind.LOOKUP, called_at=None)
    assert world.asked() == []
    assert world.last.attempts[0].result is AttemptResult.IN_DOUBT


def test_look_ups_that_a_stop_made_overdue_are_asked_once(world: World) -> None:
    _sent(world)
    world.now_ms = T0 + 45_000
    world.fire_due()
    world.advance(0)
    assert [command.command_id for command in _asked(world)] == ["v1.1:lookup.2"]
    assert _ask_times(world, 200) == [60]


def test_nobody_is_asked_about_a_code_that_is_dead(world: World) -> None:
    _sent(world)
    world.now_ms = T0 + 3_600_000
    world.advance(GRACE_MS)
    assert _asked(world) == []
    assert world.last.is_final


def test_after_the_end_nothing_is_asked(world: World) -> None:
    _sent(world)
    world.check(world.code)
    assert _ask_times(world, 200) == []


def test_an_earlier_attempt_is_still_asked_about_when_a_later_one_has_begun(world: World) -> None:
    world.decide(world.accepted(steps=2, lookups_s=[40]))
    world.tell(provider_message_id="m-1")
    world.advance(30_000)
    world.route("neutrino", lookups_s=[20])
    world.tell(2, provider="neutrino", provider_message_id="n-2")
    world.advance(20_000)
    assert [command.attempt_id for command in _asked(world)] == ["v1.1", "v1.2"]


def test_a_look_up_can_be_opened_like_the_send(world: World) -> None:
    """A sender derives nothing of it, but opens all commands alike."""
    plan = world.plan(amount="12.50", payee_sealed=b"payee", code_holder=CodeHolder.CALLER, code_sealed=b"code")
    world.decide(world.accepted(plan=plan, code_holder=CodeHolder.CALLER, lookups_s=[10]))
    world.tell(provider_message_id="m-1")
    world.advance(10_000)
    (command,) = _asked(world)
    assert (command.kid, command.code_length, command.key_recipient_hash) == ("t2", 6, "r" * 32)
    assert (command.code_holder, command.code_sealed, command.payee_sealed) == (CodeHolder.CALLER, b"code", b"payee")
