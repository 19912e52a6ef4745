"""The deadline beside an entry in the changelog."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runtime.api import Deadline, Headers, Lane
from pipeline.runtime.deadline_header import DEADLINE_HEADER, VERSION, NotTold, deadline_header, told_deadline

TIMES = st.integers(-(2**63), 2**63 - 1)


@given(at_ms=TIMES, lane=st.sampled_from([*Lane, None]), force_at_ms=TIMES | st.none())
def test_a_deadline_is_read_back_as_it_was_written(at_ms: int, lane: Lane | None, force_at_ms: int | None) -> None:
    told = told_deadline(deadline_header(Deadline(at_ms, lane, force_at_ms)))
    assert told == Deadline(at_ms, lane, force_at_ms)
    assert told is not None
    assert told.lane is lane


def test_no_deadline_is_told_as_such_and_found_among_other_headers() -> None:
    assert told_deadline((("traceparent", b"x"), *deadline_header(None))) is None
    assert told_deadline((("bare", None), *deadline_header(Deadline(5)))) == Deadline(5)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("schema", b"x"),),
        ((DEADLINE_HEADER, None),),
        ((DEADLINE_HEADER, b""),),
        ((DEADLINE_HEADER, bytes((VERSION + 1, 0)) + bytes(8)),),
        ((DEADLINE_HEADER, bytes((VERSION, 3)) + bytes(8)),),
        ((DEADLINE_HEADER, bytes((VERSION, 0)) + bytes(7)),),
        ((DEADLINE_HEADER, bytes((VERSION, 0)) + bytes(30)),),
    ],
)
def test_what_another_release_or_nobody_wrote_tells_nothing(headers: Headers) -> None:
    with pytest.raises(NotTold):
        told_deadline(headers)
