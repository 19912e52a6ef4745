"""Deadlines of state entries, in order; rebuilt from the state, so they are as durable as it."""

from __future__ import annotations

import heapq

from pipeline.runtime.api import Deadline


class Timers:
    """A heap with lazy deletion: an entry counts only while it is still its key's deadline."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, bytes]] = []
        self._deadlines: dict[bytes, Deadline] = {}

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
        heapq.heappush(self._heap, (deadline.at_ms, key))
        if len(self._heap) > 1_000 and len(self._heap) > 3 * len(self._deadlines):
            self._heap = [(deadline.at_ms, key) for key, deadline in self._deadlines.items()]
            heapq.heapify(self._heap)

    def next_ms(self) -> int | None:
        """When the earliest deadline is, due or not."""
        while self._heap:
            at_ms, key = self._heap[0]
            deadline = self._deadlines.get(key)
            if deadline is not None and deadline.at_ms == at_ms:
                return at_ms
            heapq.heappop(self._heap)
        return None

    def due(self, now_ms: int, limit: int) -> list[tuple[bytes, Deadline]]:
        """Up to ``limit`` deadlines not after ``now_ms``, earliest first; they stay set until changed."""
        found: list[tuple[bytes, Deadline]] = []
        taken: list[tuple[int, bytes]] = []
        seen: set[bytes] = set()
        while self._heap and len(found) < limit and self._heap[0][0] <= now_ms:
            at_ms, key = heapq.heappop(self._heap)
            deadline = self._deadlines.get(key)
            if deadline is None or deadline.at_ms != at_ms or key in seen:
                continue
            seen.add(key)
            taken.append((at_ms, key))
            found.append((key, deadline))
        for entry in taken:
            heapq.heappush(self._heap, entry)
        return found
