"""Times others tell us, believed only as far as they can be true."""

from __future__ import annotations

from typing import Final

OLDEST_MS: Final = 86_400_000
"""A report is repeated for hours when nobody takes it; a finished verification is remembered for a day."""
AHEAD_MS: Final = 300_000
"""How far a clock may be wrong; as for ``requested_at``."""


def plausible(told_at: int | None, *, received_at: int) -> int | None:
    """A time as told, or None when it cannot be: more than a day before it was received, or over 5 min after.

    Both in epoch milliseconds. What a report tells becomes the time of a delivery, and only ever an earlier one is
    taken after it, so one absurd time would stay for good.
    """
    if told_at is None or not received_at - OLDEST_MS <= told_at <= received_at + AHEAD_MS:
        return None
    return told_at
