"""What a caller asked to be sent and was told is accepted, when its provider refuses it: followed up, for that person
only."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    CommandAction,
    ResultClass,
    VerificationState,
)
from tests.unit.tracker.world import World, make_world

State = VerificationState


def delivered(steps: int = 1, **policy: Any) -> World:
    """A message was delivered 30 s ago, and nothing else is due."""
    world = make_world(**policy)
    world.decide(world.accepted(steps))
    world.tell()
    world.report()
    world.advance(30_000)
    assert world.last.state is State.DELIVERED
    assert world.asked() == []
    return world


def accepted(world: World, action: CommandAction, command_id: str = "m1", **changes: Any) -> None:
    reply = world.command(action, command_id, **changes)
    assert reply is not None
    assert reply.ok


def asked(world: World) -> list[tuple[int, int, list[str]]]:
    return [(event.n, event.step_index, event.used_providers) for event in world.asked()]


def test_a_resend_that_is_refused_after_a_delivery_goes_another_route_at_once() -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    assert asked(world) == [(2, 0, ["ycloud"]), (3, 0, ["ycloud", "neutrino"])]
    world.route("bird")
    world.tell(3, provider="bird")
    assert [attempt.result for attempt in world.last.attempts][1:] == [AttemptResult.REJECTED, AttemptResult.ACCEPTED]
    assert world.orders() == []
    assert world.last.state is State.DELIVERED


@pytest.mark.parametrize("result", [AttemptResult.NOT_SENT, AttemptResult.REJECTED])
def test_when_all_others_refused_it_the_route_that_once_delivered_is_better_than_none(result: AttemptResult) -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.tell(2, result, provider="neutrino", result_class=ResultClass.ROUTE)
    world.no_route()
    assert asked(world)[-1] == (3, 0, ["neutrino"])
    world.route("ycloud")
    world.reject(3)
    assert asked(world)[-1] == (4, 0, ["ycloud", "neutrino"])
    world.no_route()
    assert len(asked(world)) == 4
    assert not world.last.is_final
    assert world.check(world.code) is not None
    assert world.last.state is State.VERIFIED


def test_a_failover_that_is_refused_after_a_delivery_goes_another_route_of_its_step() -> None:
    world = delivered(3)
    accepted(world, CommandAction.FAILOVER)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    assert asked(world)[-1] == (3, 1, ["neutrino"])


def test_a_resend_reported_undelivered_goes_another_route_too() -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.tell(2, provider="neutrino")
    world.report(2, AttemptStatus.UNDELIVERED, provider="neutrino")
    assert asked(world)[-1] == (3, 0, ["ycloud", "neutrino"])


def test_whatever_became_of_it_nobody_else_is_texted() -> None:
    world = delivered(3)
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    world.no_route()
    world.no_route()
    world.advance(150_000)
    assert {step for _, step, _ in asked(world)} == {0}


def test_a_recipient_that_cannot_be_reached_is_tried_no_further() -> None:
    world = delivered(3)
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, ResultClass.RECIPIENT, provider="neutrino")
    world.advance(150_000)
    assert len(asked(world)) == 1
    assert world.last.state is State.DELIVERED


def test_a_message_nobody_asked_for_is_not_followed_up_once_one_was_delivered(world: World) -> None:
    world.decide(world.accepted(2))
    world.tell()
    world.advance(30_000)
    world.route("neutrino")
    world.report(1)
    world.reject(2, provider="neutrino")
    assert len(asked(world)) == 1


def test_a_refused_resend_of_an_earlier_step_sends_no_second_message_of_a_later_one(world: World) -> None:
    world.decide(world.accepted(2))
    world.tell()
    world.advance(30_000)
    world.route("neutrino")
    world.tell(2, provider="neutrino")
    world.advance(30_000)
    accepted(world, CommandAction.RESEND, step_index=0)
    world.route("bird")
    world.reject(3, provider="bird")
    assert asked(world)[-1] == (4, 0, ["ycloud", "bird"])
    world.no_route()
    assert asked(world)[-1] == (4, 0, ["bird"])
    world.no_route()
    world.advance(100_000)
    assert [step for _, step, _ in asked(world)] == [1, 0, 0, 0]
    assert not world.last.is_final


def test_a_refused_failover_to_a_named_step_leaves_the_wait_of_the_step_before(world: World) -> None:
    world.decide(world.accepted(3))
    world.tell()
    world.advance(10_000)
    accepted(world, CommandAction.FAILOVER, step_index=2)
    world.route("neutrino")
    world.reject(2, ResultClass.RECIPIENT, provider="neutrino")
    assert len(asked(world)) == 1
    world.advance(19_999)
    assert len(asked(world)) == 1
    world.advance(1)
    assert asked(world)[-1] == (3, 1, [])
    world.route("bird")
    world.reject(3, ResultClass.RECIPIENT, provider="bird")
    world.advance(60_000)
    assert len(asked(world)) == 2, "the recipient of the last step is known to be out of reach"
    reply = world.command(CommandAction.FAILOVER, "m2")
    assert reply is not None
    assert reply.reason == ReplyReason.NO_MORE_STEPS


def test_a_wish_that_came_to_nothing_lets_it_fail_when_all_else_has(world: World) -> None:
    world.decide(world.accepted())
    world.tell()
    world.advance(30_000)
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    world.report(1, AttemptStatus.UNDELIVERED)
    world.no_route()
    assert not world.last.is_final
    world.no_route()
    assert (world.last.state, world.last.is_final) == (State.FAILED, True)


def test_the_limit_of_attempts_ends_a_wish() -> None:
    world = delivered(max_attempts_total=2)
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    assert len(asked(world)) == 1
    assert not world.last.is_final


def test_the_end_of_the_time_ends_a_wish() -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.advance(256_000)
    world.reject(2, provider="neutrino")
    assert len(asked(world)) == 1


def test_the_next_wish_may_use_what_refused_the_one_before() -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    world.no_route()
    world.no_route()
    world.advance(60_000)
    accepted(world, CommandAction.RESEND, "m2")
    assert asked(world)[-1] == (3, 0, ["neutrino"])
    world.no_route()
    assert asked(world)[-1] == (3, 0, [])


def test_a_failover_past_a_step_without_route_goes_on_to_the_next_of_the_same_person() -> None:
    world = delivered(3)
    accepted(world, CommandAction.FAILOVER)
    world.no_route()
    assert asked(world) == [(2, 1, []), (2, 2, [])]
    world.no_route()
    world.advance(150_000)
    assert len(asked(world)) == 2


def test_but_not_to_somebody_else_who_was_not_asked_for() -> None:
    world = make_world()
    plan = world.plan(3)
    steps = [*plan.steps[:2], msgspec.structs.replace(plan.steps[2], recipient_key="somebody else")]
    world.decide(world.accepted(plan=msgspec.structs.replace(plan, steps=steps)))
    world.tell()
    world.report()
    accepted(world, CommandAction.FAILOVER)
    world.no_route()
    assert asked(world) == [(2, 1, [])]


@pytest.mark.parametrize("refused", [False, True], ids=["no route", "refused"])
def test_somebody_else_s_step_waits_for_the_step_before_as_if_nothing_had_been_asked(refused: bool) -> None:
    """A second person must not be texted early because a way to the first one was asked for in vain."""
    world = make_world()
    plan = world.plan(3)
    steps = [*plan.steps[:2], msgspec.structs.replace(plan.steps[2], recipient_key="somebody else")]
    world.decide(world.accepted(plan=msgspec.structs.replace(plan, steps=steps)))
    world.tell()
    world.advance(5_000)
    accepted(world, CommandAction.FAILOVER)
    if refused:
        world.route("neutrino")
        world.reject(2, provider="neutrino")
    world.no_route()
    world.advance(24_999)
    assert {step for _, step, _ in asked(world)} == {1}
    world.advance(1)
    assert asked(world)[-1][1] == 2


def test_nor_from_a_step_that_was_named() -> None:
    world = delivered(3)
    accepted(world, CommandAction.FAILOVER, step_index=1)
    world.no_route()
    assert asked(world) == [(2, 1, [])]


def test_after_the_end_nothing_is_followed_up() -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.check(world.code)
    world.reject(2, provider="neutrino")
    assert len(asked(world)) == 1
    assert world.last.state is State.VERIFIED


def test_a_wish_refused_as_too_late_by_the_router_ends() -> None:
    world = delivered()
    accepted(world, CommandAction.RESEND)
    world.route("neutrino")
    world.reject(2, provider="neutrino")
    world.no_route(Reason.TOO_LATE)
    world.no_route(Reason.TOO_LATE)
    assert len(asked(world)) == 3
    world.advance(300_000)
    assert world.last.state is State.EXPIRED
