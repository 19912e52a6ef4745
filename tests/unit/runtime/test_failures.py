"""Quarantine after three crashes, and the stop when everything is poison."""

from __future__ import annotations

import pytest

from pipeline.errors import PoisonRun
from pipeline.runtime.api import Record
from pipeline.runtime.failures import Failures, PoisonLimit

RECORD = Record("in", 0, 7, 0, None, None)


def test_the_third_crash_at_the_same_record_condemns_it_and_no_other() -> None:
    failures = Failures()
    for crashes, condemned in ((1, None), (2, None), (3, "handler_refused")):
        failures.crashed(RECORD)
        assert failures.condemned(RECORD) == condemned, crashes
    assert failures.condemned(Record("in", 0, 8, 0, None, None)) is None
    failures.forget(RECORD)
    assert failures.condemned(RECORD) is None


def test_an_output_that_can_never_be_written_is_condemned_at_once() -> None:
    failures = Failures()
    failures.condemn(b"key", "too_large")
    assert failures.condemned(b"key") == "too_large"


def test_a_hundred_poison_records_in_a_row_stop_the_stage() -> None:
    limit = PoisonLimit(max_run=100, max_share=0.5)
    for _ in range(99):
        limit.note("undecodable")
        limit.check()
    limit.note("undecodable")
    with pytest.raises(PoisonRun, match="100 records in a row"):
        limit.check()


def test_one_poison_record_in_a_hundred_does_not_stop_the_stage() -> None:
    limit = PoisonLimit(max_run=100, max_share=0.5)
    for number in range(20_000):
        limit.note(None if number % 100 else "undecodable")
        limit.check()


def test_a_large_share_of_poison_stops_the_stage_even_without_a_run() -> None:
    limit = PoisonLimit(max_run=100, max_share=0.5)
    for number in range(999):
        limit.note("undecodable" if number % 3 else None)
        limit.check()
    limit.note("undecodable")
    with pytest.raises(PoisonRun, match="of the last 1000"):
        limit.check()
