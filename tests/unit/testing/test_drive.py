from __future__ import annotations

import pytest

from pipeline.errors import Poison
from pipeline.records.codec import Codec
from pipeline.records.public import Reply
from pipeline.runtime.api import Deadline, Effects, Emit, Input, Record, StateView
from pipeline.testing.drive import Drive


class Echo:
    """Remembers each record's key until ten milliseconds later, and writes when it forgets."""

    name = "echo"
    changelog = "echo-state"
    inputs = (Input("in"),)
    stuck = False

    def handle(self, record: Record, state: StateView[int], now_ms: int) -> Effects[int]:
        if record.key is None:
            raise Poison("undecodable", "no key")
        return Effects(state={record.key: now_ms + 10}, emits=[Emit("out", record.key, record.value)])

    def fire(self, key: bytes, state: StateView[int], now_ms: int) -> Effects[int]:
        effects: Effects[int] = Effects(state={} if self.stuck else {key: None})
        effects.count("fired", now_ms, key=key.decode())
        return effects

    def deadline(self, value: int) -> Deadline | None:
        return Deadline(value)

    def encode(self, value: int) -> bytes:
        return str(value).encode()

    def decode(self, data: bytes) -> int:
        return int(data)

    def quarantine(self, work: Record | bytes, state: StateView[int], now_ms: int) -> Effects[int]:
        return Effects()


def _drive() -> Drive[int]:
    return Drive(stage=Echo(), codec=Codec(), now_ms=1_000)


def test_timers_fire_at_their_moment_in_the_order_of_the_moments() -> None:
    drive = _drive()
    drive.give("in", Reply(request_id="1", verification_id="v"), key=b"a")
    drive.advance(5)
    drive.give("in", Reply(request_id="2", verification_id="v"), key=b"b")
    drive.advance(100)
    assert [(value, labels["key"]) for _, value, labels in drive.counts] == [(1_010, "a"), (1_015, "b")]
    assert drive.now_ms == 1_105
    assert not drive.state


def test_what_was_written_is_read_and_taken_once() -> None:
    drive = _drive()
    reply = Reply(request_id="1", verification_id="v")
    drive.give("in", reply, key=b"a")
    assert drive.out("out", Reply) == drive.take("out", Reply) == [reply]
    assert drive.out("out", Reply) == []


def test_poison_is_kept_as_a_refusal() -> None:
    drive = _drive()
    drive.give("in", Reply(request_id="1", verification_id="v"))
    assert [refusal.detail for refusal in drive.refusals] == ["no key"]


def test_a_timer_that_stays_due_is_a_failure() -> None:
    drive = _drive()
    drive.stage.stuck = True  # type: ignore[attr-defined]
    drive.give("in", Reply(request_id="1", verification_id="v"), key=b"a")
    with pytest.raises(AssertionError, match="stays due"):
        drive.advance(10)
