"""Deadlines of state entries, in order; rebuilt from the state, so they are as durable as it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from pipeline.runtime.api import Deadline, Lane

LANES: tuple[Lane | None, ...] = (None, Lane.INTERACTIVE, Lane.BULK)
"""What a deadline may wait for; None for all inputs."""


class Timers:
    """The deadline of each key.

    One heap per lane: bulk timers that wait for a bulk backlog must not stand before interactive ones. And one of the
    times to fire whatever is unread: those must not stand behind timers that go on waiting.
    """

    def __init__(self) -> None:
        self._deadlines: dict[bytes, Deadline] = {}
        self._heaps = {lane: _Heap(self._deadlines, partial(_at_ms, lane)) for lane in LANES}
        self._forced = _Heap(self._deadlines, _force_ms)

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: bytes, deadline: Deadline | None) -> None:
        """The key's deadline from now on; None for none."""
        if deadline is None:
            self._deadlines.pop(key, None)
            return
        if self._deadlines.get(key) == deadline:
            return
        self._deadlines[key] = deadline
        self._heaps[deadline.lane].push(key, deadline.at_ms)
        force_ms = _force_ms(deadline)
        if force_ms is not None:
            self._forced.push(key, force_ms)

    def add(self, deadlines: Iterable[tuple[bytes, Deadline]]) -> None:
        """Deadlines of keys that have none, to be followed by :meth:`order`: setting them one by one takes longer."""
        known = self._deadlines
        # By identity: hashing a lane is a call of Python code.
        interactive, bulk, either = (self._heaps[lane].items for lane in (Lane.INTERACTIVE, Lane.BULK, None))
        for key, deadline in deadlines:
            known[key] = deadline
            lane = deadline.lane
            items = interactive if lane is Lane.INTERACTIVE else bulk if lane is Lane.BULK else either
            items.append((deadline.at_ms, key))
            if deadline.force_at_ms is not None:
                self._forced.items.append((max(deadline.at_ms, deadline.force_at_ms), key))

    def order(self) -> None:
        """Put in order what was added."""
        for heap in (*self._heaps.values(), self._forced):
            heapq.heapify(heap.items)

    def next_ms(self, lane: Lane | None) -> int | None:
        """When the earliest deadline of this lane is, due or not."""
        return self._heaps[lane].first_ms()

    def due(self, lane: Lane | None, until_ms: int, limit: int) -> dict[bytes, Deadline]:
        """Up to ``limit`` deadlines of this lane up to ``until_ms``, earliest first; they stay set until changed."""
        return self._heaps[lane].until(until_ms, limit)

    def forced(self, now_ms: int, limit: int) -> dict[bytes, Deadline]:
        """Up to ``limit`` deadlines of any lane that are not to wait for the inputs any longer; they stay set too."""
        return self._forced.until(now_ms, limit)


def _at_ms(lane: Lane | None, deadline: Deadline) -> int | None:
    return deadline.at_ms if deadline.lane is lane else None


def _force_ms(deadline: Deadline) -> int | None:
    return None if deadline.force_at_ms is None else max(deadline.at_ms, deadline.force_at_ms)


class _Heap:
    """Keys by a time of their deadline; with lazy deletion: an item counts only while it is still its key's time."""

    def __init__(self, deadlines: Mapping[bytes, Deadline], time_of: Callable[[Deadline], int | None]) -> None:
        self._deadlines = deadlines
        self._time_of = time_of
        self.items: list[tuple[int, bytes]] = []

    def push(self, key: bytes, at_ms: int) -> None:
        heapq.heappush(self.items, (at_ms, key))
        if len(self.items) > 1_000 and len(self.items) > 3 * len(self._deadlines):
            times = ((self._time_of(deadline), key) for key, deadline in self._deadlines.items())
            self.items = [(at_ms, key) for at_ms, key in times if at_ms is not None]
            heapq.heapify(self.items)

    def first_ms(self) -> int | None:
        while self.items:
            at_ms, key = self.items[0]
            if self._counts(at_ms, key):
                return at_ms
            heapq.heappop(self.items)
        return None

    def until(self, until_ms: int, limit: int) -> dict[bytes, Deadline]:
        found: dict[bytes, Deadline] = {}
        taken: list[tuple[int, bytes]] = []
        while self.items and len(found) < limit and self.items[0][0] <= until_ms:
            at_ms, key = heapq.heappop(self.items)
            if key not in found and self._counts(at_ms, key):
                taken.append((at_ms, key))
                found[key] = self._deadlines[key]
        for item in taken:
            heapq.heappush(self.items, item)
        return found

    def _counts(self, at_ms: int, key: bytes) -> bool:
        deadline = self._deadlines.get(key)
        return deadline is not None and self._time_of(deadline) == at_ms
