from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pipeline.runtime.api import Lane
from pipeline.senders.permits import LEASE_S, Permits
from pipeline.testing.clock import ManualClock

I = Lane.INTERACTIVE  # noqa: E741
B = Lane.BULK


class World:
    """Permits with a clock, timers, and tasks that note when they are woken."""

    def __init__(self, *, slots: int = 4, rate_per_s: float = 1_000.0, partitions: int = 2, owned: int = 2) -> None:
        self.clock = ManualClock()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.woken: list[int] = []
        self.permits = Permits(
            max_concurrency=slots,
            rate_per_s=rate_per_s,
            partitions=partitions,
            monotonic_s=self.clock.monotonic_s,
            later=lambda seconds, function: self.timers.append((self.clock.monotonic_s() + seconds, function)),
        )
        for partition in range(owned):
            self.own(partition)

    def own(self, partition: int) -> None:
        self.permits.own(partition, lambda: self.woken.append(partition))

    def advance(self, ms: int) -> None:
        """Pass time step by step, as timers put off new ones."""
        end = self.clock.monotonic_s() + ms / 1_000
        while True:
            due = min((at_s for at_s, _ in self.timers), default=end + 1)
            if due > end:
                break
            self.clock.advance(max(0, round((due - self.clock.monotonic_s()) * 1_000 + 0.5)))
            ready = [timer for timer in self.timers if timer[0] <= self.clock.monotonic_s()]
            self.timers = [timer for timer in self.timers if timer not in ready]
            for _, function in ready:
                function()
        self.clock.advance(max(0, round((end - self.clock.monotonic_s()) * 1_000)))

    def take(self, partition: int, name: str, lane: Lane = I) -> bool:
        taken = self.permits.take(partition, name, lane)
        if taken:
            self.permits.begun(name, lane)
        return taken


def test_no_more_run_than_there_are_slots() -> None:
    world = World(slots=2)
    assert [world.take(0, "a"), world.take(0, "b"), world.take(1, "c")] == [True, True, False]
    world.permits.free("a")
    assert world.take(1, "c")


def test_bulk_never_fills_the_slots_kept_for_interactive() -> None:
    world = World(slots=5)
    assert [world.take(0, name, B) for name in "abcde"] == [True, True, True, True, False]
    assert world.take(0, "login")


def test_a_single_slot_is_shared_by_both_lanes() -> None:
    world = World(slots=1)
    assert world.take(0, "a", B)


def test_a_freed_slot_is_reserved_for_who_waited_longest_not_for_who_runs_next() -> None:
    world = World(slots=1)
    world.take(0, "a")
    world.permits.want(1, {I: 1})
    world.permits.free("a")
    assert world.woken == [1]
    assert not world.take(0, "b"), "the slot is reserved"
    assert world.take(1, "c")


def test_tasks_take_turns() -> None:
    world = World(slots=2)
    world.take(0, "a")
    world.take(0, "b")
    world.permits.want(0, {I: 5})
    world.permits.want(1, {I: 5})
    world.permits.free("a")
    world.permits.free("b")
    assert world.woken == [0, 1]


def test_waiting_interactive_commands_of_any_task_go_before_bulk() -> None:
    world = World(slots=5)
    for name in "abcde":
        world.take(0, name)
    world.permits.want(0, {B: 3})
    world.permits.want(1, {I: 1})
    world.permits.free("a")
    assert world.woken == [1]
    assert not world.take(0, "f", B)


def test_what_was_reserved_but_not_wanted_any_more_goes_to_the_next() -> None:
    world = World(slots=1)
    world.take(0, "a")
    world.permits.want(1, {I: 1})
    world.permits.want(0, {I: 1})
    world.permits.free("a")
    world.permits.want(1, {})
    assert world.woken == [1, 0]
    assert world.take(0, "b")


def test_a_reservation_nobody_comes_for_goes_to_the_next_after_a_while() -> None:
    world = World(slots=1)
    world.take(0, "a")
    world.permits.want(1, {I: 9})
    world.permits.want(0, {I: 1})
    world.permits.free("a")
    assert world.woken == [1]
    world.advance(round(LEASE_S * 1_000) + 10)
    assert world.woken == [1, 0]
    assert world.permits.calls == 0


def test_a_permit_of_a_lost_transaction_comes_back() -> None:
    world = World(slots=1)
    assert world.permits.take(0, "a", I)
    world.advance(round(LEASE_S * 1_000) + 10)
    assert world.take(1, "b")


def test_a_new_task_of_the_partition_gets_back_what_the_old_one_left() -> None:
    world = World(slots=1)
    world.permits.take(0, "a", I)
    world.own(0)
    assert world.take(0, "b")
    assert world.permits.calls == 1


def test_a_call_begun_after_its_lease_ran_out_still_counts() -> None:
    world = World(slots=1)
    world.permits.take(0, "a", I)
    world.advance(6_000)
    assert world.permits.take(0, "b", I)
    world.permits.begun("a", I)
    world.permits.begun("b", I)
    assert world.permits.calls == 2
    world.permits.free("a")
    world.permits.free("b")
    world.permits.free("never seen")
    assert world.permits.calls == 0


def test_the_rate_holds_over_time_and_wakes_who_waits_for_it() -> None:
    world = World(slots=1_000, rate_per_s=20.0)
    sent: list[float] = []

    def pump() -> None:
        while world.take(0, f"c{len(sent)}"):
            sent.append(world.clock.monotonic_s())
        world.permits.want(0, {I: 1_000})

    world.permits.own(0, pump)
    pump()
    world.advance(5_000)
    assert 95 <= len(sent) <= 102
    for start in sent:
        assert len([at for at in sent if start <= at < start + 1.0]) <= 22


def test_the_rate_is_shared_over_the_group_by_owned_partitions() -> None:
    world = World(rate_per_s=120.0, partitions=12, owned=3)
    assert world.permits.rate_per_s == pytest.approx(30.0)
    world.permits.disown(0)
    assert world.permits.rate_per_s == pytest.approx(20.0)
    world.own(1)
    assert world.permits.rate_per_s == pytest.approx(20.0)


def test_everybody_waits_when_the_provider_asks_for_it() -> None:
    world = World()
    world.permits.pause(3.0)
    assert not world.take(0, "a")
    world.permits.want(0, {I: 1})
    world.advance(2_990)
    assert world.woken == []
    world.advance(20)
    assert world.woken == [0]
    assert world.take(0, "a")


def test_what_was_reserved_before_the_provider_asked_for_patience_waits_too() -> None:
    world = World(slots=1)
    world.take(0, "a")
    world.permits.want(1, {I: 1})
    world.permits.free("a")
    world.permits.pause(3.0)
    assert world.woken == [1]
    assert not world.take(1, "b")
    world.permits.want(1, {I: 1})
    world.advance(2_990)
    assert world.woken == [1]
    world.advance(20)
    assert world.woken == [1, 1]
    assert world.take(1, "b")


def test_bulk_leaves_a_token_for_a_login() -> None:
    world = World(slots=1_000, rate_per_s=100.0)
    names = iter(range(1_000))
    while world.take(0, f"b{next(names)}", B):
        pass
    assert world.take(0, "login")


def test_a_disowned_partition_is_not_woken() -> None:
    world = World(slots=1)
    world.take(0, "a")
    world.permits.want(1, {I: 1})
    world.permits.disown(1)
    world.permits.free("a")
    assert world.woken == []


@pytest.mark.parametrize("seed", range(30))
def test_nothing_leaks_and_no_bound_breaks_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    slots = rng.randint(1, 6)
    world = World(slots=slots, rate_per_s=rng.choice([3.0, 50.0, 1_000.0]), partitions=3, owned=3)
    running: dict[str, Lane] = {}
    for step in range(600):
        partition, lane, name = rng.randrange(3), rng.choice([I, B]), f"c{step}"
        match rng.randrange(7):
            case 0 | 1:
                if world.permits.take(partition, name, lane) and rng.random() < 0.8:
                    world.permits.begun(name, lane)
                    running[name] = lane
            case 2:
                world.permits.want(partition, {I: rng.randrange(4), B: rng.randrange(4)})
            case 3 if running:
                ended = rng.choice(list(running))
                del running[ended]
                world.permits.free(ended)
            case 4:
                world.advance(rng.choice([1, 50, 1_000, 6_000]))
            case 5 if rng.random() < 0.2:
                world.own(partition)
            case 6 if rng.random() < 0.2:
                world.permits.disown(partition)
                world.own(partition)
        assert len(running) <= slots
        bulk = sum(lane is B for lane in running.values())
        assert bulk <= max(1, slots - (1 if slots > 1 else 0))
    for name in list(running):
        world.permits.free(name)
    for partition in range(3):
        world.permits.want(partition, {})
    world.advance(20_000)
    assert world.permits.calls == 0
    assert world.take(0, "last")
