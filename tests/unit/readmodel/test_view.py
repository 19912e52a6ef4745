from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.readmodel.view import rfc3339, to_json
from pipeline.records.public import Attempt, VerificationOutcome
from tests.unit.records.strategies import FEW, records

LATEST = 253_402_300_799_999
TIMES = st.integers(0, LATEST)


def plainly(record: dict[str, Any]) -> dict[str, Any]:
    """The same by the plainest means."""
    return {
        name: rfc3339(value)
        if name.endswith("_at") and value is not None
        else [plainly(each) for each in value]
        if name == "attempts"
        else value
        for name, value in record.items()
    }


def within_time(record: Any) -> Any:
    """What a clock could tell in its fields for times."""
    times = {name: getattr(record, name) for name in record.__struct_fields__ if name.endswith("_at")}
    return msgspec.structs.replace(record, **{name: value and abs(value) % LATEST for name, value in times.items()})


@FEW
@given(records(VerificationOutcome), st.lists(records(Attempt), max_size=2))
def test_every_field_is_shown_and_times_are_text(outcome: VerificationOutcome, attempts: list[Attempt]) -> None:
    outcome = within_time(msgspec.structs.replace(outcome, attempts=[within_time(each) for each in attempts]))
    assert orjson.loads(to_json(outcome)) == plainly(msgspec.to_builtins(outcome))


@given(TIMES)
def test_a_time_is_read_back_as_it_was(at_ms: int) -> None:
    text = rfc3339(at_ms)
    assert text.endswith("Z")
    assert len(text) == 24
    assert round(datetime.fromisoformat(text).timestamp() * 1_000) == at_ms


@pytest.mark.parametrize(
    ("at_ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (1_735_787_045_678, "2025-01-02T03:04:05.678Z")]
)
def test_a_time_has_milliseconds_in_utc(at_ms: int, text: str) -> None:
    assert rfc3339(at_ms) == text
