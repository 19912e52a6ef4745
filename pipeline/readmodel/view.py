"""A verification as the REST API shows it: the outcome's fields, times as RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

import orjson

from pipeline.records.public import Attempt, StepView, VerificationOutcome
from pipeline.records.types import AvroRecord


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds as ``2026-01-02T03:04:05.678Z``."""
    seconds, ms = divmod(at_ms, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


class _Shown:
    """A record as an object: all its fields, times as text."""

    def __init__(self, record: type[AvroRecord]) -> None:
        self._names = record.__struct_fields__
        self._values = attrgetter(*self._names)
        self._times = [name for name in self._names if name.endswith("_at")]

    def __call__(self, record: AvroRecord) -> dict[str, Any]:
        shown = dict(zip(self._names, self._values(record), strict=True))
        for name in self._times:
            at_ms = shown[name]
            if at_ms is not None:
                shown[name] = rfc3339(at_ms)
        return shown


_outcome: Final = _Shown(VerificationOutcome)
_step: Final = _Shown(StepView)
_attempt: Final = _Shown(Attempt)


def to_json(outcome: VerificationOutcome) -> bytes:
    """The JSON object that the API answers with; every field of the record is there, absent ones as null."""
    shown = _outcome(outcome)
    shown["steps"] = [_step(step) for step in outcome.steps]
    shown["attempts"] = [_attempt(attempt) for attempt in outcome.attempts]
    return orjson.dumps(shown)
