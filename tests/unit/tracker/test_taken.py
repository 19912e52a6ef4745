"""Messages that their provider may send again or take to another channel: which they are, and who judges their code."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.records.internal import TakenMessage
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CodeHolder, CommandAction, CommandKind
from tests.unit.tracker.world import World

MADE: dict[str, Any] = {"code_holder": CodeHolder.PROVIDER, "has_check": True, "code_length": 6}


def _begin(world: World, steps: int = 3, **attempt: Any) -> World:
    """Step 0 went by ``bird``, which was told of the two after it."""
    world.decide(world.accepted(steps=steps, provider="bird", **(MADE | {"told_steps": 2} | attempt)))
    return world


def _taken(world: World, **changes: Any) -> None:
    world.tell(provider="bird", provider_message_id="b-1", **changes)


def _asked_with(world: World) -> list[TakenMessage]:
    return world.asked()[-1].taken


def test_when_the_next_step_is_due_the_message_can_go_on_to_it(world: World) -> None:
    _taken(_begin(world))
    world.advance(30_000)
    [message] = _asked_with(world)
    assert (message.provider, message.provider_message_id) == ("bird", "b-1")
    assert (message.place, message.again, message.told_steps, message.code_length) == (1, False, 1, 6)


def test_so_it_can_from_there_to_the_step_behind(world: World) -> None:
    _taken(_begin(world))
    world.advance(30_000)
    world.route("bird", place=1, told_steps=1, **MADE)
    world.tell(2, provider="bird", channel=Channel.VOICE, provider_message_id="b-1")
    world.advance(30_000)
    [message] = _asked_with(world)
    assert (message.place, message.again, message.told_steps) == (2, False, 0)


def test_a_resend_may_be_the_same_message_where_another_route_is_wanted_and_where_none_is_found(world: World) -> None:
    _taken(_begin(world))
    world.advance(30_000)
    world.no_route()
    world.no_route()
    world.command(CommandAction.RESEND)
    first = world.asked()[-1]
    world.no_route()
    second = world.asked()[-1]
    assert (first.used_providers, second.used_providers) == (["bird"], [])
    for event in (first, second):
        assert [(each.place, each.again) for each in event.taken] == [(0, True)]


def test_one_that_did_not_arrive_can_go_on_once_its_step_was_tried_elsewhere(world: World) -> None:
    _taken(_begin(world))
    world.report(status=AttemptStatus.UNDELIVERED, provider="bird")
    assert (world.asked()[-1].step_index, world.asked()[-1].used_providers) == (0, ["bird"])
    world.no_route()
    assert [each.place for each in _asked_with(world)] == [1]


@pytest.mark.parametrize(
    ("attempt", "result"),
    [
        ({}, {"status": AttemptStatus.EXPIRED}),
        ({}, {"provider_message_id": None}),
        ({}, {"result": AttemptResult.IN_DOUBT}),
        ({"told_steps": 0}, {}),
        ({"code_holder": CodeHolder.OURS}, {}),
    ],
)
def test_nothing_else_can(world: World, attempt: dict[str, Any], result: dict[str, Any]) -> None:
    world.decide(world.accepted(steps=3, provider="bird", **(MADE | {"told_steps": 2} | attempt)))
    world.tell(**({"provider": "bird", "provider_message_id": "b-1"} | result))
    world.advance(30_000)
    if world.asked()[-1].step_index == 0:  # ended at once: elsewhere first
        world.no_route()
    assert world.asked()[-1].step_index == 1
    assert _asked_with(world) == []


def _sent_twice(world: World) -> World:
    _taken(_begin(world))
    world.advance(30_000)
    world.route("bird", place=1, told_steps=1, **MADE)
    world.tell(2, provider="bird", channel=Channel.VOICE, provider_message_id="b-1")
    return world


def test_one_message_is_asked_once_about_a_code_however_often_it_was_sent(world: World) -> None:
    """Else its provider would count two wrong codes for each."""
    _sent_twice(world).check("123456")
    world.judge(False)
    assert len(world.provider_checks()) == 1
    assert world.replies[-1].reason == "wrong_code"


def test_its_latest_sending_gets_the_credit(world: World) -> None:
    _sent_twice(world).check("123456")
    world.judge(True)
    assert world.last.verified_attempt_id == "v1.2"


def test_what_was_in_doubt_of_its_first_sending_is_so_of_the_next(world: World) -> None:
    _taken(_begin(world))
    world.check("123456", "c1")
    world.judge(None, result=AttemptResult.IN_DOUBT)
    world.advance(30_000)
    world.route("bird", place=1, told_steps=1, **MADE)
    world.tell(2, provider="bird", channel=Channel.VOICE, provider_message_id="b-1")
    world.check("123456", "c2")
    world.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    assert world.replies[-1].ok


def test_a_sending_that_is_taken_while_its_message_is_asked_is_no_second_question(world: World) -> None:
    _taken(_begin(world))
    world.advance(30_000)
    world.route("bird", place=1, told_steps=1, **MADE)
    world.check("123456")
    world.tell(2, provider="bird", channel=Channel.VOICE, provider_message_id="b-1")
    world.judge(False)
    assert len(world.provider_checks()) == 1
    assert world.replies[-1].reason == "wrong_code"


def test_nor_is_it_sent_again_once_a_code_is_in_doubt_as_only_a_new_one_may_be_right(world: World) -> None:
    _taken(_begin(world))
    world.check("123456")
    world.judge(None, result=AttemptResult.IN_DOUBT)
    world.advance(30_000)
    assert _asked_with(world) == []


def test_what_was_in_doubt_stays_so_when_the_sending_that_was_asked_about_expires(world: World) -> None:
    """The lost answer may have been the yes, and a plain no is what a provider says of a code that is used up."""
    _sent_twice(world).check("123456", "c1")
    world.judge(None, result=AttemptResult.IN_DOUBT)
    world.report(status=AttemptStatus.EXPIRED, provider="bird")
    world.check("123456", "c2")
    assert [each.n for each in world.provider_checks()] == [1, 2]
    world.judge(False)
    assert world.replies[-1].reason == "provider_unavailable"


def test_a_sending_without_an_answer_is_nothing_to_withdraw_by_the_name_of_its_message(world: World) -> None:
    """A sender that has no such call any more would ask its provider to, which may be none that can."""
    _taken(_begin(world))
    world.advance(30_000)
    world.route("bird", place=1, told_steps=1, taken_message_id="b-1", **MADE)
    world.command(CommandAction.CANCEL)
    assert [each.provider_message_id for each in world.orders(CommandKind.CANCEL)] == [None]
