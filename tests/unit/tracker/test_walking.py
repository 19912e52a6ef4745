"""An attempt that stands for several steps, as its provider goes on from one to the next by itself."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CommandAction,
    CommandKind,
    ResultClass,
    VerificationState,
)
from tests.unit.tracker.world import World

State = VerificationState


def _walk(world: World, steps: int = 3, **attempt: Any) -> World:
    """The provider walks steps 0 and 1 (sms, voice) of the plan."""
    world.decide(world.accepted(steps=steps, **{"last_step": 1, **attempt}))
    return world


def test_the_next_step_is_the_one_after_the_last_that_the_attempt_stands_for(world: World) -> None:
    _walk(world).tell()
    world.advance(59_999)
    assert world.asked() == [], "each of its steps has its wait"
    world.advance(1)
    assert [event.step_index for event in world.asked()] == [2]


def test_without_receipts_it_waits_as_many_times_longer(world: World) -> None:
    _walk(world, has_receipts=False).tell()
    world.advance(179_999)
    assert world.asked() == []
    world.advance(1)
    assert [event.step_index for event in world.asked()] == [2]


def test_when_it_stands_for_the_last_step_nothing_follows_its_wait(world: World) -> None:
    _walk(world, steps=2).tell()
    world.advance(290_000)
    assert world.asked() == []


def test_a_refusal_begins_its_steps_again_elsewhere_and_its_provider_counts_as_tried_in_each(world: World) -> None:
    _walk(world).reject()
    world.no_route()
    assert [(event.step_index, event.used_providers) for event in world.asked()] == [(0, ["ycloud"]), (1, ["ycloud"])]


def test_a_recipient_it_cannot_reach_is_reached_on_none_of_its_steps(world: World) -> None:
    _walk(world).reject(kind=ResultClass.RECIPIENT)
    assert [event.step_index for event in world.asked()] == [2]


def test_it_fails_when_all_its_steps_failed_and_none_is_left(world: World) -> None:
    _walk(world, steps=2).tell()
    world.tell(kind=CommandKind.LOOKUP, status=AttemptStatus.FAILED, reason=Reason.RECIPIENT_BLOCKED)
    assert (world.last.state, world.last.reason) == (State.FAILED, Reason.STEPS_EXHAUSTED)


@pytest.mark.parametrize("status", [AttemptStatus.FAILED, AttemptStatus.UNDELIVERED, AttemptStatus.EXPIRED])
def test_a_report_that_a_message_failed_is_about_one_of_its_steps_and_no_end(
    world: World, status: AttemptStatus
) -> None:
    """Its provider goes on to the next one by itself: beside it, whatever we sent would be a second message."""
    _walk(world).tell()
    world.report(status=status, reason=Reason.RECIPIENT_BLOCKED, cost="0.05", currency="EUR")
    assert world.asked() == []
    assert (world.last.state, world.last.attempts[0].status, world.last.cost) == (
        State.SENT, AttemptStatus.NONE, "0.05",
    )  # fmt: skip
    world.advance(60_000)
    assert [event.step_index for event in world.asked()] == [2]


def test_a_look_up_says_which_steps_it_stands_for(world: World) -> None:
    world.decide(world.accepted(steps=3, last_step=1, lookups_s=[10]))
    world.tell(provider_message_id="m-1")
    world.advance(10_000)
    [command] = world.orders(CommandKind.LOOKUP)
    assert command.channel is Channel.SMS
    assert [(step.index, step.channel, step.recipient_sealed) for step in command.walk] == [
        (1, Channel.VOICE, command.recipient_sealed)
    ]


def test_the_active_step_is_its_first_until_the_provider_tells_of_another(world: World) -> None:
    _walk(world).tell(used_channel=Channel.SMS)
    assert (world.last.step_index, world.last.channel) == (0, Channel.SMS)
    world.advance(10_000)
    world.tell(kind=CommandKind.LOOKUP, used_channel=Channel.VOICE)
    assert (world.last.step_index, world.last.channel) == (1, Channel.VOICE)
    assert (world.last.attempts[0].step_index, world.last.attempts[0].channel) == (0, Channel.SMS)
    reply = world.check(world.wrong)
    assert reply is not None
    assert reply.step_index == 1


def test_what_the_provider_said_last_of_its_channel_counts_in_any_order(world: World) -> None:
    _walk(world)
    later = world.result(kind=CommandKind.LOOKUP, used_channel=Channel.VOICE, finished_at=world.now_ms + 20_000)
    world.give("verification.results", later)
    world.tell(used_channel=Channel.SMS)
    assert world.last.step_index == 1


def test_a_channel_of_none_of_its_steps_moves_nothing(world: World) -> None:
    _walk(world).tell(used_channel=Channel.WHATSAPP)
    assert (world.last.step_index, world.last.channel) == (0, Channel.SMS)


def test_a_channel_chosen_by_the_provider_moves_no_attempt_of_one_step(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell(used_channel=Channel.VOICE)
    assert (world.last.step_index, world.last.channel) == (0, Channel.SMS)


def test_each_of_its_steps_shows_the_provider(world: World) -> None:
    _walk(world)
    assert [view.provider for view in world.last.steps] == ["ycloud", "ycloud", None]


def test_failover_begins_after_all_its_steps(world: World) -> None:
    """The step between is the provider's own next one: beside it a second message would reach the person."""
    _walk(world).tell()
    reply = world.command(CommandAction.FAILOVER)
    assert reply is not None
    assert (reply.ok, reply.step_index) == (True, 2)


def test_failover_finds_nothing_after_its_last_step(world: World) -> None:
    _walk(world, steps=2).tell()
    reply = world.command(CommandAction.FAILOVER)
    assert reply is not None
    assert reply.reason == ReplyReason.NO_MORE_STEPS


def test_resend_repeats_the_step_it_has_come_to(world: World) -> None:
    _walk(world).tell(used_channel=Channel.VOICE)
    world.advance(30_000)
    reply = world.command(CommandAction.RESEND)
    assert reply is not None
    assert (reply.ok, reply.step_index) == (True, 1)
    assert world.asked()[-1].used_providers == ["ycloud"]


@pytest.mark.parametrize("result", [AttemptResult.ACCEPTED, AttemptResult.IN_DOUBT])
def test_its_delivery_is_the_success_of_any_of_its_steps(world: World, result: AttemptResult) -> None:
    _walk(world).tell(result=result)
    world.advance(45_000)
    world.report()
    world.advance(200_000)
    assert world.asked() == []
    assert world.last.state is State.DELIVERED
