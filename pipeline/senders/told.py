"""Reading what providers tell: each function takes anything and gives what is usable of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from pipeline import __version__

USER_AGENT: Final = f"verification-pipeline/{__version__}"
MAX_RETRY_AFTER_S: Final = 300.0
"""A provider that asks for more patience than this is asked again sooner; the command's deadline ends the wait."""


def retry_after_s(headers: Mapping[str, str], default: float = 1.0) -> float:
    """``Retry-After`` in seconds (1-300); the HTTP-date form is not used by any provider here."""
    text = headers.get("Retry-After", "").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return default
    return min(max(float(text), default), MAX_RETRY_AFTER_S)


def header(headers: Mapping[str, str], name: str) -> str:
    """One header whatever its case, also from a plain dict; empty when it is missing."""
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), "")


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object these bytes are; empty for anything else, as an answer without the fields we need."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def decimal(value: object) -> str | None:
    """A price as the records write it (``-?\\d+(\\.\\d+)?``); None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return format(number, "f") if number.is_finite() and abs(number.adjusted()) < 12 else None


def currency(value: object) -> str | None:
    """An ISO 4217 code, or None."""
    return value if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isupper() else None


def provider_id(value: object) -> str | None:
    """An id a provider gave a message, as text; None when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() else None


def rfc3339_ms(value: object) -> int | None:
    """Epoch milliseconds of an RFC 3339 time in UTC (``…Z``), or None."""
    if not isinstance(value, str) or not value.endswith("Z"):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return round(at.timestamp() * 1_000)


def rfc3339(at_ms: int) -> str:
    """The inverse, with milliseconds."""
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1_000:03d}Z"
