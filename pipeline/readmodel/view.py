"""A verification as the REST API shows it: the outcome's fields, times as RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from pipeline.records.public import Attempt, VerificationOutcome
from pipeline.records.types import AvroRecord


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds as ``2026-01-02T03:04:05.678Z``."""
    seconds, ms = divmod(at_ms, 1_000)
    return f"{_second(seconds)}.{ms:03d}Z"


class _Times:
    """The times among the fields of a record, told as text."""

    def __init__(self, record: type[AvroRecord]) -> None:
        self._names = [name for name in record.__struct_fields__ if name.endswith("_at")]

    def __call__(self, record: AvroRecord) -> dict[str, Any]:
        shown = asdict(record)
        for name in self._names:
            at_ms = shown[name]
            if at_ms is not None:
                shown[name] = rfc3339(at_ms)
        return shown


_outcome: Final = _Times(VerificationOutcome)
_attempt: Final = _Times(Attempt)
# It knows records and enums, which a dictionary for another writer would have to be made of first: a third of the time.
_json: Final = msgspec.json.Encoder()


def to_json(outcome: VerificationOutcome) -> bytes:
    """The JSON object that the API answers with; every field of the record is there, absent ones as null."""
    shown = _outcome(outcome)
    if outcome.attempts:
        shown["attempts"] = [_attempt(attempt) for attempt in outcome.attempts]
    return _json.encode(shown)
