"""Which offset of each input may be committed: the contiguous finished mark."""

from __future__ import annotations

import heapq
from collections.abc import Mapping


class Marks:
    """Per input topic of one task: what was handled, and what is handled but held (a call is running)."""

    def __init__(self) -> None:
        self._handled: dict[str, int] = {}
        self._held: dict[str, list[int]] = {}
        self._released: dict[str, set[int]] = {}
        self._committed: dict[str, int] = {}

    def start(self, positions: Mapping[str, int]) -> None:
        """Begin at these next-to-handle offsets, which are committed."""
        self._handled = dict(positions)
        self._committed = dict(positions)
        self._held = {topic: [] for topic in positions}
        self._released = {topic: set() for topic in positions}

    def handled(self, topic: str, offset: int, *, hold: bool) -> None:
        """A record was handled; with ``hold`` it is finished only by :meth:`release`."""
        self._handled[topic] = offset + 1
        if hold:
            # Offsets arrive in order, so appending keeps the heap.
            heapq.heappush(self._held[topic], offset)

    def release(self, topic: str, offset: int) -> None:
        """A held record is finished."""
        self._released[topic].add(offset)

    def mark(self, topic: str) -> int:
        """The offset that may be committed: everything before it is finished."""
        held, released = self._held[topic], self._released[topic]
        while held and held[0] in released:
            released.discard(heapq.heappop(held))
        return held[0] if held else self._handled[topic]

    def pending(self) -> dict[str, int]:
        """Marks that differ from what is committed."""
        marks = {topic: self.mark(topic) for topic in self._handled}
        return {topic: mark for topic, mark in marks.items() if mark != self._committed[topic]}

    def committed(self, marks: Mapping[str, int]) -> None:
        """These marks are durable now."""
        self._committed.update(marks)

    def all(self) -> dict[str, int]:
        """Every mark, for the changelog."""
        return {topic: self.mark(topic) for topic in self._handled}
