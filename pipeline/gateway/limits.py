"""How often an API key may be used: one token bucket for each key.

Per gateway process: N gateways together let through N times the rate. A count over all of them would put a database or
another service on the way of each request; the limit is there to keep one caller from starving the others of a process,
and what protects recipients and budgets is counted exactly elsewhere, in the router.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, NamedTuple

from pipeline.clock import Clock

_ROUNDING: Final = 1e-9
"""Tokens that come a fraction at a time add up to a hair less than one."""


class Taken(NamedTuple):
    """What became of one request, and what its key has left."""

    granted: bool
    limit: int
    """Requests at once from a full bucket, at least 1."""
    remaining: int
    """Requests that would be granted at this moment."""
    reset_s: int
    """Whole seconds until the bucket is full again, rounded up; 0 when it is."""
    retry_after_s: int
    """Whole seconds until the next request is granted, rounded up, at least 1; what a refused caller is told."""


class Limits:
    """Buckets that hold one second's worth of requests, at least one, and fill evenly."""

    def __init__(self, *, clock: Clock, sweep_at: int = 1_000) -> None:
        """From ``sweep_at`` buckets on, those that are full again are forgotten: a full one is like none."""
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float, float]] = {}
        self._smallest_sweep = sweep_at
        self._sweep_at = sweep_at

    def take(self, key: Hashable, rate_per_s: float) -> Taken:
        """Count one request of ``key``, which may make ``rate_per_s`` (greater than 0)."""
        now_s = self._clock.monotonic_s()
        capacity = rate_per_s if rate_per_s > 1.0 else 1.0
        known = self._buckets.get(key)
        if known is None:
            self._sweep(now_s)
            tokens = capacity
        else:
            tokens = min(capacity, known[0] + (now_s - known[1]) * rate_per_s)
        granted = tokens + _ROUNDING >= 1.0
        if granted:
            tokens = max(0.0, tokens - 1.0)
        full_after_s = (capacity - tokens) / rate_per_s
        self._buckets[key] = tokens, now_s, now_s + full_after_s
        return Taken(
            granted,
            int(capacity),
            int(tokens + _ROUNDING),
            math.ceil(full_after_s - _ROUNDING),
            max(1, math.ceil((1.0 - tokens) / rate_per_s - _ROUNDING)),
        )

    def __len__(self) -> int:
        """Buckets remembered."""
        return len(self._buckets)

    def _sweep(self, now_s: float) -> None:
        if len(self._buckets) < self._sweep_at:
            return
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket[2] > now_s}
        # Twice what is in use, so that many busy keys are not looked through at each new one.
        self._sweep_at = max(self._smallest_sweep, 2 * len(self._buckets))
