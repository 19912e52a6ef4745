"""Codes that a provider made: it alone can judge what was typed, one check at a time, and its outage is no mistake."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import topics
from pipeline.model.limits import UNJUDGED_CODES
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.public import Reply
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CodeHolder,
    CommandAction,
    CommandKind,
    RoutingKind,
    VerificationState,
)
from tests.unit.tracker.world import GRACE_MS, RING, T0, World, make_world

State = VerificationState
MADE = {"code_holder": CodeHolder.PROVIDER, "has_check": True}


def _begin(world: World, **changes: Any) -> World:
    """A verification whose one attempt carries a code that ``bird`` made."""
    world.decide(world.accepted(provider="bird", plan=world.plan(**changes), **MADE))
    world.tell(provider="bird", provider_message_id="b-1", code_holder=CodeHolder.PROVIDER)
    world.advance(1_000)
    return world


def _two(world: World) -> World:
    """Two attempts, each with a code its provider made."""
    world.decide(world.accepted(steps=2, provider="bird", **MADE))
    world.tell(provider="bird", provider_message_id="b-1")
    world.advance(30_000)
    world.route("telesign", **MADE)
    world.tell(2, provider="telesign", channel=Channel.VOICE, provider_message_id="t-2")
    return world


@pytest.fixture
def made(world: World) -> World:
    return _begin(world)


def _replies(world: World) -> dict[str, Reply]:
    return {reply.request_id: reply for reply in world.replies}


def test_a_code_that_is_not_ours_is_put_to_the_provider_that_made_one(made: World) -> None:
    assert made.check("123 456") is None
    (command,) = made.provider_checks()
    assert (command.kind, command.command_id, command.attempt_id, command.n) == (CommandKind.CHECK, "c1", "v1.1", 1)
    assert (command.provider, command.channel, command.provider_message_id) == ("bird", Channel.SMS, "b-1")
    assert (command.decision_id, command.reference) == ("aa" * 16, "v1_1_abcdef")
    assert (command.recipient_sealed, command.code_holder) == (b"sealed", CodeHolder.PROVIDER)
    assert command.send_by_at == made.now_ms + 35_000
    assert command.code_sealed is not None
    typed = RING.open(command.code_sealed, verification_id="v1", field="code", record="CodeCheck")
    assert typed == b"123456", "as a provider understands it"
    (emit,) = [emit for emit in made.emits if emit.topic == topics.PROVIDER_CHECKS]
    assert emit.key == b"v1"
    assert ("provider", b"bird") in emit.headers


def test_the_command_of_a_bulk_verification_says_in_which_lane_its_answer_is_waited_for(world: World) -> None:
    _begin(world, bulk=True).check("123456")
    assert world.provider_checks()[0].bulk


def test_a_yes_verifies_and_credits_the_attempt_that_was_asked(world: World) -> None:
    _two(world)
    world.check("123456")
    world.judge(False)
    world.judge(True)
    (reply,) = world.replies
    assert (reply.ok, reply.reason, reply.state) == (True, ReplyReason.VALID, State.VERIFIED)
    assert (world.last.state, world.last.verified_attempt_id) == (State.VERIFIED, "v1.1")
    (event,) = world.closing()
    assert (event.kind, event.n, event.provider) == (RoutingKind.VERIFIED, 1, "bird")


def test_the_newest_attempt_is_asked_first_and_one_at_a_time(world: World) -> None:
    _two(world).check("123456")
    assert [command.n for command in world.provider_checks()] == [2]
    world.judge(False)
    assert [command.n for command in world.provider_checks()] == [2, 1]
    assert {command.command_id for command in world.provider_checks()} == {"c1"}
    assert world.replies == []


def test_when_all_say_no_it_is_one_failed_check(world: World) -> None:
    _two(world).check("123456")
    world.judge(False)
    world.judge(False)
    (reply,) = world.replies
    assert (reply.ok, reply.reason, reply.checks_left) == (False, ReplyReason.WRONG_CODE, 2)
    assert world.last.failed_checks == 1


@pytest.mark.parametrize("first", [False, None])
def test_when_one_cannot_be_asked_and_nobody_says_yes_it_is_an_outage_and_not_counted(
    world: World, first: bool | None
) -> None:
    _two(world).check("123456")
    world.judge(first)
    world.judge(None if first is False else False)
    (reply,) = world.replies
    assert (reply.ok, reply.reason, reply.checks_left) == (False, ReplyReason.PROVIDER_UNAVAILABLE, 3)
    assert world.last.failed_checks == 0


def test_a_yes_counts_though_another_provider_is_out(world: World) -> None:
    _two(world).check("123456")
    world.judge(None)
    world.judge(True)
    assert world.last.state is State.VERIFIED


@pytest.mark.parametrize(
    "answer",
    [
        {"result": AttemptResult.ACCEPTED},
        {"result": AttemptResult.IN_DOUBT},
        {"result": AttemptResult.EXPIRED},
        {"result": AttemptResult.REJECTED, "reason": Reason.ACCOUNT_REJECTED},
    ],
)
def test_whatever_is_no_verdict_is_an_outage(made: World, answer: dict[str, Any]) -> None:
    made.check("123456")
    made.judge(None, **answer)
    assert [reply.reason for reply in made.replies] == [ReplyReason.PROVIDER_UNAVAILABLE]


def _second_unanswered(world: World) -> World:
    """A message with a code its provider made, and another of which the provider has not said yet that it took it."""
    world.decide(world.accepted(steps=2, provider="bird", **MADE))
    world.tell(provider="bird", provider_message_id="b-1")
    world.advance(30_000)
    world.route("telesign", **MADE)
    return world


def test_a_message_that_is_accepted_while_a_code_is_judged_is_asked_about_too(world: World) -> None:
    """People type faster than some providers answer."""
    _second_unanswered(world).check("123456")
    world.tell(2, provider="telesign", channel=Channel.VOICE, provider_message_id="t-2")
    world.judge(False)
    assert [command.n for command in world.provider_checks()] == [1, 2]
    world.judge(True)
    assert (world.last.verified_attempt_id, world.last.failed_checks) == ("v1.2", 0)


def test_another_sending_of_the_message_being_asked_about_is_not_asked_about_beside_it(world: World) -> None:
    """Its provider would count two wrong codes where one was typed."""
    world.decide(world.accepted(steps=2, provider="bird", **MADE))
    world.tell(provider="bird", provider_message_id="b-1")
    world.advance(30_000)
    world.route("bird", **MADE)
    world.check("123456")
    world.tell(2, provider="bird", channel=Channel.VOICE, provider_message_id="b-1")
    world.judge(False)
    assert [command.n for command in world.provider_checks()] == [1]
    assert world.replies[-1].reason == ReplyReason.WRONG_CODE


def test_the_same_with_a_code_that_its_provider_tells_with_the_answer(world: World) -> None:
    sealed = RING.seal(b"73219", verification_id="v1", field="code", record="SendResult")
    _second_unanswered(world).check("73219")
    world.tell(2, provider="telesign", code_sealed=sealed)
    world.judge(False)
    assert (world.last.verified_attempt_id, world.last.failed_checks) == ("v1.2", 0)


def test_our_own_code_is_compared_first_and_asks_nobody(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.route("bird", **MADE)
    world.tell(2, provider="bird", provider_message_id="b-2")
    reply = world.check(world.code)
    assert reply is not None
    assert reply.ok
    assert world.provider_checks() == []
    assert world.last.verified_attempt_id == "v1.1", "the other message carried another code"


def test_nobody_is_asked_for_what_can_be_no_code(made: World) -> None:
    for i, typed in enumerate(("", "../../cancel", "<b>")):
        reply = made.check(typed, f"c{i}")
        assert reply is not None
        assert reply.reason == ReplyReason.WRONG_CODE
    assert made.provider_checks() == []


@pytest.mark.parametrize("result", [AttemptResult.REJECTED, AttemptResult.NOT_SENT, AttemptResult.EXPIRED])
def test_an_attempt_that_was_never_accepted_is_not_asked(world: World, result: AttemptResult) -> None:
    world.decide(world.accepted(steps=2, provider="bird", **MADE))
    world.tell(result=result, provider="bird")
    reply = world.check("123456")
    assert reply is not None
    assert reply.reason == ReplyReason.WRONG_CODE
    assert world.provider_checks() == []


def test_a_message_the_provider_gave_up_is_not_asked_about(made: World) -> None:
    made.report(status=AttemptStatus.EXPIRED, provider="bird")
    made.check("123456")
    assert made.provider_checks() == []


def test_a_delivery_proves_that_the_provider_took_it_though_its_answer_is_not_read(world: World) -> None:
    world.decide(world.accepted(provider="bird", **MADE))
    world.report(provider="bird")
    world.check("123456")
    assert [command.n for command in world.provider_checks()] == [1]


@pytest.mark.parametrize("result", [None, AttemptResult.IN_DOUBT])
def test_a_code_is_not_called_wrong_while_nobody_can_tell_what_is_right(
    world: World, result: AttemptResult | None
) -> None:
    """After a stop the check may be read before the answer to the send; and an answer may be lost for good."""
    world.decide(world.accepted(provider="bird", **MADE))
    if result is not None:
        world.tell(result=result, provider="bird")
    reply = world.check("123456")
    assert reply is not None
    assert (reply.reason, reply.checks_left) == (ReplyReason.PROVIDER_UNAVAILABLE, 3)


def test_it_is_wrong_as_soon_as_somebody_can_tell(world: World) -> None:
    """Else a message in doubt would make every guess at the code of another one free."""
    world.decide(world.accepted(steps=2, provider="bird", **MADE))
    world.tell(result=AttemptResult.IN_DOUBT, provider="bird")
    world.advance(30_000)
    world.route("ycloud")
    world.tell(2)
    reply = world.check(world.wrong)
    assert reply is not None
    assert reply.reason == ReplyReason.WRONG_CODE


@pytest.mark.parametrize("first", [AttemptResult.NOT_SENT, AttemptResult.REJECTED])
@pytest.mark.parametrize("second", [None, AttemptResult.IN_DOUBT])
def test_nobody_can_tell_either_when_the_message_with_our_code_never_left(
    world: World, first: AttemptResult, second: AttemptResult | None
) -> None:
    world.decide(world.accepted())
    world.tell(result=first)
    world.route("bird", **MADE)
    if second is not None:
        world.tell(2, provider="bird", result=second)
    reply = world.check("123456")
    assert reply is not None
    assert (reply.reason, reply.checks_left) == (ReplyReason.PROVIDER_UNAVAILABLE, 3)


def test_a_code_the_provider_told_us_is_compared_here(world: World) -> None:
    sealed = RING.seal(b"73219", verification_id="v1", field="code", record="SendResult")
    world.decide(world.accepted(provider="bird", **MADE))
    world.tell(provider="bird", provider_message_id="b-1", code_holder=CodeHolder.PROVIDER, code_sealed=sealed)
    wrong, right = world.check("73210", "c1"), world.check("73219", "c2")
    assert wrong is not None
    assert right is not None
    assert (wrong.reason, right.reason) == (ReplyReason.WRONG_CODE, ReplyReason.VALID)
    assert world.provider_checks() == []
    assert world.last.verified_attempt_id == "v1.1"


def test_a_code_told_with_a_refusal_opens_nothing(world: World) -> None:
    sealed = RING.seal(b"73219", verification_id="v1", field="code", record="SendResult")
    world.decide(world.accepted(steps=2, provider="bird", **MADE))
    world.reject(provider="bird", code_sealed=sealed)
    reply = world.check("73219")
    assert reply is not None
    assert not reply.ok


def test_one_check_is_outstanding_and_the_others_wait_in_the_order_they_were_written(made: World) -> None:
    made.check("111111", "c1", at_ms=T0 + 10)
    made.check("333333", "c3", at_ms=T0 + 30)
    made.check("222222", "c2", at_ms=T0 + 20)
    assert [command.command_id for command in made.provider_checks()] == ["c1"]
    made.judge(False)
    made.judge(False)
    made.judge(True)
    assert [(reply.request_id, reply.ok) for reply in made.replies] == [("c1", False), ("c2", False), ("c3", True)]


def test_also_a_check_of_our_own_code_waits_its_turn(made: World) -> None:
    made.check("111111", "c1")
    assert made.check(made.code, "c2") is None
    made.judge(False)
    assert [reply.request_id for reply in made.replies] == ["c1", "c2"]
    assert made.replies[-1].ok


def test_each_check_that_waits_reserves_one_of_those_left(made: World) -> None:
    for i in range(5):
        made.check(f"11111{i}", f"c{i}")
    turned_away = [reply for reply in made.replies if reply.reason == ReplyReason.TOO_MANY_CHECKS]
    assert [reply.request_id for reply in turned_away] == ["c3", "c4"]
    assert {(reply.state, reply.checks_left) for reply in turned_away} == {(State.SENT, 3)}
    for _ in range(3):
        made.judge(False)
    assert [made.provider_checks()[i].command_id for i in range(3)] == ["c0", "c1", "c2"]
    assert (made.last.state, made.last.reason) == (State.FAILED, Reason.CHECKS_EXHAUSTED)


def test_no_more_than_three_wait_however_many_checks_are_left(world: World) -> None:
    _begin(world, max_checks=10, checks_allowed=10)
    for i in range(6):
        world.check(f"11111{i}", f"c{i}")
    assert [reply.request_id for reply in world.replies] == ["c4", "c5"]
    assert len(world.state[b"v1"].waiting) == 3


def test_a_check_written_earlier_takes_the_place_of_one_written_later(made: World) -> None:
    for i in range(3):
        made.check(f"11111{i}", f"c{i}", at_ms=T0 + 500 + i)
    made.check("222222", "forwarded", at_ms=T0 + 100)
    assert [(reply.request_id, reply.reason) for reply in made.replies] == [("c2", ReplyReason.TOO_MANY_CHECKS)]


def test_checks_that_waited_for_the_decision_are_held_to_the_same_limit(world: World) -> None:
    for i in range(6):
        world.check(f"11111{i}", f"c{i}")
    world.tell(provider="bird", provider_message_id="b-1")
    world.decide(world.accepted(provider="bird", **MADE))
    assert [command.command_id for command in world.provider_checks()] == ["c0"]
    assert sorted(_replies(world)) == ["c3", "c4", "c5"]


def test_a_check_that_is_too_late_is_told_so_at_once_and_takes_no_place(made: World) -> None:
    made.check("111111", "c1")
    for i in range(5):
        reply = made.check("222222", f"late{i}", at_ms=T0 + 300_001)
        assert reply is not None
        assert reply.reason == ReplyReason.EXPIRED
    assert made.check("222222", "c2") is None


@pytest.mark.parametrize("tenant", [None, "default"])
def test_a_repeated_check_is_asked_once_answered_alike_and_counted_once(made: World, tenant: str | None) -> None:
    made.check("111111", "c1")
    assert made.check("111111", "c1", tenant=tenant) is None
    made.judge(False)
    first = made.replies[-1]
    assert made.check("111111", "c1", tenant=tenant) == first
    made.judge(False, made.provider_checks()[0])
    assert len(made.provider_checks()) == 1
    assert made.last.failed_checks == 1
    assert made.counted("checks_total") == 1


def test_a_check_repeated_after_the_expiry_gets_the_answer_that_is_coming_to_the_first(
    made: World,
) -> None:
    made.now_ms = T0 + 310_000
    made.check("123456", at_ms=T0 + 300_000)
    assert made.check("123456") is None
    made.judge(True)
    assert [reply.reason for reply in made.replies] == [ReplyReason.VALID]
    assert made.last.state is State.VERIFIED


def test_of_one_id_told_apart_by_tenant_no_two_answers_come(world: World) -> None:
    for tenant in (None, "default", "shop"):
        world.check("111111", "c1", tenant=tenant)
    for i in range(2, 6):
        world.check("111111", f"c{i}", tenant="default")
    world.tell(provider="bird", provider_message_id="b-1")
    world.decide(world.accepted(provider="bird", **MADE))
    world.judge(True)
    own = [reply for reply in world.replies if reply.request_id == "c1" and reply.state is not State.UNKNOWN]
    assert [reply.reason for reply in own] == [ReplyReason.VALID]


def test_another_tenants_check_waits_for_no_provider(made: World) -> None:
    made.check("111111", "c1")
    reply = made.check("111111", "c1", tenant="shop")
    assert reply is not None
    assert reply.reason == ReplyReason.UNKNOWN_VERIFICATION


def test_the_answer_to_an_earlier_check_changes_nothing(made: World) -> None:
    made.check("111111", "c1")
    made.judge(False)
    made.check("222222", "c2")
    before = made.state[b"v1"]
    made.judge(True, made.provider_checks()[0])
    made.judge(True, made.provider_checks()[1], decision_id="bb")
    assert made.state[b"v1"] == before
    assert len(made.replies) == 1


def test_an_answer_nobody_asked_for_changes_nothing(world: World) -> None:
    command = _begin(make_world())
    command.check("111111")
    asked = command.provider_checks()[0]
    world.judge(True, asked)
    assert not world.state
    _begin(world)
    world.judge(True, asked)
    assert world.last.state is State.SENT


def test_no_answer_in_time_is_an_outage(made: World) -> None:
    made.check("111111")
    made.advance(34_999)
    assert made.replies == []
    made.advance(1)
    assert [reply.reason for reply in made.replies] == [ReplyReason.PROVIDER_UNAVAILABLE]
    made.judge(True)
    assert made.last.state is State.SENT, "the person was told that it failed"


def test_how_long_a_provider_has_is_a_setting() -> None:
    world = _begin(make_world(provider_check_s=5))
    world.check("111111")
    world.advance(5_000)
    assert len(world.replies) == 1


def test_when_one_does_not_answer_the_next_is_asked_and_a_late_yes_still_counts(world: World) -> None:
    _two(world).check("123456")
    world.advance(35_000)
    assert [command.n for command in world.provider_checks()] == [2, 1]
    world.judge(False, world.provider_checks()[0])
    assert world.replies == [], "a late no is none: the other one is still being asked"
    world.judge(True, world.provider_checks()[0])
    assert (world.last.state, world.last.verified_attempt_id) == (State.VERIFIED, "v1.2")


def test_verified_already_is_a_yes_for_the_very_code_whose_answer_was_lost(made: World) -> None:
    made.check("123456", "c1")
    made.judge(None, result=AttemptResult.IN_DOUBT)
    made.check(" 123-456 ", "c2")
    made.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    assert [reply.reason for reply in made.replies] == [ReplyReason.PROVIDER_UNAVAILABLE, ReplyReason.VALID]


def test_so_it_is_when_no_answer_came_at_all(made: World) -> None:
    made.check("123456", "c1")
    made.advance(35_000)
    made.check("123456", "c2")
    made.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    assert made.replies[-1].ok


@pytest.mark.parametrize(("first", "reason"), [("in_doubt", "provider_unavailable"), ("not_sent", "wrong_code")])
def test_a_no_to_the_very_code_whose_answer_was_lost_is_no_verdict(made: World, first: str, reason: str) -> None:
    """The lost answer may have been its yes, and a provider that does not say "already" calls a used code wrong."""
    made.check("123456", "c1")
    made.judge(None, result=AttemptResult(first))
    made.check("123456", "c2")
    made.judge(False)
    assert made.replies[-1].reason == reason
    made.check("123457", "c3")
    made.judge(False)
    assert made.replies[-1].reason == ReplyReason.WRONG_CODE


@pytest.mark.parametrize("first", [AttemptResult.IN_DOUBT, AttemptResult.NOT_SENT])
def test_verified_already_is_a_no_for_any_other_code(made: World, first: AttemptResult) -> None:
    made.check("123456", "c1")
    made.judge(None, result=first)
    made.check("123456" if first is AttemptResult.NOT_SENT else "123457", "c2")
    made.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    assert made.replies[-1].reason == ReplyReason.WRONG_CODE


def test_verified_already_is_no_verdict_on_two_codes_whose_answers_were_lost(made: World) -> None:
    """One of them was right, nobody knows which: a yes to both would let in whoever guessed the other one."""
    for n, typed in enumerate(("123456", "654321")):
        made.check(typed, f"lost{n}")
        made.judge(None, result=AttemptResult.IN_DOUBT)
    for n, typed in enumerate(("123456", "654321", "111111")):
        made.check(typed, f"again{n}")
        made.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    away, wrong = ReplyReason.PROVIDER_UNAVAILABLE, ReplyReason.WRONG_CODE
    assert [reply.reason for reply in made.replies] == [away, away, away, away, wrong]


def test_a_code_in_doubt_at_another_message_leaves_verified_already_a_yes(world: World) -> None:
    _two(world).check("654321", "c1")
    world.judge(None, result=AttemptResult.IN_DOUBT)
    world.judge(False)
    world.check("123456", "c2")
    world.judge(False)
    world.judge(None, result=AttemptResult.IN_DOUBT)
    world.check("123456", "c3")
    world.judge(False)
    world.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    assert world.last.verified_attempt_id == "v1.1"


def test_verified_already_at_another_message_is_a_no(world: World) -> None:
    _two(world).check("123456", "c1")
    world.judge(None, result=AttemptResult.IN_DOUBT)
    world.judge(False)
    world.check("123456", "c2")
    world.judge(False)
    world.judge(None, result=AttemptResult.ACCEPTED, already_verified=True)
    assert not world.replies[-1].ok


def test_a_check_in_time_is_valid_though_its_provider_answers_after_the_end(made: World) -> None:
    made.advance_to(T0 + 300_000)
    made.check("123456")
    made.advance(34_999)
    assert not made.last.is_final
    made.judge(True)
    assert (made.last.state, made.last.verified_at) == (State.VERIFIED, T0 + 300_000)


def test_so_is_each_of_those_that_waited_behind_it(made: World) -> None:
    made.advance_to(T0 + 300_000)
    made.check("111111", "c1")
    made.check("222222", "c2")
    made.advance(35_000)
    assert [command.command_id for command in made.provider_checks()] == ["c1", "c2"]
    made.judge(True)
    assert _replies(made)["c2"].ok


def test_the_end_waits_no_longer_than_the_check(made: World) -> None:
    made.advance_to(T0 + 300_000)
    made.check("123456")
    made.advance(35_000 + GRACE_MS)
    assert (made.last.state, made.last.reason) == (State.EXPIRED, Reason.EXPIRED)
    assert [reply.reason for reply in made.replies] == [ReplyReason.PROVIDER_UNAVAILABLE]


def test_a_cancel_answers_the_check_that_is_outstanding_and_those_behind_it(made: World) -> None:
    made.check("123456", "c1")
    made.check("123457", "c2")
    made.command(CommandAction.CANCEL)
    replies = _replies(made)
    assert (replies["c1"].reason, replies["c2"].reason) == (ReplyReason.NOT_ACTIVE, ReplyReason.NOT_ACTIVE)
    made.judge(True)
    assert made.last.state is State.CANCELED
    assert made.check("123456", "c1") == replies["c1"]


def test_a_failure_waits_for_the_code_that_is_being_judged(made: World) -> None:
    """Networks report "undelivered" first and deliver on a later try; somebody seems to have read the message."""
    made.check("123456")
    made.report(status=AttemptStatus.UNDELIVERED, provider="bird")
    made.no_route()
    assert not made.last.is_final
    made.judge(True)
    assert made.last.state is State.VERIFIED


def test_after_the_no_it_fails(made: World) -> None:
    made.check("123456")
    made.report(status=AttemptStatus.UNDELIVERED, provider="bird")
    made.no_route()
    made.judge(False)
    assert (made.last.state, made.last.reason) == (State.FAILED, Reason.UNDELIVERED)
    assert made.replies[-1].reason == ReplyReason.WRONG_CODE


def test_a_second_right_answer_is_refused_by_the_provider_as_by_us(made: World) -> None:
    made.check("123456", "c1")
    made.check("123456", "c2")
    made.judge(True)
    reasons = [reply.reason for reply in made.replies]
    assert reasons == [ReplyReason.VALID, ReplyReason.ALREADY_VERIFIED]
    assert len(made.provider_checks()) == 1


def test_an_outage_is_no_way_to_try_every_code(made: World) -> None:
    for i in range(UNJUDGED_CODES):
        made.check(f"5555{i:02}", f"c{i}")
        made.judge(None)
    reply = made.check(made.code, "one more")
    assert reply is not None
    assert (reply.ok, reply.reason, reply.checks_left) == (False, ReplyReason.TOO_MANY_CHECKS, 3)
    for i in range(20):  # while a person may try the same right code until the provider is back
        made.check("555500", f"again{i}")
        made.judge(None)
    made.check("555500", "at last")
    made.judge(True)
    assert made.last.state is State.VERIFIED


def test_the_typed_code_rests_sealed_and_leaves_no_hash_that_can_be_tried(made: World) -> None:
    made.check("918273")
    waiting = made.stage.encode(made.state[b"v1"])
    made.judge(None, result=AttemptResult.IN_DOUBT)
    state = made.state[b"v1"]
    assert (len(state.doubtful_codes), len(state.unjudged_codes)) == (1, 1)
    for data in (waiting, made.stage.encode(state), repr(state).encode(), *(emit.value or b"" for emit in made.emits)):
        assert b"918273" not in data


def test_a_quarantine_answers_the_outstanding_check_too(made: World) -> None:
    made.check("123456")
    made.apply(made.stage.quarantine(b"v1", made.state, made.now_ms))
    assert [reply.reason for reply in made.replies] == [ReplyReason.NOT_ACTIVE]
