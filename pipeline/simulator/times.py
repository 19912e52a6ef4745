"""Times as clients write them."""

from __future__ import annotations

from datetime import datetime


def rfc3339_ms(text: str) -> int | None:
    """Epoch milliseconds of an RFC 3339 time with its offset; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * 1_000)
