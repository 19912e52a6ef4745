"""A verification as the REST API shows it: the outcome's fields, times as RFC 3339 in UTC with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from pipeline.records.public import VerificationOutcome


def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds as ``2026-01-02T03:04:05.678Z``."""
    seconds, ms = divmod(at_ms, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def to_json(outcome: VerificationOutcome) -> bytes:
    """The JSON object that the API answers with; every field of the record is there, absent ones as null."""
    return orjson.dumps(_shown(msgspec.to_builtins(outcome)))


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    shown = {
        name: rfc3339(value) if name.endswith("_at") and value is not None else value for name, value in record.items()
    }
    if "attempts" in shown:
        shown["attempts"] = [_shown(attempt) for attempt in record["attempts"]]
    return shown
