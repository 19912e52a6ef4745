from __future__ import annotations

import msgspec
import pytest

from pipeline import topics
from pipeline.model.reasons import Reason
from pipeline.records.internal import Decision, RoutingEvent, SendCommand
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    Channel,
    CommandAction,
    CommandKind,
    DecisionKind,
    ResultClass,
    VerificationState,
)
from tests.unit.tracker.world import CODEC, GRACE_MS, T0, World, make_world

State = VerificationState


def test_a_rejected_attempt_moves_on_at_once_to_another_provider_of_its_step(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.reject()
    (asked,) = world.asked()
    assert (asked.step_index, asked.n, asked.used_providers) == (0, 2, ["ycloud"])
    assert (asked.decision_id, asked.sent_at) == ("aa" * 16, T0)
    assert asked.plan is not None


def test_the_router_is_told_which_steps_attempts_stand_for_already(world: World) -> None:
    world.decide(world.accepted(steps=4))
    world.reject()
    assert world.asked()[-1].last_step == 0
    world.route("thundersms", last_step=2)
    world.tell(2, AttemptResult.NOT_SENT, reason=Reason.ROUTE_UNAVAILABLE)
    asked = world.asked()[-1]
    assert (asked.n, asked.last_step) == (3, 2)


def test_a_rejected_recipient_moves_on_to_the_next_step(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.reject(kind=ResultClass.RECIPIENT)
    (asked,) = world.asked()
    assert (asked.step_index, asked.used_providers) == (1, [])
    assert [emit.partition for emit in world.emits if "router-inbox" in emit.topic] == [1]


def test_a_receipt_that_blames_the_recipient_moves_on_to_the_next_step_too(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.report(status=AttemptStatus.FAILED, reason=Reason.RECIPIENT_BLOCKED)
    assert [event.step_index for event in world.asked()] == [1]


def test_an_undelivered_message_moves_on_at_once(world: World) -> None:
    world.decide(world.accepted())
    world.tell()
    world.report(status=AttemptStatus.UNDELIVERED)
    assert [event.used_providers for event in world.asked()] == [["ycloud"]]


def test_a_message_never_sent_moves_on_and_starts_no_life(world: World) -> None:
    world.decide(world.accepted())
    world.tell(result=AttemptResult.NOT_SENT, reason=Reason.ROUTE_UNAVAILABLE)
    (asked,) = world.asked()
    assert (asked.sent_at, asked.valid_until_at, asked.send_by_at) == (None, 0, T0 + 300_000)
    assert world.last.attempts[0].reason == Reason.ROUTE_UNAVAILABLE


def test_after_a_call_the_next_route_gets_what_is_left_of_the_life(world: World) -> None:
    world.decide(world.accepted())
    world.reject()
    (asked,) = world.asked()
    assert (asked.valid_until_at, asked.send_by_at) == (T0 + 300_000, T0 + 285_000)


def test_an_attempt_in_doubt_waits_for_its_receipt(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell(result=AttemptResult.IN_DOUBT)
    assert world.asked() == []
    assert world.last.state is State.PENDING
    world.report(status=AttemptStatus.UNDELIVERED)
    assert [event.step_index for event in world.asked()] == [0]


def test_an_attempt_in_doubt_waits_no_longer_than_its_step(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell(result=AttemptResult.IN_DOUBT)
    world.advance(29_999)
    assert world.asked() == []
    world.advance(1)
    assert [event.step_index for event in world.asked()] == [1]


def test_doubt_resolved_by_a_look_up_stays_resolved(world: World) -> None:
    world.decide(world.accepted())
    world.tell(result=AttemptResult.IN_DOUBT)
    world.tell(result=AttemptResult.ACCEPTED)
    world.tell(result=AttemptResult.IN_DOUBT)
    assert world.last.attempts[0].result is AttemptResult.ACCEPTED
    assert world.last.state is State.SENT


def test_the_next_step_starts_when_the_wait_is_over(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.advance(10_000)
    world.tell()
    world.advance(29_999)
    assert world.asked() == []
    world.advance(1)
    (asked,) = world.asked()
    assert (asked.step_index, asked.n) == (1, 2)


def test_each_step_waits_as_long_as_it_says(world: World) -> None:
    plan = world.plan(3)
    steps = [msgspec.structs.replace(step, wait_s=wait_s) for step, wait_s in zip(plan.steps, (5, 40, 30), strict=True)]
    world.decide(world.accepted(plan=msgspec.structs.replace(plan, steps=steps)))
    world.tell()
    for n, wait_s in ((2, 5), (3, 40)):
        world.advance(wait_s * 1_000 - 1)
        assert len(world.asked()) == n - 2
        world.advance(1)
        assert [event.n for event in world.asked()][-1] == n
        world.route("neutrino")
        world.tell(n, provider="neutrino")


def test_without_receipts_the_wait_is_longer(world: World) -> None:
    world.decide(world.accepted(steps=2, provider="neutrino", has_receipts=False))
    world.tell(provider="neutrino", status=AttemptStatus.SENT)
    world.advance(89_999)
    assert world.asked() == []
    world.advance(1)
    assert [event.step_index for event in world.asked()] == [1]


def test_sent_is_no_success_but_delivered_is(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.report(status=AttemptStatus.SENT)
    world.advance(20_000)
    world.report(status=AttemptStatus.DELIVERED)
    world.advance(200_000)
    assert world.asked() == []
    assert world.last.state is State.DELIVERED


def test_at_most_one_route_is_outstanding(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.reject()
    world.report(status=AttemptStatus.UNDELIVERED)
    world.advance(60_000)
    assert len(world.asked()) == 1


def test_an_old_answer_of_the_router_is_not_taken_for_a_new_one(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.reject()
    first = world.asked()[-1]
    world.route("neutrino", first)
    world.route("neutrino", first)
    assert [attempt.attempt_id for attempt in world.last.attempts] == ["v1.1", "v1.2"]
    world.reject(2, provider="neutrino")
    world.no_route(event=first)
    assert len(world.asked()) == 2
    assert world.asked()[-1].used_providers == ["ycloud", "neutrino"]


def test_a_step_without_route_gives_way_to_the_next(world: World) -> None:
    world.decide(world.accepted(steps=3))
    world.reject()
    world.no_route()
    assert [(event.step_index, event.n) for event in world.asked()] == [(0, 2), (1, 2)]
    world.no_route()
    assert [(event.step_index, event.n) for event in world.asked()][-1] == (2, 2)


def test_one_step_fails_with_the_reason_of_its_last_attempt(world: World) -> None:
    world.decide(world.accepted())
    world.reject(reason=Reason.CONTENT_REJECTED)
    world.no_route()
    assert (world.last.state, world.last.reason) == (State.FAILED, Reason.CONTENT_REJECTED)
    assert world.last.is_final


def test_several_steps_fail_as_exhausted(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.reject(kind=ResultClass.RECIPIENT)
    world.route("neutrino")
    world.reject(2, kind=ResultClass.RECIPIENT, provider="neutrino")
    assert (world.last.state, world.last.reason) == (State.FAILED, Reason.STEPS_EXHAUSTED)


def test_an_unrouted_verification_ends_as_the_router_says(world: World) -> None:
    decided = world.accepted()
    world.decide(msgspec.structs.replace(decided, attempt=None))
    world.decide(
        Decision(
            verification_id="v1",
            kind=DecisionKind.UNROUTABLE,
            decision_id=decided.decision_id,
            n=1,
            reason=Reason.RATE_LIMITED_RECIPIENT,
        )
    )
    assert (world.last.state, world.last.reason) == (State.BLOCKED, Reason.RATE_LIMITED_RECIPIENT)


def test_it_stays_open_while_one_attempt_may_still_arrive(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell(result=AttemptResult.IN_DOUBT)
    world.advance(30_000)
    world.route("neutrino")
    world.reject(2, kind=ResultClass.RECIPIENT, provider="neutrino")
    assert not world.last.is_final
    world.report(1, AttemptStatus.UNDELIVERED)
    assert (world.last.state, world.last.reason) == (State.FAILED, Reason.STEPS_EXHAUSTED)


def test_it_expires_when_the_one_in_doubt_never_speaks(world: World) -> None:
    world.decide(world.accepted())
    world.tell(result=AttemptResult.IN_DOUBT)
    world.advance(400_000)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)


def test_the_number_of_attempts_is_bounded() -> None:
    world = make_world(max_attempts_total=3)
    world.decide(world.accepted())
    world.reject()
    for n, provider in ((2, "neutrino"), (3, "bird")):
        world.route(provider)
        world.reject(n, provider=provider)
    assert (world.last.state, world.last.reason) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert len(world.asked()) == 2


def test_a_sender_that_says_too_late_is_not_asked_again(world: World) -> None:
    """Its clock may be ahead of ours; asking on would use up the attempts and end as the wrong thing."""
    world.decide(world.accepted())
    world.advance(299_000)
    world.tell(result=AttemptResult.EXPIRED, finished_at=T0 + 300_001)
    assert world.asked() == []
    world.advance(1_002 + GRACE_MS)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.TOO_LATE)


def test_an_attempt_with_a_deadline_of_its_own_moves_on(world: World) -> None:
    world.decide(world.accepted())
    world.advance(20_000)
    world.tell(result=AttemptResult.EXPIRED)
    assert len(world.asked()) == 1


def test_no_route_is_asked_for_with_too_little_time_left(world: World) -> None:
    world.decide(world.accepted())
    world.tell()
    world.advance(285_000)
    world.report(status=AttemptStatus.UNDELIVERED)
    assert world.asked() == []
    world.advance(15_001 + GRACE_MS)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)


def test_a_route_that_comes_after_the_end_shows_nowhere_but_is_counted(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.check(world.code)
    final = world.last
    world.route("neutrino")
    world.tell(2, provider="neutrino", channel=Channel.VOICE)
    assert world.last == final
    assert world.counted("attempts_total", provider="neutrino", channel="voice") == 1


def test_what_nobody_waits_for_any_more_is_canceled_at_its_sender(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.route("neutrino")
    world.check(world.code)
    (cancel,) = world.out(topics.send(Channel.VOICE), SendCommand)
    assert (cancel.kind, cancel.attempt_id, cancel.provider) == (CommandKind.CANCEL, "v1.2", "neutrino")
    (emit,) = [emit for emit in world.emits if emit.topic == topics.send(Channel.VOICE)]
    assert ("provider", b"neutrino") in emit.headers
    assert world.out(topics.send(Channel.SMS), SendCommand) == [], "what was sent cannot be called back"


def test_a_route_that_comes_after_the_end_is_canceled_too(world: World) -> None:
    world.decide(world.accepted(steps=2, plan=world.plan(2, bulk=True)))
    world.tell()
    world.advance(30_000)
    world.check(world.code)
    event = world.asked()[-1]
    world.route("neutrino", event)
    world.route("neutrino", event)
    (cancel,) = world.out(topics.bulk(topics.send(Channel.VOICE)), SendCommand)
    assert (cancel.attempt_id, cancel.bulk) == ("v1.2", True)


def test_a_route_refused_as_too_late_leaves_it_open_until_it_expires(world: World) -> None:
    world.decide(world.accepted(steps=3))
    world.reject()
    world.no_route(Reason.TOO_LATE)
    assert len(world.asked()) == 1
    assert not world.last.is_final
    world.advance(400_000)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)
    assert len(world.asked()) == 1


def test_steps_the_router_skipped_at_once_are_not_asked_for(world: World) -> None:
    decided = world.accepted(steps=3)
    world.decide(msgspec.structs.replace(decided, attempt=None, step_index=1))
    world.decide(
        Decision(verification_id="v1", kind=DecisionKind.UNROUTABLE, decision_id=decided.decision_id, n=1, step_index=1)
    )
    assert [(event.step_index, event.n) for event in world.asked()] == [(2, 1)]


def test_a_later_attempt_takes_over_as_the_active_step(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.advance(30_000)
    world.route("neutrino")
    last = world.last
    assert (last.step_index, last.channel, last.provider) == (1, Channel.VOICE, "neutrino")
    assert [view.provider for view in last.steps] == ["ycloud", "neutrino"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ResultClass.RECIPIENT, Reason.RECIPIENT_REJECTED),
        (ResultClass.CONTENT, Reason.CONTENT_REJECTED),
        (ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED),
        (ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE),
        (ResultClass.NONE, Reason.PROVIDER_ERROR),
    ],
)
def test_a_rejection_without_a_reason_gets_that_of_its_class(world: World, kind: ResultClass, reason: Reason) -> None:
    world.decide(world.accepted())
    world.reject(kind=kind)
    assert world.last.attempts[0].reason == reason


def test_a_reason_nobody_knows_is_not_published(world: World) -> None:
    world.decide(world.accepted())
    world.reject(reason="mystery 4711")
    assert world.last.attempts[0].reason == Reason.PROVIDER_ERROR


def test_a_first_step_without_route_in_another_partition_names_the_wish(world: World) -> None:
    decided = world.accepted()
    world.decide(msgspec.structs.replace(decided, attempt=None))
    event = RoutingEvent(verification_id="v1", decision_id=decided.decision_id, n=1, step_index=0)
    world.no_route(Reason.UNSUPPORTED_BY_PROVIDER, event, detail="steps[0].text: no provider sends own text")
    assert (world.last.state, world.last.reason) == (State.REJECTED, Reason.UNSUPPORTED_BY_PROVIDER)
    assert world.last.detail == "steps[0].text: no provider sends own text"


def _canceled(world: World) -> list[str]:
    sends = [emit for emit in world.emits if emit.topic.startswith("verification.send.")]
    commands = [CODEC.decode(SendCommand, emit.value, public=False) for emit in sends]
    return [command.attempt_id for command in commands if command.kind is CommandKind.CANCEL]


def test_a_route_asked_for_before_the_delivery_was_known_is_not_sent_on(world: World) -> None:
    """Networks report "undelivered" first and deliver on a later try, while the next route is being found."""
    world.decide(world.accepted(steps=2))
    world.tell()
    world.report(status=AttemptStatus.UNDELIVERED)
    world.report(status=AttemptStatus.DELIVERED)
    world.route("neutrino")
    assert _canceled(world) == ["v1.2"]
    world.tell(2, AttemptResult.NOT_SENT, provider="neutrino")
    assert world.last.state is State.DELIVERED
    assert len(world.asked()) == 1


def test_a_route_whose_call_was_already_answered_is_not_cancelled_any_more(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.report(status=AttemptStatus.UNDELIVERED)
    world.report(status=AttemptStatus.DELIVERED)
    world.tell(2, provider="neutrino")
    world.route("neutrino")
    assert _canceled(world) == []
    assert world.last.attempts[1].result is AttemptResult.ACCEPTED


@pytest.mark.parametrize("asked_first", [True, False])
def test_what_a_caller_was_promised_is_sent_though_an_earlier_message_arrived(world: World, asked_first: bool) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    if asked_first:
        world.command(CommandAction.FAILOVER)
    world.report()
    if not asked_first:
        world.command(CommandAction.FAILOVER)
    world.route("ycloud")
    assert _canceled(world) == []


def test_a_caller_who_asks_for_what_is_under_way_makes_it_a_promise(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.tell()
    world.report(status=AttemptStatus.UNDELIVERED)
    world.command(CommandAction.FAILOVER)
    world.report(status=AttemptStatus.DELIVERED)
    world.route("neutrino")
    assert _canceled(world) == []


def test_a_failure_says_what_became_of_each_attempt(world: World) -> None:
    world.decide(world.accepted())
    world.tell(result=AttemptResult.NOT_SENT, reason=Reason.ROUTE_UNAVAILABLE, detail="unreachable")
    world.route("neutrino")
    world.reject(2, provider="neutrino", reason=Reason.ROUTE_UNAVAILABLE, detail="API error 10")
    world.no_route()
    assert (world.last.state, world.last.reason) == (State.FAILED, Reason.ROUTE_UNAVAILABLE)
    assert world.last.detail == "ycloud sms: unreachable; neutrino sms: API error 10"


def test_a_failure_of_several_steps_says_so_too(world: World) -> None:
    world.decide(world.accepted(steps=2))
    world.reject(kind=ResultClass.RECIPIENT, detail="HTTP 400 PARAM_INVALID (to)")
    world.route("neutrino")
    world.reject(2, kind=ResultClass.RECIPIENT, provider="neutrino")
    assert world.last.reason == Reason.STEPS_EXHAUSTED
    assert world.last.detail == "ycloud sms: HTTP 400 PARAM_INVALID (to)"
