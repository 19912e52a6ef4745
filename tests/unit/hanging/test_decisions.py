"""How an ended transaction is told from one that is not, by what its coordinator wrote."""

from __future__ import annotations

import struct

from pipeline.hanging.decisions import Decision, last_decisions
from pipeline.hanging.wire import Status, Step, step

OUT = ("out", 1)


def steps(*statuses: Status) -> list[Step]:
    empty = (Status.EMPTY, Status.COMPLETE_COMMIT, Status.COMPLETE_ABORT)
    return [
        Step("task", 7, 3, status, frozenset() if status in empty else frozenset({OUT}), number)
        for number, status in enumerate(statuses)
    ]


def decided(*statuses: Status) -> Decision:
    return last_decisions(steps(*statuses))[7, *OUT]


def test_what_completed_is_told_as_it_was_decided_also_when_its_id_was_taken_anew() -> None:
    committed = decided(Status.ONGOING, Status.PREPARE_COMMIT, Status.COMPLETE_COMMIT, Status.EMPTY)
    assert (committed.ended, committed.committed, committed.at_ms) == (True, True, 2)
    aborted = decided(Status.ONGOING, Status.PREPARE_EPOCH_FENCE, Status.PREPARE_ABORT, Status.COMPLETE_ABORT)
    assert (aborted.ended, aborted.committed) == (True, False)


def test_what_its_coordinator_still_works_on_is_not_ended() -> None:
    before = (Status.ONGOING, Status.PREPARE_COMMIT, Status.COMPLETE_COMMIT)
    for running in (Status.ONGOING, Status.PREPARE_COMMIT, Status.PREPARE_ABORT):
        assert not decided(*before, running).ended


def test_a_record_of_the_coordinator_is_read_in_both_versions() -> None:
    key = struct.pack(">hh4s", 0, 4, b"task")
    head = struct.pack(">qhib", 7, 3, 5_000, Status.PREPARE_COMMIT)
    times = struct.pack(">qq", 1_234, 1_000)
    old = struct.pack(">h", 0) + head + struct.pack(">ih3sii", 1, 3, b"out", 1, 1) + times
    new = struct.pack(">h", 1) + head + b"\x02\x04out\x02" + struct.pack(">i", 1) + b"\x00" + times + b"\x00"
    wanted = Step("task", 7, 3, Status.PREPARE_COMMIT, frozenset({OUT}), 1_234)
    assert step(key, old) == step(key, new) == wanted
