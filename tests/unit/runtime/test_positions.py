"""Marks: only what is finished without a gap may be committed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.positions import Marks


@given(held=st.sets(st.integers(0, 30)), order=st.permutations(range(31)))
def test_the_mark_is_the_first_unfinished_offset_in_any_order_of_finishing(held: set[int], order: list[int]) -> None:
    marks = Marks()
    marks.start({"t": 0})
    for offset in range(31):
        marks.handled("t", offset, hold=offset in held)
    unfinished = set(held)
    for offset in order:
        assert marks.mark("t") == min(unfinished, default=31)
        if offset in unfinished:
            unfinished.discard(offset)
            marks.release("t", offset)
    assert marks.mark("t") == 31


def test_only_marks_that_moved_since_the_last_commit_are_pending() -> None:
    marks = Marks()
    marks.start({"a": 5, "b": 7})
    assert marks.pending() == {}
    marks.handled("a", 5, hold=False)
    marks.handled("b", 7, hold=True)
    assert marks.pending() == {"a": 6}
    marks.committed(marks.pending())
    assert marks.pending() == {}
    assert marks.all() == {"a": 6, "b": 7}


def test_gaps_left_by_markers_and_compaction_are_stepped_over() -> None:
    marks = Marks()
    marks.start({"t": 0})
    for offset in (3, 9, 20):
        marks.handled("t", offset, hold=True)
    marks.release("t", 3)
    assert marks.mark("t") == 9
    marks.release("t", 20)
    assert marks.mark("t") == 9
    marks.release("t", 9)
    assert marks.mark("t") == 21


def test_what_was_refused_beyond_a_mark_is_told_until_the_mark_has_passed_it() -> None:
    marks = Marks()
    marks.start({"t": 0})
    marks.handled("t", 0, hold=False, refused=True)
    assert marks.beyond() == {}
    marks.handled("t", 3, hold=True)
    marks.handled("t", 4, hold=False, refused=True)
    assert marks.refused_anew
    assert marks.beyond() == {"t": [4]}
    marks.committed(marks.pending())
    assert not marks.refused_anew
    again = Marks()
    again.start(marks.all(), marks.beyond())
    assert [again.was_refused("t", offset) for offset in (3, 4, 5)] == [False, True, False]
    again.handled("t", 3, hold=True)
    again.handled("t", 4, hold=False)
    assert again.beyond() == {"t": [4]}
    again.release("t", 3)
    assert again.beyond() == {}


def test_what_was_refused_right_at_the_mark_is_told_until_it_is_read_again() -> None:
    marks = Marks()
    marks.start({"t": 3}, {"t": [4]})
    marks.handled("t", 3, hold=False)
    assert marks.mark("t") == 4
    assert marks.beyond() == {"t": [4]}
    marks.handled("t", 4, hold=False)
    assert marks.beyond() == {}
