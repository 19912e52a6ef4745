"""Whatever is written to the public topics, the state of one verification stays small, and replies follow."""

from __future__ import annotations

import pytest

from pipeline import topics
from pipeline.model.keys import seal_public
from pipeline.model.limits import UNKNOWN_ID_WAIT_MS
from pipeline.model.reasons import ReplyReason
from pipeline.records.public import CodeCheck, Command
from pipeline.records.types import AttemptStatus, CommandAction, VerificationState
from pipeline.runtime.partition import partition_for
from tests.unit.tracker.world import PARTITIONS, RING, World

MOST_BYTES = 100_000
"""Of a state entry with a plain plan; the broker takes ten times as much."""
HUGE = "9" * 500_000


def _flood(world: World) -> None:
    """Well-formed records of one id, every free field of them as large as a record can be."""
    sealed = seal_public(RING.public_key(), HUGE, verification_id="v1", field="code", record="CodeCheck")
    for i in range(60):
        wide = f"{i:0>3}" + "\U0001f600" * 125
        for check in (
            CodeCheck(check_id=wide, verification_id="v1", code=HUGE),
            CodeCheck(check_id=f"t{i}", verification_id="v1", code="1", tenant=HUGE),
            CodeCheck(check_id=f"s{i}", verification_id="v1", code_sealed=sealed),
        ):
            world.give(topics.CHECKS, check)
        world.give(
            topics.COMMANDS,
            Command(command_id=wide, verification_id="v1", action=CommandAction.RESEND, tenant=HUGE),
        )
        world.report(1 + i, AttemptStatus.SENT, reason=HUGE)
        world.report(1 + i, AttemptStatus.QUEUED, cost=HUGE, currency=HUGE)
        world.report(1 + i, AttemptStatus.DELIVERED, provider=HUGE)
        world.report(1 + i, AttemptStatus.READ, reference=HUGE)


def _largest(world: World) -> int:
    return max(len(world.stage.encode(entry)) for entry in world.state.values())


def test_the_entry_of_an_id_nobody_knows_stays_small_whatever_is_told_of_it(world: World) -> None:
    _flood(world)
    assert _largest(world) < MOST_BYTES
    world.advance(UNKNOWN_ID_WAIT_MS)
    assert _largest(world) < MOST_BYTES
    assert len({(reply.request_id, reply.kind) for reply in world.replies}) == 4 * 60
    assert {reply.reason for reply in world.replies} == {ReplyReason.UNKNOWN_VERIFICATION}


def test_the_entry_of_a_running_verification_stays_small_and_its_own_report_counts(world: World) -> None:
    world.decide(world.accepted(plan=world.plan(max_checks=1_000, checks_allowed=1_000)))
    world.tell()
    _flood(world)
    assert _largest(world) < MOST_BYTES
    assert len({(reply.request_id, reply.kind) for reply in world.replies}) == 4 * 60
    world.report()
    assert world.last.state is VerificationState.DELIVERED


@pytest.mark.parametrize("waits", [True, False])
def test_a_code_too_long_for_any_is_answered_and_counted_as_any_wrong_one(world: World, waits: bool) -> None:
    if not waits:
        world.decide(world.accepted())
    world.check(HUGE)
    if waits:
        world.decide(world.accepted())
    (reply,) = world.replies
    assert (reply.ok, reply.reason, reply.checks_left) == (False, ReplyReason.WRONG_CODE, 2)


def test_a_code_too_long_is_passed_on_to_its_partition_in_a_few_bytes(world: World) -> None:
    wrong = next(each for each in range(PARTITIONS) if each != partition_for(b"v1", PARTITIONS))
    check = CodeCheck(check_id="c1", verification_id="v1", code=HUGE[:100_000], tenant=HUGE[:100_000], end_user_ip=HUGE)
    world.give(topics.CHECKS, check, partition=wrong)
    (forward,) = world.emits
    assert forward.topic == topics.TRACKER_INBOX
    assert len(forward.value or b"") < 2_000


def test_an_early_report_of_a_strange_reason_still_tells_the_failure(world: World) -> None:
    world.report(1, AttemptStatus.UNDELIVERED, reason=HUGE)
    world.decide(world.accepted())
    assert world.last.attempts[0].status is AttemptStatus.UNDELIVERED
    assert len(world.last.attempts[0].reason or "") < 40
    assert world.last.state is not VerificationState.DELIVERED
