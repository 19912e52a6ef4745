"""A clock that stands still until it is told otherwise, or runs with a loop's virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable

# A sleep to 12.345 may end at 12.344999999 on a loop that counts in floats: a timer that is due would be seen a
# millisecond early and sleep again. Nothing here measures finer than this.
_SLACK_MS = 1e-3


class ManualClock:
    """Obeys :class:`pipeline.clock.Clock`; the wall clock may be set apart from the monotonic one.

    ``now_ms`` is the wall clock's start in milliseconds since the epoch. Two clocks bound to one loop are two
    machines: a jump of one is not seen by the other.
    """

    def __init__(self, now_ms: int = 1_764_000_000_000) -> None:
        self._wall_ms = now_ms
        self._elapsed_ms = 0
        self._seconds: Callable[[], float] | None = None
        self._origin_s = 0.0

    def now_ms(self) -> int:
        """Milliseconds since the epoch: the start, all that passed since, and all jumps."""
        return self._wall_ms + self._elapsed_ms + self._bound_ms()

    def monotonic_s(self) -> float:
        """Seconds since this clock was made; jumps do not move it."""
        bound_s = self._seconds() - self._origin_s if self._seconds is not None else 0.0
        return self._elapsed_ms / 1_000 + bound_s

    def advance(self, ms: int) -> None:
        """Let ``ms`` milliseconds pass; raises ValueError for negative ones, as time never runs back."""
        if ms < 0:
            raise ValueError(f"ms is {ms}, but time only passes forwards; use jump() to set the wall clock back")
        self._elapsed_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock forwards or back by ``ms`` as NTP or an operator would; no time passes."""
        self._wall_ms += ms

    def bind(self, seconds: Callable[[], float]) -> None:
        """From now on also run with ``seconds`` (a loop's ``time``): what sleeps there passes here."""
        self._elapsed_ms += self._bound_ms()
        self._seconds = seconds
        self._origin_s = seconds()

    def _bound_ms(self) -> int:
        if self._seconds is None:
            return 0
        return math.floor((self._seconds() - self._origin_s) * 1_000 + _SLACK_MS)
