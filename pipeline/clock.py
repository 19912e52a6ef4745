"""The wall clock as something that is passed in, so that tests and simulations own the time."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from typing import Protocol


class Clock(Protocol):
    """Where every stage gets its time from."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; may jump, also backwards."""

    def monotonic_s(self) -> float:
        """Seconds that never go back; only differences mean anything."""


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()


class Seldom:
    """Lets the same thing through once in ``every_s`` seconds, for what would otherwise fill a log."""

    MOST = 500
    """Different things remembered; of more, all are forgotten."""

    def __init__(self, *, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def passes(self, now_s: float, *what: Hashable) -> int | None:
        """How many like it were left out since the last one that passed; None when this one is to be left out."""
        passed_s, left_out = self._seen.get(what, (-math.inf, 0))
        if now_s - passed_s < self._every_s:
            self._seen[what] = (passed_s, left_out + 1)
            return None
        if len(self._seen) >= self.MOST:
            self._seen.clear()
        self._seen[what] = (now_s, 0)
        return left_out
