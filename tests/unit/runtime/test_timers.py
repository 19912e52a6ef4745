"""Timers: a heap of deadlines that follows the state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.api import Deadline, Lane
from pipeline.runtime.timers import Timers

LANE = Lane.INTERACTIVE
CHANGES = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.one_of(st.none(), st.integers(0, 20))))


@given(changes=CHANGES, now_ms=st.integers(0, 20))
def test_exactly_the_last_deadline_of_each_key_comes_due_in_order(
    changes: list[tuple[bytes, int | None]], now_ms: int
) -> None:
    timers = Timers()
    expected: dict[bytes, int] = {}
    for key, at_ms in changes:
        timers.set(key, None if at_ms is None else Deadline(at_ms))
        expected.pop(key, None)
        if at_ms is not None:
            expected[key] = at_ms
    due = [(deadline.at_ms, key) for key, deadline in timers.due(LANE, now_ms, 100).items()]
    assert due == sorted((at_ms, key) for key, at_ms in expected.items() if at_ms <= now_ms)
    assert timers.next_ms(LANE) == min(expected.values(), default=None)
    assert len(timers) == len(expected)


def test_a_due_timer_stays_due_until_its_entry_moves_it() -> None:
    timers = Timers()
    timers.set(b"a", Deadline(5))
    assert timers.due(LANE, 10, 10) == timers.due(LANE, 10, 10) == {b"a": Deadline(5)}
    timers.set(b"a", Deadline(50))
    assert timers.due(LANE, 10, 10) == {}


def test_the_heap_does_not_grow_with_deadlines_that_were_replaced() -> None:
    timers = Timers()
    for at_ms in range(10_000):
        timers.set(b"a", Deadline(at_ms))
    assert len(timers._heaps[LANE].items) < 2_000
    assert timers.next_ms(LANE) == 9_999


def test_a_deadline_that_moves_to_another_lane_comes_due_only_there() -> None:
    timers = Timers()
    timers.set(b"a", Deadline(5, Lane.BULK))
    timers.set(b"a", Deadline(5, None))
    assert (timers.next_ms(Lane.BULK), timers.next_ms(None)) == (None, 5)
    assert timers.due(Lane.BULK, 10, 10) == {}
    assert timers.due(None, 10, 10) == {b"a": Deadline(5, None)}


@given(
    changes=st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 20), st.integers(0, 20) | st.none())
    ),
    now_ms=st.integers(0, 20),
)
def test_exactly_the_last_deadline_of_each_key_is_forced_at_its_time_and_not_before_it_is_due(
    changes: list[tuple[bytes, int, int | None]], now_ms: int
) -> None:
    timers = Timers()
    for key, at_ms, force_at_ms in changes:
        timers.set(key, Deadline(at_ms, LANE, force_at_ms))
    expected = {key: (at_ms, force_ms) for key, at_ms, force_ms in changes}
    assert timers.forced(now_ms, 100).keys() == {
        key for key, (at_ms, force_ms) in expected.items() if force_ms is not None and max(at_ms, force_ms) <= now_ms
    }


@given(
    restored=st.dictionaries(
        st.binary(max_size=1),
        st.builds(Deadline, st.integers(0, 20), st.sampled_from([*Lane, None]), st.none() | st.integers(0, 20)),
    ),
    now_ms=st.integers(0, 20),
)
def test_deadlines_added_together_come_due_as_if_they_were_set_one_by_one(
    restored: dict[bytes, Deadline], now_ms: int
) -> None:
    together, one_by_one = Timers(), Timers()
    together.add(restored.items())
    together.order()
    for key, deadline in restored.items():
        one_by_one.set(key, deadline)
    assert together.forced(now_ms, 100) == one_by_one.forced(now_ms, 100)
    for lane in (*Lane, None):
        assert list(together.due(lane, now_ms, 100).items()) == list(one_by_one.due(lane, now_ms, 100).items())
        assert together.next_ms(lane) == one_by_one.next_ms(lane)
