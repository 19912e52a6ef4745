"""Whatever happens together, and in whatever order, the promises hold."""

from __future__ import annotations

import os
from collections import Counter
from typing import Final

import pytest

from pipeline import topics
from pipeline.records.internal import SendCommand
from pipeline.records.journal import JournalState
from pipeline.records.public import Reply, VerificationOutcome
from pipeline.records.types import AttemptResult, AttemptStatus, CodeHolder, CommandKind, VerificationState
from pipeline.testing import virtual_time
from pipeline.testing.http import Answer
from tests.unit.together.storm import POLICY, VERIFICATIONS, Storm

SEEDS: Final = range(int(os.environ.get("STORM_FROM", "0")), int(os.environ.get("STORM_TO", "4")))
"""A few in each run; ``STORM_FROM=100 STORM_TO=200`` for others, and more of them."""
NOT_TAKEN: Final = (429, 451)
"""Answers by which a provider says that it took nothing and may be asked again."""
_MAY_BE_OUT: Final = (AttemptResult.ACCEPTED, AttemptResult.IN_DOUBT, AttemptResult.PENDING)
_FAILED: Final = (AttemptStatus.FAILED, AttemptStatus.UNDELIVERED, AttemptStatus.EXPIRED)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_together_the_promises_hold(seed: int) -> None:
    async def run() -> None:
        storm = Storm(seed)
        await storm.run()
        await _hold(storm)

    virtual_time.run(run())


async def _hold(storm: Storm) -> None:
    world = storm.world
    outcomes = await storm.outcomes()
    by_id = {f"v{n}": [each for each in outcomes if each.verification_id == f"v{n}"] for n in range(VERIFICATIONS)}
    for verification_id, versions in by_id.items():
        assert [each.version for each in versions] == list(range(1, len(versions) + 1)), verification_id
        assert [each.is_final for each in versions] == [False] * (len(versions) - 1) + [True], verification_id
        last = versions[-1]
        assert last.failed_checks <= last.max_checks
        assert len(last.attempts) <= POLICY["max_attempts_total"]
        assert [each.attempt_id for each in last.attempts] == [
            f"{verification_id}.{n}" for n in range(1, len(last.attempts) + 1)
        ]
    assert len(storm.typed) > VERIFICATIONS
    _hold_calls(storm)
    await _hold_checks(storm, by_id)
    unfinished = [key for key, each in (await storm.journal()).items() if each.state is not JournalState.FINISHED]
    assert unfinished == []
    assert await world.letters() == []
    assert world.figures.total("dead_letters_total") == 0


def _hold_calls(storm: Storm) -> None:
    """One call that may become a message per attempt, and one per check, unless the provider said that it took none."""
    taken: Counter[tuple[str, ...]] = Counter()
    for command, step, _ in storm.calls:
        if command.kind in (CommandKind.SEND, CommandKind.CHECK):
            turned_away = isinstance(step, Answer) and step.status in NOT_TAKEN
            taken[command.kind, command.attempt_id, command.command_id] += not turned_away
    assert {key: count for key, count in taken.items() if count > 1} == {}
    messages = Counter(command.attempt_id for command, _, _ in storm.messages)
    assert {attempt_id: count for attempt_id, count in messages.items() if count > 1} == {}


async def _hold_checks(storm: Storm, by_id: dict[str, list[VerificationOutcome]]) -> None:
    replies: dict[str, Reply] = {}
    for reply in await storm.world.read(topics.REPLIES, Reply):
        assert replies.setdefault(reply.request_id, reply) == reply, "the same id always gets the same reply"
    assert storm.typed.keys() <= replies.keys(), "every check is answered"
    assert len(replies) == len(storm.typed) + len(storm.asked), "every command too"
    valid = Counter(replies[check_id].verification_id for check_id in storm.typed if replies[check_id].ok)
    assert {each: count for each, count in valid.items() if count > 1} == {}
    verified = {each for each, versions in by_id.items() if versions[-1].state is VerificationState.VERIFIED}
    assert verified == set(valid)
    sent = {command.attempt_id: command for command, _, _ in storm.messages}
    for check_id, (verification_id, attempt_id) in storm.typed.items():
        reply = replies[check_id]
        if attempt_id is None:
            assert not reply.ok, f"{check_id} was in no message"
        elif reply.reason == "wrong_code" and not _is_void(sent[attempt_id], sent):
            _expect_unknown_code(attempt_id, sent, by_id[verification_id], reply)


def _is_void(command: SendCommand, sent: dict[str, SendCommand]) -> bool:
    """Whether a code of ours is one that a later message, with a new code, may have ended."""
    return command.code_holder is CodeHolder.OURS and any(
        other.code_holder is CodeHolder.OURS and other.generation > command.generation
        for other in sent.values()
        if other.verification_id == command.verification_id
    )


def _expect_unknown_code(
    attempt_id: str, sent: dict[str, SendCommand], versions: list[VerificationOutcome], reply: Reply
) -> None:
    """A right code was called wrong: only one whose provider nobody could ask, while somebody else could judge."""
    assert sent[attempt_id].code_holder is CodeHolder.PROVIDER, f"{attempt_id}: our own code was called wrong"
    known = [each for each in versions if each.updated_at < reply.replied_at]
    shown = {each.attempt_id: each for each in known[-1].attempts} if known else {}
    own = shown.get(attempt_id)
    if own is not None and own.status in _FAILED:
        return  # by its provider's own word nobody could hold it
    assert own is None or own.result is not AttemptResult.ACCEPTED, f"{attempt_id}: a right code was called wrong"
    others = [each for each in shown.values() if each.attempt_id != attempt_id and each.result in _MAY_BE_OUT]
    assert others, f"{attempt_id}: nobody could judge it"
