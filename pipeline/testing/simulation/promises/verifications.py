"""What becomes of each verification: one end, in steps taken in turn, and no record of it twice or lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from pipeline import topics
from pipeline.records.internal import RoutingEvent
from pipeline.records.public import Reply
from pipeline.records.types import AttemptStatus, CodeHolder, CommandKind, DecisionKind, RoutingKind, VerificationState
from pipeline.runtime.partition import partition_for
from pipeline.testing.simulation.deployed import PARTITIONS, POLICY
from pipeline.testing.simulation.history import History

_RANK: Final = {VerificationState.PENDING: 0, VerificationState.SENT: 1, VerificationState.DELIVERED: 2}


def nothing_is_lost(seen: History) -> None:
    """I1: each request ends in exactly one final outcome, or in dead letters when it cannot be handled or conflicts."""
    assert seen.settled, f"not everything ended: {[each for each in seen.ids if not _is_over(seen, each)]}"
    for verification_id in seen.ids:
        finals = sum(each.is_final for each in seen.of(verification_id))
        if verification_id in seen.done.broken:
            letters = [each for each in seen.letters if each.value.reason == "handler_refused"]
            assert finals <= 1, f"{verification_id}: {finals} final outcomes"
            assert finals or letters, f"{verification_id}: neither an outcome nor a dead letter"
        else:
            assert finals == 1, f"{verification_id}: {finals} final outcomes"


def _is_over(seen: History, verification_id: str) -> bool:
    last = seen.last(verification_id)
    return last is not None and last.is_final


def outcomes_are_exact(seen: History) -> None:
    """I5: versions 1, 2, 3 ...; the state never moves back, the final one never changes; attempts have no gaps."""
    by_id = defaultdict(list)
    for each in seen.outcomes:
        by_id[each.value.verification_id].append(each.value)
    for verification_id, versions in by_id.items():
        assert [each.version for each in versions] == list(range(1, len(versions) + 1)), (
            f"versions of {verification_id}"
        )
        assert not any(each.is_final for each in versions[:-1]), (
            f"{verification_id}: something follows the final outcome"
        )
        ranks = [_RANK.get(each.state, 3) for each in versions]
        assert ranks == sorted(ranks), f"{verification_id} moved back: {[each.state.value for each in versions]}"
        last = versions[-1]
        assert last.failed_checks <= last.max_checks, f"{verification_id}: more wrong codes than checks"
        assert len(last.attempts) <= POLICY["max_attempts_total"], f"{verification_id}: too many attempts"
        numbered = [f"{verification_id}.{n}" for n in range(1, len(last.attempts) + 1)]
        assert [each.attempt_id for each in last.attempts] == numbered, f"attempts of {verification_id}"


def steps_are_taken_in_turn(seen: History) -> None:
    """No step begins before the wait of the one before is over, unless that one failed or somebody asked."""
    for (verification_id, n), due_ms in _waits(seen).items():
        last = seen.last(verification_id)
        after = last.attempts[n - 1] if last is not None and n <= len(last.attempts) else None
        if after is not None and after.sent_at is not None:
            assert after.sent_at >= due_ms, f"{after.attempt_id} did not wait for the step before it"


def what_was_written_goes_before_what_falls_due(seen: History) -> None:
    """No step is asked for by a wait that ended after a right code was written: however late it is read, it was first.

    What asks for a step is looked at, not the step: by the time its route comes back, the code has been read.
    """
    commands = [each.command for each in seen.lines_.taken]
    ours = {each.attempt_id for each in commands if each.code_holder is not CodeHolder.PROVIDER}
    right: dict[str, int] = {}
    for _, number, entry in seen.entries(topics.CHECKS):
        asked = seen.asked_by(entry)
        if asked is None or number != partition_for(asked.verification_id.encode(), PARTITIONS):
            continue  # it came another way, on which what fell due may overtake it
        reply = seen.replied.get(asked.check_id)
        if seen.done.typed[asked.check_id].attempt_id in ours and reply is not None and reply.reason == "valid":
            right.setdefault(asked.verification_id, entry.timestamp_ms)
    waits = _waits(seen)
    for each in seen.read_internal(RoutingEvent, topics.ROUTER_INBOX, topics.bulk(topics.ROUTER_INBOX)):
        verification_id, n = each.value.verification_id, each.value.n
        if each.value.kind is RoutingKind.NEXT_STEP and (verification_id, n) in waits and verification_id in right:
            early_ms = waits[verification_id, n] - right[verification_id]
            assert early_ms < 0, f"{verification_id}.{n} was asked for: a right code was written {early_ms} ms before"


def _waits(seen: History) -> dict[tuple[str, int], int]:
    """Of verifications that nobody meddled with: by number of an attempt that only a wait can lead to, when that may be
    over by any clock."""
    found: dict[tuple[str, int], int] = {}
    asked = {each.verification_id for each in seen.done.commands.values()}
    for verification_id in set(seen.ids) - asked - seen.done.broken - seen.done.conflicting:
        last = seen.last(verification_id)
        if last is None:
            continue
        waits = {step.index: step.wait_s for step in last.steps}
        for n, before in enumerate(last.attempts, 1):
            failed = before.status in (AttemptStatus.FAILED, AttemptStatus.UNDELIVERED, AttemptStatus.EXPIRED)
            if before.sent_at is not None and before.result in ("accepted", "in_doubt") and not failed:
                found[verification_id, n + 1] = before.sent_at + waits.get(before.step_index, 0) * 1_000 - seen.apart_ms
    return found


def each_result_is_told_once(seen: History) -> None:
    """Records between topics are processed exactly once: one decision per request, one result per command."""
    decided = Counter(
        (each.value.verification_id, each.value.source_topic, each.value.source_partition, each.value.source_offset)
        for each in seen.decisions
        if each.value.kind in (DecisionKind.ACCEPTED, DecisionKind.REFUSED)
    )
    assert not (twice := [key for key, count in decided.items() if count > 1]), f"decided twice: {twice}"
    routed = Counter(
        (each.value.verification_id, each.value.decision_id, each.value.n)
        for each in seen.decisions
        if each.value.kind is DecisionKind.ROUTED
    )
    assert not (again := [key for key, count in routed.items() if count > 1]), f"routed twice: {again}"
    told = Counter(
        (each.value.kind, each.value.command_id, each.value.attempt_id, each.value.decision_id)
        for each in seen.results
        if each.value.kind in (CommandKind.SEND, CommandKind.CHECK)
    )
    assert not (doubled := [key for key, count in told.items() if count > 1]), f"results told twice: {doubled}"
    ordered = {
        (each.value.kind, each.value.command_id, each.value.attempt_id, each.value.decision_id)
        for each in seen.commands
        if each.value.kind in (CommandKind.SEND, CommandKind.CHECK)
        and each.value.verification_id not in seen.done.broken
    }
    assert not (lost := ordered - told.keys()), f"no result of: {sorted(lost)}"


def replies_are_one_per_request(seen: History) -> None:
    """The same check or command always gets the same reply, and each gets one."""
    replies: dict[str, Reply] = {}
    for each in seen.replies:
        reply = each.value
        assert replies.setdefault(reply.request_id, reply) == reply, f"two answers to {reply.request_id}"
    broken = seen.done.broken
    asked = {key for key, each in seen.done.checks.items() if each.verification_id not in broken}
    asked |= {key for key, each in seen.done.commands.items() if each.verification_id not in broken}
    assert not (lost := asked - replies.keys()), f"never answered: {sorted(lost)}"
