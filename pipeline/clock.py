"""The wall clock as something that is passed in, so that tests and simulations own the time."""

from __future__ import annotations

import time
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
