"""How long a code lives is no matter of a clock that is wrong."""

from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.model.reasons import ReplyReason
from pipeline.records.internal import Decision, SendResult
from pipeline.records.types import AttemptResult
from tests.unit.tracker.world import T0, World

LIFE_MS = 300_000
QUEUED_MS, CALL_MS = 1_000, 200


def _sent_by_a_clock_that_is(world: World, wrong_ms: int, *, early: bool = False, asked_ahead_ms: int = 0) -> int:
    """Send one message a second after it was asked for; the code's end as it is told then."""
    decided = world.accepted(plan=world.plan(requested_at=T0 + asked_ahead_ms, queue_deadline_at=T0 + 10 * LIFE_MS))
    if not early:
        world.decide(decided)
    world.advance(QUEUED_MS + CALL_MS)
    world.tell(called_at=T0 + QUEUED_MS + wrong_ms, finished_at=world.now_ms + wrong_ms)
    if early:
        world.decide(decided)
    return world.last.expires_at


@pytest.mark.parametrize("early", [False, True], ids=["its decision read before", "its decision read after"])
@pytest.mark.parametrize("wrong_ms", [-LIFE_MS, -1_001, 0, 201, LIFE_MS])
def test_a_code_lives_from_its_call_whatever_its_sender_takes_for_the_time(
    world: World, wrong_ms: int, early: bool
) -> None:
    """Within the time between the request and the answer's record, which is all that anybody else knows of the call."""
    ends_at = _sent_by_a_clock_that_is(world, wrong_ms, early=early)
    assert T0 + LIFE_MS <= ends_at <= T0 + QUEUED_MS + CALL_MS + LIFE_MS
    if wrong_ms == 0:
        assert ends_at == T0 + QUEUED_MS + LIFE_MS


@pytest.mark.parametrize("early", [False, True], ids=["its decision read before", "its decision read after"])
@pytest.mark.parametrize("wrong_ms", [-LIFE_MS, LIFE_MS])
def test_a_code_lives_from_its_call_whatever_its_tracker_takes_for_the_time(
    world: World, wrong_ms: int, early: bool
) -> None:
    called_at, told_at = T0 + QUEUED_MS, T0 + QUEUED_MS + CALL_MS
    decided = world.accepted(plan=world.plan(requested_at=T0, queue_deadline_at=T0 + 10 * LIFE_MS))
    # By its sender's fast clock, so that when it was written is all there is.
    answer = world.result(1, AttemptResult.ACCEPTED, called_at=called_at + LIFE_MS, finished_at=told_at + LIFE_MS)
    inputs: list[tuple[str, Decision | SendResult, int]] = [
        (topics.DECISIONS, decided, T0),
        (topics.RESULTS, answer, told_at),
    ]
    world.now_ms = told_at + wrong_ms
    for topic, record, at_ms in reversed(inputs) if early else inputs:
        world.give(topic, record, at_ms=at_ms)
    assert world.last.expires_at == told_at + LIFE_MS


def test_a_code_typed_in_time_is_valid_though_its_sender_is_five_minutes_slow(world: World) -> None:
    _sent_by_a_clock_that_is(world, -LIFE_MS)
    world.advance(LIFE_MS - QUEUED_MS - CALL_MS - 1)
    reply = world.check(world.code)
    assert reply is not None
    assert reply.reason == ReplyReason.VALID


def test_a_code_typed_too_late_is_expired_though_its_sender_is_five_minutes_fast(world: World) -> None:
    _sent_by_a_clock_that_is(world, LIFE_MS)
    world.advance(LIFE_MS + 1)
    reply = world.check(world.code)
    assert reply is not None
    assert reply.reason == ReplyReason.EXPIRED


def test_a_caller_whose_clock_is_fast_lets_no_code_live_longer(world: World) -> None:
    ends_at = _sent_by_a_clock_that_is(world, 0, asked_ahead_ms=LIFE_MS)
    assert ends_at <= T0 + QUEUED_MS + CALL_MS + LIFE_MS
