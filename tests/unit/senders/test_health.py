"""What one process of a group is told of a provider's wish for patience that another one heard."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pipeline import topics
from pipeline.errors import PipelineError
from pipeline.records.internal import ProviderHealth
from pipeline.runtime.api import Emit, Record
from pipeline.senders.answers import throttled
from pipeline.senders.health import Pauses
from pipeline.senders.told import MAX_RETRY_AFTER_S
from pipeline.testing.clock import ManualClock
from tests.unit.senders.doubles import CODEC, Partition, Process, Task, command


def record(value: bytes | None) -> Record:
    return Record(topic=topics.PROVIDER_HEALTH, partition=0, offset=0, timestamp_ms=0, key=b"ycloud:0", value=value)


@dataclass
class Listening:
    """One process, its clock, and the pauses it was told."""

    clock: ManualClock = field(default_factory=ManualClock)
    told: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pauses = Pauses(codec=CODEC, clock=self.clock)

    def listen(self, instance: str = "ycloud") -> None:
        self.pauses.listen(instance, self.told.append)

    def hear(self, seconds: float, *, provider: str = "ycloud", told_by_ms: int = 0, **changes: int) -> None:
        """A pause that another process tells now, by a clock that is ``told_by_ms`` ahead of ours."""
        now = self.clock.now_ms() + told_by_ms
        until_at = now + round(seconds * 1_000)
        times = {"paused_until_at": until_at, "valid_until_at": until_at, "updated_at": now} | changes
        self.pauses.apply(record(CODEC.encode(ProviderHealth(provider=provider, **times))))


@pytest.fixture
def process() -> Listening:
    return Listening()


def test_a_pause_told_by_another_process_holds_here(process: Listening) -> None:
    process.listen()
    process.hear(2.5)
    assert process.told == [2.5]


def test_only_the_provider_that_asked_is_waited_for(process: Listening) -> None:
    process.listen()
    process.hear(2.5, provider="ycloud-2")
    assert process.told == []


def test_a_sender_that_comes_later_waits_for_what_is_left(process: Listening) -> None:
    process.hear(10)
    process.clock.advance(4_000)
    process.listen()
    assert process.told == [6.0]
    process.clock.advance(6_000)
    process.listen()
    assert process.told == [6.0]


def test_what_is_over_is_ignored(process: Listening) -> None:
    process.listen()
    process.hear(0)
    process.hear(5, paused_until_at=process.clock.now_ms() - 1)
    process.hear(5, valid_until_at=process.clock.now_ms() - 1)
    process.hear(5, paused_until_at=0)
    assert process.told == []


def test_a_longer_pause_counts_and_a_shorter_one_changes_nothing(process: Listening) -> None:
    process.listen()
    process.hear(5)
    process.hear(2)
    process.hear(5)
    process.hear(9)
    assert process.told == [5.0, 9.0]


def test_no_pause_is_longer_than_any_provider_is_granted(process: Listening) -> None:
    process.listen()
    process.hear(86_400)
    assert process.told == [MAX_RETRY_AFTER_S]


def test_a_clock_of_ours_that_is_behind_makes_no_pause_longer(process: Listening) -> None:
    process.listen()
    process.hear(2, told_by_ms=60_000)
    assert process.told == [2.0]


def test_a_clock_of_ours_that_is_ahead_ends_it_early(process: Listening) -> None:
    process.listen()
    process.hear(2, told_by_ms=-500)
    process.hear(2, told_by_ms=-60_000)
    assert process.told == [1.5]


def test_a_jump_of_the_wall_clock_moves_no_pause_that_holds(process: Listening) -> None:
    process.hear(10)
    process.clock.jump(3_600_000)
    process.clock.advance(4_000)
    process.listen()
    assert process.told == [6.0]


def test_a_record_that_was_taken_back_says_nothing(process: Listening) -> None:
    process.listen()
    process.pauses.apply(record(None))
    assert process.told == []


def test_a_record_nobody_can_read_is_refused_and_harms_no_other(process: Listening) -> None:
    process.listen()
    with pytest.raises(PipelineError):
        process.pauses.apply(record(b"\x00nonsense"))
    process.hear(1)
    assert process.told == [1.0]


def test_what_a_sender_writes_when_it_is_throttled_holds_back_another_process() -> None:
    """The two halves together: what the engine emits is what :class:`Pauses` reads."""
    clock = ManualClock()
    here, there = Process(clock=clock, name="p1"), Process(clock=clock, name="p2")
    log, other = Partition(), Partition()
    first, second = Task(here, log), Task(there, other)
    pauses = Pauses(codec=CODEC, clock=clock)
    pauses.listen("ycloud", there.permits.pause)
    log.write(command(1))
    first.run()
    here.calls.end("v1.1", throttled(7.0))
    first.run()
    [told] = health(log)
    pauses.apply(record(told.value))
    other.write(command(2))
    second.run()
    clock.advance(6_900)
    second.run()
    assert there.calls.begun == []
    there.calls.advance(200)
    second.run()
    assert there.calls.begun == ["v2.1"]


def health(log: Partition) -> list[Emit]:
    return [emit for emit in log.others if emit.topic == topics.PROVIDER_HEALTH]
