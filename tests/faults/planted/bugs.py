"""The planted bugs: each function breaks one rule of the product until its patches are undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pytest
from msgspec.structs import replace

from pipeline import topics
from pipeline.correlator import join as correlating
from pipeline.runtime import frontier, task
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.positions import Marks
from pipeline.runtime.restore import Restored
from pipeline.senders import stage as sending
from pipeline.senders.journal import Journal
from pipeline.testing.memory_log import MemoryWriter
from pipeline.tracker import checks, outcome, replies

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def positions_are_not_read_again_after_the_fence(patch: Patch) -> None:
    """A new owner begins where the group stood when this process first looked."""
    known: dict[tuple[str, int], dict[str, int]] = {}
    find = task.find_positions

    async def stale(
        log: Any, reader: Any, inputs: Sequence[str], partition: int, restored: Restored, now_ms: int
    ) -> dict[str, int]:
        found = await find(log, reader, inputs, partition, restored, now_ms)
        return known.setdefault((f"{id(reader)}", partition), found)

    patch.setattr(task, "find_positions", stale)


def calls_begin_before_started_is_committed(patch: Patch) -> None:
    """The actions of a transaction are launched before it is known to be committed."""
    commit = task.Task._commit

    async def early(self: Any, batch: Any, *, force: bool = False) -> None:
        if self._worker is not None:
            for action in batch.actions:
                self._worker.launch(action, self.post)
            batch.actions = []
        await commit(self, batch, force=force)

    patch.setattr(task.Task, "_commit", early)


def replies_are_not_remembered(patch: Patch) -> None:
    """A check that is written twice is judged twice."""
    patch.setattr(replies, "_repeat", lambda turn, request: False)


def timers_fire_without_waiting_for_inputs(patch: Patch) -> None:
    """A deadline that has passed fires, whatever lies unread."""
    patch.setattr(frontier.Frontier, "complete_ms", lambda self, lane: 1 << 62)


def a_wrong_code_is_counted_twice(patch: Patch) -> None:
    """Each guess costs two checks."""
    wrong = checks._wrong

    def twice(turn: Any) -> checks.Verdict:
        turn.put(failed_checks=turn.state.failed_checks + 1)
        return wrong(turn)

    patch.setattr(checks, "_wrong", twice)


def what_is_in_doubt_is_called_again(patch: Patch) -> None:
    """After a crash a STARTED without a result is simply started again."""

    def again(self: Journal, effects: Any, key: bytes, entry: Any, result: Any, now_ms: int) -> None:
        self.release(effects, key, entry, throttled=entry.throttled)

    patch.setattr(Journal, "close_in_doubt", again)


def duplicates_are_forgotten(patch: Patch) -> None:
    """The journal does not keep that a command was finished."""

    def forgotten(self: Journal, effects: Any, key: bytes, entry: Any, result: Any, now_ms: int) -> None:
        effects.state[key] = None
        self.emit(effects, result, bulk=entry.bulk)

    patch.setattr(Journal, "close", forgotten)


def a_late_result_changes_the_end(patch: Patch) -> None:
    """An outcome is published again when something comes after the final one."""
    publish = outcome.publish

    def again(turn: Any, before: Any) -> None:
        if before is not None and before.final_at is not None and turn.state != before:
            turn.put(version=turn.state.version + 1)
            turn.emit(topics.OUTCOMES, outcome.build(turn.state))
        else:
            publish(turn, before)

    patch.setattr(outcome, "publish", again)


def an_ended_code_is_accepted(patch: Patch) -> None:
    """Nobody looks when a check was written."""
    patch.setattr(checks, "is_in_time", lambda state, request: True)


def the_correlator_guesses(patch: Patch) -> None:
    """Of two attempts that a report by recipient may mean, it takes the first; and at once."""
    settle = correlating.settle

    def guessing(state: Any, until_ms: int = -1) -> Any:
        if len(state.refs) > 1:
            state = replace(state, refs=state.refs[:1])
        return settle(state, until_ms)

    patch.setattr(correlating, "settle", guessing)


def offsets_are_committed_past_held_records(patch: Patch) -> None:
    """A command counts as read while its call has not begun."""
    patch.setattr(Marks, "mark", lambda self, topic: self._handled[topic])


def a_refused_answer_is_taken_for_none(patch: Patch) -> None:
    """A code that a provider turned down is judged as right."""
    patch.setattr(checks, "rule", lambda turn, ruling: checks._verified(turn, ruling.request, ruling.credit))


def positions_are_committed_apart(patch: Patch) -> None:
    """Outputs and input positions go in two transactions."""
    commit = MemoryWriter.commit

    async def apart(self: Any, outputs: Sequence[Any], offsets: Mapping[TopicPartition, int], group: str) -> None:
        entries = [each for each in outputs if each.key != b"\x00position"]
        if entries and offsets:
            await commit(self, entries, {}, group)
            await commit(self, [each for each in outputs if each.key == b"\x00position"], offsets, group)
        else:
            await commit(self, outputs, offsets, group)

    patch.setattr(MemoryWriter, "commit", apart)


def deadlines_of_sends_are_not_looked_at(patch: Patch) -> None:
    """A queued command is sent whenever its turn comes."""
    patch.setattr(sending, "latest_call_at", lambda command, *, min_left_s: 1 << 60)


ALL: Final[tuple[Plant, ...]] = (
    positions_are_not_read_again_after_the_fence,
    calls_begin_before_started_is_committed,
    replies_are_not_remembered,
    timers_fire_without_waiting_for_inputs,
    a_wrong_code_is_counted_twice,
    what_is_in_doubt_is_called_again,
    duplicates_are_forgotten,
    a_late_result_changes_the_end,
    an_ended_code_is_accepted,
    the_correlator_guesses,
    offsets_are_committed_past_held_records,
    a_refused_answer_is_taken_for_none,
    positions_are_committed_apart,
    deadlines_of_sends_are_not_looked_at,
)
"""Each is planted alone."""
