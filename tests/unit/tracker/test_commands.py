from __future__ import annotations

import pytest

from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.types import (
    AttemptResult,
    AttemptStatus,
    CommandAction,
    CommandKind,
    ResultClass,
    RoutingKind,
    VerificationState,
)
from tests.unit.tracker.world import T0, World, make_world

State = VerificationState


def _steps(world: World, steps: int = 2) -> None:
    world.decide(world.accepted(steps=steps))
    world.tell()


def test_cancel_ends_it_and_nothing_un_ends_it(sent: World) -> None:
    reply = sent.command(CommandAction.CANCEL)
    assert reply is not None
    assert (reply.ok, reply.reason, reply.state) == (True, ReplyReason.ACCEPTED, State.CANCELED)
    assert (sent.last.state, sent.last.reason) == (State.CANCELED, Reason.CANCELED_BY_CALLER)
    assert [event.kind for event in sent.closing()] == [RoutingKind.CLOSED]
    assert sent.counted("conversion_matured_total", converted="canceled") == 1
    check = sent.check(sent.code)
    assert check is not None
    assert check.reason == ReplyReason.NOT_ACTIVE
    sent.advance(400_000)
    assert sent.last.state is State.CANCELED


def test_cancel_stops_every_timer(world: World) -> None:
    world.decide(world.accepted(steps=3, lookups_s=[3, 20], has_cancel=True))
    world.tell(provider_message_id="m-1")
    world.command(CommandAction.CANCEL)
    written = len(world.emits)
    world.advance(100_000_000)
    assert len(world.emits) == written
    assert [command.kind for command in world.orders(*CommandKind)] == [CommandKind.CANCEL]


def test_cancel_never_un_verifies(sent: World) -> None:
    sent.check(sent.code)
    reply = sent.command(CommandAction.CANCEL)
    assert reply is not None
    assert (reply.ok, reply.reason, reply.state) == (False, ReplyReason.ALREADY_FINAL, State.VERIFIED)


def test_the_same_command_id_is_carried_out_once(world: World) -> None:
    _steps(world)
    first = world.command(CommandAction.FAILOVER)
    world.route("neutrino")
    assert world.command(CommandAction.FAILOVER) == first
    assert len(world.asked()) == 1


def test_failover_starts_the_next_step_at_once(world: World) -> None:
    _steps(world)
    reply = world.command(CommandAction.FAILOVER)
    assert reply is not None
    assert (reply.ok, reply.step_index) == (True, 1)
    assert [(event.step_index, event.n) for event in world.asked()] == [(1, 2)]


def test_failover_to_a_named_step_starts_that_one_at_once(world: World) -> None:
    _steps(world, 3)
    reply = world.command(CommandAction.FAILOVER, step_index=2)
    assert reply is not None
    assert (reply.ok, reply.step_index) == (True, 2)
    assert [(event.step_index, event.n) for event in world.asked()] == [(2, 2)]


def test_failover_also_helps_somebody_who_never_saw_the_delivered_message(world: World) -> None:
    _steps(world)
    world.report()
    world.command(CommandAction.FAILOVER)
    world.route("neutrino")
    assert world.last.state is State.DELIVERED
    assert len(world.last.attempts) == 2


def test_failover_joins_a_route_that_is_outstanding(world: World) -> None:
    _steps(world, 3)
    world.advance(30_000)
    reply = world.command(CommandAction.FAILOVER, step_index=2)
    assert reply is not None
    assert (reply.ok, reply.step_index) == (True, 1)
    assert len(world.asked()) == 1


def test_failover_to_a_named_step_without_route_does_not_wander(world: World) -> None:
    _steps(world, 3)
    world.command(CommandAction.FAILOVER, step_index=2)
    world.no_route()
    assert len(world.asked()) == 1
    world.advance(30_000)
    assert world.asked()[-1].step_index == 1


def test_there_is_nothing_after_the_last_step(world: World) -> None:
    _steps(world, 1)
    reply = world.command(CommandAction.FAILOVER)
    assert reply is not None
    assert reply.reason == ReplyReason.NO_MORE_STEPS


def test_a_step_that_is_not_in_the_plan_is_no_step(world: World) -> None:
    _steps(world)
    for i, step in enumerate((2, -1)):
        reply = world.command(CommandAction.FAILOVER, f"m{i}", step_index=step)
        assert reply is not None
        assert reply.reason == ReplyReason.NO_SUCH_STEP


def test_a_command_of_another_tenant_finds_nothing(sent: World) -> None:
    reply = sent.command(CommandAction.CANCEL, tenant="other")
    assert reply is not None
    assert reply.reason == ReplyReason.UNKNOWN_VERIFICATION
    assert not sent.last.is_final


def test_a_command_for_an_unknown_id_is_answered_once_decisions_are_read(world: World) -> None:
    assert world.command(CommandAction.CANCEL) is None
    world.advance(1_500)
    assert world.replies[-1].reason == ReplyReason.UNKNOWN_VERIFICATION


def test_a_command_that_overtook_its_decision_is_carried_out_with_it(world: World) -> None:
    world.command(CommandAction.CANCEL)
    world.decide(world.accepted())
    assert world.replies[-1].ok
    assert [(each.version, each.state) for each in world.outcomes] == [(1, State.CANCELED)]


def test_an_action_nobody_knows_is_refused(sent: World) -> None:
    reply = sent.command(CommandAction.UNKNOWN)
    assert reply is not None
    assert reply.reason == ReplyReason.INVALID_FIELD


def test_resend_cools_down_longer_each_time_and_ends_after_three(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(expires_in_s=600)))
    world.tell()
    n = 1
    for i, cooldown_s in enumerate((30, 60, 120)):
        early = world.command(CommandAction.RESEND, f"early{i}")
        assert early is not None
        assert (early.reason, early.retry_at) == (ReplyReason.RESEND_TOO_SOON, world.now_ms + cooldown_s * 1_000)
        world.advance(cooldown_s * 1_000)
        reply = world.command(CommandAction.RESEND, f"m{i}")
        assert reply is not None
        assert (reply.ok, reply.step_index) == (True, 0)
        n += 1
        world.route("neutrino")
        world.tell(n, provider="neutrino")
    world.advance(120_000)
    last = world.command(CommandAction.RESEND, "m9")
    assert last is not None
    assert last.reason == ReplyReason.TOO_MANY_RESENDS
    assert world.last.expires_at == T0 + 600_000


def test_resend_takes_another_route_but_rather_the_same_than_none(world: World) -> None:
    _steps(world, 1)
    world.advance(30_000)
    world.command(CommandAction.RESEND)
    assert world.asked()[-1].used_providers == ["ycloud"]
    world.no_route()
    assert [(event.n, event.used_providers) for event in world.asked()] == [(2, ["ycloud"]), (2, [])]
    world.no_route()
    assert len(world.asked()) == 2
    assert not world.last.is_final


def test_resend_waits_for_an_outstanding_route(world: World) -> None:
    _steps(world)
    world.advance(30_000)
    reply = world.command(CommandAction.RESEND)
    assert reply is not None
    assert reply.reason == ReplyReason.RESEND_TOO_SOON


def test_nothing_is_sent_again_with_too_little_time_left(world: World) -> None:
    _steps(world)
    world.report()
    world.advance(285_000)
    for i, action in enumerate((CommandAction.RESEND, CommandAction.FAILOVER)):
        reply = world.command(action, f"m{i}")
        assert reply is not None
        assert reply.reason == ReplyReason.TOO_LATE_TO_RESEND


def test_commands_cannot_pass_the_limit_of_attempts() -> None:
    world = make_world(max_attempts_total=1)
    _steps(world)
    world.report(status=AttemptStatus.DELIVERED)
    world.advance(30_000)
    resend = world.command(CommandAction.RESEND, "m1")
    failover = world.command(CommandAction.FAILOVER, "m2")
    assert resend is not None
    assert failover is not None
    assert (resend.reason, failover.reason) == (ReplyReason.TOO_MANY_RESENDS, ReplyReason.NO_MORE_STEPS)


@pytest.mark.parametrize("action", [CommandAction.RESEND, CommandAction.FAILOVER, CommandAction.CANCEL])
def test_a_command_repeated_after_the_end_gets_its_first_answer(sent: World, action: CommandAction) -> None:
    sent.advance(30_000)
    first = sent.command(action)
    sent.check(sent.code)
    assert sent.command(action) == first


def test_how_long_a_resend_cools_down_and_how_many_there_are_are_settings() -> None:
    world = make_world(resend_cooldown_s=[5, 10], max_resends=4)
    world.decide(world.accepted(plan=world.plan(expires_in_s=600)))
    world.tell()
    for i, cooldown_s in enumerate((5, 10, 10, 10)):
        early = world.command(CommandAction.RESEND, f"early{i}")
        assert early is not None
        assert (early.reason, early.retry_at) == (ReplyReason.RESEND_TOO_SOON, world.now_ms + cooldown_s * 1_000)
        world.advance(cooldown_s * 1_000)
        reply = world.command(CommandAction.RESEND, f"m{i}")
        assert reply is not None
        assert reply.ok
        world.route("neutrino")
        world.tell(i + 2, provider="neutrino")
    world.advance(10_000)
    last = world.command(CommandAction.RESEND, "m9")
    assert last is not None
    assert (last.reason, last.retry_at) == (ReplyReason.TOO_MANY_RESENDS, None)


def test_resends_can_be_switched_off() -> None:
    world = make_world(max_resends=0)
    _steps(world)
    reply = world.command(CommandAction.RESEND)
    assert reply is not None
    assert reply.reason == ReplyReason.TOO_MANY_RESENDS


def test_the_cool_down_counts_from_the_last_call_whoever_asked_for_it(world: World) -> None:
    _steps(world)
    world.advance(20_000)
    world.command(CommandAction.FAILOVER)
    world.route("neutrino")
    world.advance(5_000)
    world.reject(2, provider="neutrino", kind=ResultClass.RECIPIENT, called_at=world.now_ms - 1_000)
    reply = world.command(CommandAction.RESEND, "m2")
    assert reply is not None
    assert (reply.reason, reply.retry_at) == (ReplyReason.RESEND_TOO_SOON, T0 + 24_000 + 30_000)


def test_while_a_call_may_be_running_the_cool_down_begins_with_it(world: World) -> None:
    _steps(world)
    world.advance(40_000)
    assert world.asked()
    for i in range(2):
        reply = world.command(CommandAction.RESEND, f"m{i}")
        assert reply is not None
        assert (reply.reason, reply.retry_at) == (ReplyReason.RESEND_TOO_SOON, world.now_ms + 30_000)
        world.route("neutrino")


def test_the_time_told_is_one_at_which_a_resend_is_to_be_had(sent: World) -> None:
    reply = sent.command(CommandAction.RESEND)
    assert reply is not None
    assert reply.retry_at is not None
    sent.advance_to(reply.retry_at)
    again = sent.command(CommandAction.RESEND, "m2")
    assert again is not None
    assert again.ok


def test_no_time_is_told_when_the_code_ends_before_it(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(expires_in_s=44)))
    world.tell()
    reply = world.command(CommandAction.RESEND)
    assert reply is not None
    assert (reply.reason, reply.retry_at) == (ReplyReason.TOO_LATE_TO_RESEND, None)


def test_a_message_that_was_never_called_cools_nothing_down(world: World) -> None:
    world.decide(world.accepted(2))
    world.tell(1, AttemptResult.NOT_SENT)
    world.no_route()
    world.route("neutrino")
    world.tell(2, AttemptResult.NOT_SENT, provider="neutrino")
    world.no_route("too_late")
    reply = world.command(CommandAction.RESEND)
    assert reply is not None
    assert reply.ok
