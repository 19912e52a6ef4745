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
