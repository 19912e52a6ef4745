"""Checks and commands from a wrong partition in the last moments: the end waits for their way, and for nothing else."""

from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.model.reasons import Reason, ReplyReason
from pipeline.records.public import CodeCheck, Command
from pipeline.records.types import AttemptStatus, CommandAction, VerificationState
from pipeline.runtime.api import Record
from tests.unit.tracker.world import GRACE_MS, PARTITIONS, T0, World, make_world

State = VerificationState
END = T0 + 300_000


def _passed_on(world: World, request: CodeCheck | Command, written_at: int) -> Record:
    """What a task that owns another partition makes of it, not yet read by the verification's own."""
    elsewhere = make_world()
    topic = topics.CHECKS if isinstance(request, CodeCheck) else topics.COMMANDS
    elsewhere.give(topic, request, at_ms=written_at, partition=(world.partition + 1) % PARTITIONS)
    (emit,) = elsewhere.emits
    assert (emit.topic, emit.partition) == (topics.TRACKER_INBOX, world.partition)
    return Record(emit.topic, world.partition, 0, written_at + 100, emit.key, emit.value)


def _check(world: World, written_at: int) -> Record:
    return _passed_on(world, CodeCheck(check_id="c1", verification_id="v1", code=world.code), written_at)


@pytest.mark.parametrize("way_ms", [1, 100, GRACE_MS])
def test_a_check_in_time_is_judged_when_it_arrives_after_the_end_by_the_way_it_took(sent: World, way_ms: int) -> None:
    check = _check(sent, END)
    sent.advance_to(END + way_ms)
    sent.handle(check)
    assert [reply.reason for reply in sent.replies] == [ReplyReason.VALID]
    assert (sent.last.state, sent.last.verified_at) == (State.VERIFIED, END)
    sent.advance(10 * GRACE_MS)
    assert [outcome.state for outcome in sent.outcomes if outcome.is_final] == [State.VERIFIED]


def test_a_check_that_was_late_is_so_although_the_end_is_not_told_yet(sent: World) -> None:
    check = _check(sent, END + 1)
    sent.advance_to(END + 100)
    sent.handle(check)
    assert sent.check(sent.code, "c2") is not None, "nor is one in the right partition in time"
    assert [reply.reason for reply in sent.replies] == [ReplyReason.EXPIRED] * 2
    assert sent.last.failed_checks == 0
    sent.advance_to(END + 1 + GRACE_MS)
    assert (sent.last.state, sent.last.reason) == (State.EXPIRED, Reason.EXPIRED)


def test_one_that_takes_longer_than_the_grace_finds_the_end(sent: World) -> None:
    """The limit that is told: the task of that partition was away, or far behind."""
    check = _check(sent, END)
    sent.advance_to(END + GRACE_MS + 1)
    sent.handle(check)
    assert [reply.reason for reply in sent.replies] == [ReplyReason.EXPIRED]


def test_without_grace_the_end_is_told_at_once() -> None:
    world = make_world(misplaced_grace_ms=0)
    world.decide(world.accepted())
    world.tell()
    world.now_ms = T0 + 3_600_000
    world.advance(0)
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)


@pytest.mark.parametrize("away_until", [END + GRACE_MS + 300, T0 + 3_600_000])
def test_when_nobody_looked_at_the_end_the_way_begins_when_somebody_does(sent: World, away_until: int) -> None:
    """Nor did anybody pass it on then: all tasks were away, be it for a moment more than the grace."""
    check = _check(sent, END)
    sent.now_ms = away_until
    sent.fire_due()
    sent.advance(GRACE_MS - 1)
    sent.handle(check)
    assert [reply.reason for reply in sent.replies] == [ReplyReason.VALID]


def test_a_cancel_in_time_cancels_when_it_arrives(sent: World) -> None:
    cancel = _passed_on(sent, Command(command_id="m1", verification_id="v1", action=CommandAction.CANCEL), END)
    sent.advance_to(END + 100)
    sent.handle(cancel)
    assert (sent.last.state, sent.replies[-1].reason) == (State.CANCELED, ReplyReason.ACCEPTED)


@pytest.mark.parametrize("action", [CommandAction.RESEND, CommandAction.FAILOVER])
def test_nothing_is_sent_between_the_end_and_its_telling(action: CommandAction) -> None:
    world = make_world(min_time_left_s=0)
    world.decide(world.accepted(steps=2, plan=world.plan(2, expires_in_s=30)))
    # The step's wait ends with the code's life.
    world.tell()
    world.advance_to(T0 + 30_001)
    reply = world.command(action)
    assert reply is not None
    assert reply.reason == ReplyReason.TOO_LATE_TO_RESEND
    world.report(status=AttemptStatus.UNDELIVERED)
    world.advance(GRACE_MS)
    assert world.asked() == []
    assert (world.last.state, world.last.reason) == (State.EXPIRED, Reason.EXPIRED)
