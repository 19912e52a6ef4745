"""What holds of a verification at every moment, whatever was read in whatever order (DESIGN 2, CONTRACTS 2)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec

from pipeline import topics
from pipeline.model import lifecycle
from pipeline.model.reasons import STATE, Reason, ReplyReason
from pipeline.records.internal import RoutingEvent, SendCommand
from pipeline.records.public import Reply, VerificationOutcome
from pipeline.records.types import CommandKind, ReplyKind, RoutingKind, VerificationState
from tests.unit.tracker.world import CODEC, World

LOOKUPS = [3, 20]
"""The longest schedules of look-ups that any attempt of these tests has."""
FINDS = [10]


def hold_invariants(world: World) -> None:
    outcomes: list[VerificationOutcome] = world.outcomes
    assert [outcome.version for outcome in outcomes] == list(range(1, len(outcomes) + 1))
    assert not any(outcome.is_final for outcome in outcomes[:-1]), "a final outcome is the last"
    rank = {state: i for i, state in enumerate(lifecycle.OPEN)}
    for before, after in pairwise(outcomes):
        assert after.state in lifecycle.MOVES[before.state] or after.state is before.state
        assert rank.get(after.state, 9) >= rank.get(before.state, 9)
        assert after.failed_checks >= before.failed_checks
        assert msgspec.structs.replace(after, version=before.version, updated_at=before.updated_at) != before
    for outcome in outcomes:
        assert [attempt.attempt_id for attempt in outcome.attempts] == [
            f"v1.{n}" for n in range(1, len(outcome.attempts) + 1)
        ]
        assert 0 <= outcome.checks_left <= outcome.max_checks
        assert outcome.failed_checks + outcome.checks_left <= outcome.max_checks, "no more are counted than allowed"
        assert outcome.is_final == lifecycle.is_final(outcome.state, outcome.mode)
        if outcome.reason is not None:
            assert STATE[Reason(outcome.reason)] is outcome.state
    assert len(world.closing()) == int(bool(outcomes) and outcomes[-1].is_final)
    hold_what_is_answered(world)
    hold_what_is_asked_of_the_router(world)
    hold_what_is_asked_of_providers(world)


def hold_what_is_answered(world: World) -> None:
    checks = [reply for reply in world.replies if reply.kind is ReplyKind.CHECK]
    right = {reply.request_id for reply in checks if reply.reason == ReplyReason.VALID}
    assert len(right) <= 1
    if world.outcomes:
        assert (world.last.state is VerificationState.VERIFIED) == bool(right), "verified by one right answer"
        wrong = {reply.request_id for reply in checks if reply.reason == ReplyReason.WRONG_CODE}
        assert world.last.failed_checks == len(wrong), "each wrong answer counts once, however often it is written"
    answers: dict[tuple[str, str], set[bytes]] = {}
    for reply in world.replies:
        answers.setdefault((reply.request_id, reply.kind), set()).add(msgspec.json.encode(reply))
    assert all(len(each) == 1 for each in answers.values()), "one request, one answer"


def hold_what_is_asked_of_the_router(world: World) -> None:
    """One route at a time, each for the attempt that is due, and none once it has ended."""
    ended = False
    due = 1
    for emit in world.emits:
        if emit.topic == topics.OUTCOMES:
            outcome = CODEC.decode(VerificationOutcome, emit.value, public=False)
            ended, due = outcome.is_final, len(outcome.attempts) + 1
        elif emit.topic in (topics.ROUTER_INBOX, topics.bulk(topics.ROUTER_INBOX)):
            event = CODEC.decode(RoutingEvent, emit.value, public=False)
            assert not (ended and event.kind is RoutingKind.NEXT_STEP), "nothing is sent after the end"
            # The outcome of the turn in which it is asked is written after it: then it is one behind.
            assert event.kind is not RoutingKind.NEXT_STEP or event.n in (due, due + 1)


def hold_what_is_asked_of_providers(world: World) -> None:
    judged: str | None = None
    for emit in world.emits:
        if emit.topic == topics.PROVIDER_CHECKS:
            command = CODEC.decode(SendCommand, emit.value, public=False)
            assert judged in (None, command.command_id), "one check is outstanding at a time"
            judged = command.command_id
        elif emit.topic == topics.REPLIES:
            reply = CODEC.decode(Reply, emit.value, public=False)
            if reply.kind is ReplyKind.CHECK and reply.request_id == judged:
                judged = None
    reported = [command.attempt_id for command in world.orders(CommandKind.REPORT)]
    verified = [outcome.verified_attempt_id for outcome in world.outcomes[-1:]]
    assert reported in ([], verified), "a success is told once, to the one it came from"
    withdrawn = [each.attempt_id for each in world.orders(CommandKind.CANCEL) if each.provider_message_id]
    assert len(withdrawn) == len(set(withdrawn)), "nothing is withdrawn twice"
    looked_up = Counter(command.attempt_id for command in world.orders(CommandKind.LOOKUP))
    assert all(times <= len(LOOKUPS) + len(FINDS) for times in looked_up.values())
