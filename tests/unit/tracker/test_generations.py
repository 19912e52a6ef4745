"""A resend with a new code (``resend_code = "new"``): which codes are right when, and what the new one changes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from pipeline.model.codes import same_code
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    CodeHolder,
    CommandAction,
    CommandKind,
    ResultClass,
    VerificationState,
)
from pipeline.tracker import checks
from tests.unit.tracker.world import RING, T0, World, make_world

State = VerificationState
Act = Callable[[World], None]


def code(generation: int) -> str:
    return RING.code(
        "t2", verification_id="v1", recipient_hash="r" * 32, generation=generation, amount=None, payee=None, length=6
    )


FIRST, SECOND, THIRD = code(0), code(1), code(2)


def resent(holder: CodeHolder = CodeHolder.OURS, steps: int = 1) -> World:
    """A message was sent and one resend was accepted 20 s later; its route is asked for."""
    world = make_world(resend_code="new", resend_cooldown_s=[20, 60, 120])
    world.decide(world.accepted(steps, code_holder=holder))
    world.tell()
    world.advance(20_000)
    resend(world, "m1")
    return world


def resend(world: World, command_id: str) -> None:
    reply = world.command(CommandAction.RESEND, command_id)
    assert reply is not None
    assert reply.ok


def route(world: World, provider: str = "neutrino", **attempt: Any) -> None:
    """The router does as the real one: the attempt carries the code that it was asked to carry."""
    world.route(provider, generation=world.asked()[-1].generation, **attempt)


def verdict(world: World, typed: str, check_id: str = "c1") -> str:
    reply = world.check(typed, check_id)
    assert reply is not None
    return reply.reason


def test_the_codes_of_one_verification_differ() -> None:
    assert len({FIRST, SECOND, THIRD}) == 3


def test_without_the_setting_a_resend_has_the_same_code(sent: World) -> None:
    sent.advance(30_000)
    resend(sent, "m1")
    route(sent)
    sent.tell(2, provider="neutrino")
    assert sent.asked()[-1].generation == 0
    assert verdict(sent, SECOND) == ReplyReason.WRONG_CODE
    assert verdict(sent, FIRST, "c2") == ReplyReason.VALID


def test_the_route_of_a_resend_carries_the_new_code() -> None:
    world = resent()
    assert [event.generation for event in world.asked()] == [1]
    route(world)
    world.tell(2, provider="neutrino")
    world.advance(60_000)
    resend(world, "m2")
    assert [event.generation for event in world.asked()] == [1, 2]


def test_the_expiry_and_the_wrong_codes_counted_stay() -> None:
    world = make_world(resend_code="new")
    world.decide(world.accepted())
    world.tell()
    assert verdict(world, "000000") == ReplyReason.WRONG_CODE
    world.advance(30_000)
    resend(world, "m1")
    route(world)
    world.tell(2, provider="neutrino")
    assert (world.last.expires_at, world.last.failed_checks, world.last.checks_left) == (T0 + 300_000, 1, 2)
    assert verdict(world, FIRST, "c2") == ReplyReason.WRONG_CODE
    assert world.last.failed_checks == 2


def then(*acts: Act) -> Act:
    def one_after_the_other(world: World) -> None:
        for act in acts:
            act(world)

    return one_after_the_other


def told(result: AttemptResult = AttemptResult.ACCEPTED, **changes: Any) -> Act:
    return lambda world: world.tell(2, result, provider="neutrino", **changes)


def reported(status: AttemptStatus) -> Act:
    return lambda world: world.report(2, status, provider="neutrino")


IN_DOUBT = told(AttemptResult.IN_DOUBT)
TAKEN: dict[str, Act] = {
    "accepted": told(),
    "sent, by a receipt before the answer": reported(AttemptStatus.SENT),
    "delivered, by a receipt before the answer": reported(AttemptStatus.DELIVERED),
    "found by a look-up after a lost answer": then(IN_DOUBT, told(kind=CommandKind.LOOKUP)),
}
NOT_TAKEN: dict[str, Act] = {
    "not routed": then(),
    "pending": route,
    "in doubt": then(route, IN_DOUBT),
    "rejected": then(route, told(AttemptResult.REJECTED)),
    "rejected, and said so twice": then(
        route, told(AttemptResult.REJECTED, status=AttemptStatus.UNDELIVERED, reason=Reason.UNDELIVERED)
    ),
    "not sent": then(route, told(AttemptResult.NOT_SENT)),
    "without a route": lambda world: world.no_route(),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_earlier_code_is_void_once_a_provider_took_the_message_with_the_new_one(name: str) -> None:
    world = resent()
    route(world)
    TAKEN[name](world)
    assert verdict(world, FIRST) == ReplyReason.WRONG_CODE
    assert verdict(world, SECOND, "c2") == ReplyReason.VALID
    assert world.last.verified_attempt_id == "v1.2"


@pytest.mark.parametrize("name", NOT_TAKEN)
@pytest.mark.parametrize("generation", [0, 1])
def test_until_then_both_are_right_as_the_person_may_hold_the_earlier_only(name: str, generation: int) -> None:
    world = resent()
    NOT_TAKEN[name](world)
    assert verdict(world, THIRD) == ReplyReason.WRONG_CODE
    assert verdict(world, code(generation), "c2") == ReplyReason.VALID


@pytest.mark.parametrize("typed", [FIRST, SECOND, "000000"])
def test_every_code_that_may_be_right_is_compared_whichever_was_typed(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = resent()
    compared: list[str] = []
    monkeypatch.setattr(
        checks, "same_code", lambda expected, found: compared.append(expected) or same_code(expected, found)
    )
    world.check(typed)
    assert compared == [FIRST, SECOND]


def test_the_earlier_code_credits_the_message_that_brought_it() -> None:
    world = resent()
    route(world)
    world.tell(2, AttemptResult.IN_DOUBT, provider="neutrino")
    verdict(world, FIRST)
    assert world.last.verified_attempt_id == "v1.1"


def test_the_provider_that_hears_of_the_success_is_told_of_its_own_code() -> None:
    world = make_world(resend_code="new")
    world.decide(world.accepted(has_report=True))
    world.tell(provider_message_id="m-1")
    world.advance(30_000)
    resend(world, "m1")
    verdict(world, FIRST)
    (report,) = world.orders(CommandKind.REPORT)
    assert (report.attempt_id, report.generation) == ("v1.1", 0)


def test_two_codes_that_are_both_right_open_it_once() -> None:
    world = resent()
    route(world)
    assert verdict(world, SECOND) == ReplyReason.VALID
    assert verdict(world, FIRST, "c2") == ReplyReason.ALREADY_VERIFIED


@pytest.mark.parametrize("typed", [FIRST, SECOND])
def test_while_the_message_with_the_new_code_is_known_to_have_failed_both_are_right(typed: str) -> None:
    """The person holds the earlier one alone, or the new one by a report that was wrong."""
    world = resent()
    route(world)
    world.tell(2, provider="neutrino")
    world.report(2, AttemptStatus.UNDELIVERED, provider="neutrino")
    assert world.asked()[-1].generation == 1, "the next route brings the new one all the same"
    assert verdict(world, typed) == ReplyReason.VALID


def test_a_message_that_arrives_after_all_ends_the_earlier_code() -> None:
    world = resent()
    route(world)
    world.tell(2, provider="neutrino")
    world.report(2, AttemptStatus.UNDELIVERED, provider="neutrino")
    world.report(2, AttemptStatus.DELIVERED, provider="neutrino")
    assert verdict(world, FIRST) == ReplyReason.WRONG_CODE


@pytest.mark.parametrize("action", [CommandAction.FAILOVER, None])
def test_every_later_attempt_has_the_newest_code(action: CommandAction | None) -> None:
    world = resent(steps=3)
    route(world)
    world.tell(2, provider="neutrino")
    if action is None:
        world.advance(30_000)
    else:
        world.command(action, "m2")
    asked = world.asked()[-1]
    assert (asked.step_index, asked.generation) == (1, 1)
    route(world)
    world.tell(3, provider="neutrino")
    assert verdict(world, SECOND) == ReplyReason.VALID


def test_three_resends_have_three_new_codes_and_only_what_may_be_held_is_right() -> None:
    world = resent()
    route(world)
    world.tell(2, provider="neutrino")
    world.advance(60_000)
    resend(world, "m2")
    route(world, "bird")
    assert verdict(world, FIRST) == ReplyReason.WRONG_CODE  # the second was taken
    world.tell(3, AttemptResult.IN_DOUBT, provider="bird")
    assert verdict(world, SECOND, "c2") == ReplyReason.VALID  # the third may never have been


ORDER: tuple[Act, ...] = (
    IN_DOUBT,
    reported(AttemptStatus.SENT),
    told(kind=CommandKind.LOOKUP),
    lambda world: world.tell(1),
)


@pytest.mark.parametrize("order", list(permutations(range(len(ORDER)))))
def test_in_whatever_order_it_is_told_the_same_codes_are_right_in_the_end(order: tuple[int, ...]) -> None:
    world = resent()
    route(world)
    for index in order:
        ORDER[index](world)
    assert verdict(world, FIRST) == ReplyReason.WRONG_CODE
    assert verdict(world, SECOND, "c2") == ReplyReason.VALID


def test_an_answer_read_before_its_route_voids_the_earlier_code_with_the_route() -> None:
    world = resent()
    world.tell(2, provider="neutrino")
    assert world.state[b"v1"].early_results
    route(world)
    assert verdict(world, FIRST) == ReplyReason.WRONG_CODE


def test_a_resend_repeated_by_its_producer_makes_one_new_code() -> None:
    world = resent()
    world.command(CommandAction.RESEND, "m1")
    world.command(CommandAction.RESEND, "m2")
    assert world.state[b"v1"].generation == 1


def test_a_refused_resend_makes_no_new_code() -> None:
    world = make_world(resend_code="new")
    world.decide(world.accepted())
    world.tell()
    reply = world.command(CommandAction.RESEND)
    assert reply is not None
    assert reply.reason == ReplyReason.RESEND_TOO_SOON
    assert world.state[b"v1"].generation == 0


def test_a_callers_own_code_stays_the_one() -> None:
    sealed = RING.seal(b"Ab12cd", verification_id="v1", field="code")
    world = make_world(resend_code="new")
    plan = world.plan(code_holder=CodeHolder.CALLER, code_sealed=sealed)
    world.decide(world.accepted(plan=plan, code_holder=CodeHolder.CALLER))
    world.tell()
    world.advance(30_000)
    resend(world, "m1")
    assert world.asked()[-1].generation == 0
    route(world, code_holder=CodeHolder.CALLER)
    world.tell(2, provider="neutrino")
    assert verdict(world, "AB12CD") == ReplyReason.VALID


def test_codes_that_providers_make_void_none_and_are_each_asked_about() -> None:
    world = resent(holder=CodeHolder.PROVIDER)
    route(world, "bird", code_holder=CodeHolder.PROVIDER, has_check=True)
    world.tell(2, provider="bird", provider_message_id="b-1", code_holder=CodeHolder.PROVIDER)
    world.check("123456")
    assert [command.attempt_id for command in world.provider_checks()] == ["v1.2"]
    world.judge(True)
    assert (world.replies[-1].reason, world.last.verified_attempt_id) == (ReplyReason.VALID, "v1.2")


def test_a_code_of_ours_stays_right_beside_one_that_a_provider_made() -> None:
    world = resent()
    route(world, "bird", code_holder=CodeHolder.PROVIDER, has_check=True)
    world.tell(2, provider="bird", provider_message_id="b-1", code_holder=CodeHolder.PROVIDER)
    assert verdict(world, FIRST) == ReplyReason.VALID
    assert world.last.verified_attempt_id == "v1.1"


def test_the_state_is_restored_with_its_codes() -> None:
    world = resent()
    route(world)
    world.tell(2, provider="neutrino")
    state = world.state[b"v1"]
    assert (state.generation, [attempt.generation for attempt in state.attempts]) == (1, [0, 1])
    assert state == world.stage.decode(world.stage.encode(state))


def test_a_blamed_recipient_ends_a_wish_and_the_new_code_stays_the_newest() -> None:
    world = resent(steps=2)
    route(world)
    world.reject(2, kind=ResultClass.RECIPIENT, provider="neutrino")
    assert len(world.asked()) == 1
    world.advance(10_000)  # the wait of the first message is over: the plan's next step
    assert (world.asked()[-1].step_index, world.asked()[-1].generation) == (1, 1)
