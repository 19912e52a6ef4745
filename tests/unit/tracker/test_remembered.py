"""The same id gets the same reply while the verification is remembered, when its repetition would change anything."""

from __future__ import annotations

import pytest

from pipeline.model.limits import EFFECTS_KEPT, REPLIES_KEPT
from pipeline.model.reasons import ReplyReason
from pipeline.records.types import CommandAction, VerificationState
from tests.unit.tracker.world import T0, World, make_world

MANY = 5 * REPLIES_KEPT
LATE = T0 + 300_001


def test_a_wrong_code_is_counted_once_whatever_was_refused_since(sent: World) -> None:
    first = sent.check(sent.wrong, "c1")
    for i in range(MANY):
        refused = sent.check(sent.wrong, f"late{i}", at_ms=LATE)
        assert refused is not None
        assert refused.reason == ReplyReason.EXPIRED
    assert sent.check(sent.wrong, "c1") == first
    assert sent.last.failed_checks == 1


def test_each_of_as_many_wrong_codes_as_any_verification_allows_is_counted_once(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(max_checks=10, checks_allowed=10)))
    world.tell()
    first = [world.check(world.wrong, f"c{i}") for i in range(9)]
    for i in range(MANY):
        world.check(world.wrong, f"late{i}", at_ms=LATE)
    first.append(world.check(world.code, "c9"))
    for i in range(MANY):
        refused = world.check(world.code, f"after{i}")
        assert refused is not None
        assert refused.reason == ReplyReason.ALREADY_VERIFIED
    assert [world.check(world.code, f"c{i}") for i in range(10)] == first
    assert (world.last.state, world.last.failed_checks) == (VerificationState.VERIFIED, 9)


@pytest.mark.parametrize("action", [CommandAction.RESEND, CommandAction.FAILOVER])
def test_a_command_is_carried_out_once_whatever_was_refused_since(action: CommandAction) -> None:
    world = make_world()
    world.decide(world.accepted())
    world.tell()
    world.advance(31_000)
    first = world.command(action, "m1", step_index=0)
    assert first is not None
    assert first.ok
    world.route("neutrino")
    world.tell(2, provider="neutrino")
    for i in range(MANY):
        refused = world.command(CommandAction.RESEND, f"after{i}", step_index=7)
        assert refused is not None
        assert refused.reason == ReplyReason.NO_SUCH_STEP
    world.advance(200_000)
    assert world.command(action, "m1", step_index=0) == first
    assert len(world.asked()) == 1


def test_what_is_remembered_is_bounded_all_the_same(sent: World) -> None:
    """Failovers that join the one under way are accepted without end."""
    for i in range(2 * EFFECTS_KEPT):
        reply = sent.command(CommandAction.FAILOVER, f"m{i}", step_index=0)
        assert reply is not None
        assert reply.ok
        sent.command(CommandAction.RESEND, f"no{i}", step_index=7)
    kept = [reply.ok for reply in sent.state[b"v1"].replies]
    assert (kept.count(True), kept.count(False)) == (EFFECTS_KEPT, REPLIES_KEPT)


def test_the_first_of_as_many_resends_as_settings_allow_is_still_answered_alike() -> None:
    world = make_world(max_attempts_total=50, max_resends=50, resend_cooldown_s=[1])
    world.decide(world.accepted(plan=world.plan(1, expires_in_s=3_600)))
    world.tell()
    world.advance(2_000)
    first = world.command(CommandAction.RESEND, "m0", step_index=0)
    for n in range(2, 51):
        world.route("neutrino")
        world.tell(n, provider="neutrino")
        world.advance(1_500)
        world.command(CommandAction.RESEND, f"m{n}", step_index=0)
    asked = len(world.asked())
    assert asked == 49
    assert world.command(CommandAction.RESEND, "m0", step_index=0) == first
    assert len(world.asked()) == asked
