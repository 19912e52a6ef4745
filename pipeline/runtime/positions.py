"""Which offset of each input may be committed: the contiguous finished mark, and what beyond it is ended already."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping


class Marks:
    """Per input topic of one task: what was handled, and what is handled but held (a call is running)."""

    def __init__(self) -> None:
        self._handled: dict[str, int] = {}
        self._held: dict[str, list[int]] = {}
        self._released: dict[str, set[int]] = {}
        self._refused: dict[str, list[int]] = {}
        self._committed: dict[str, int] = {}
        self.refused_anew = False
        """Something was refused beyond a mark since the last commit."""

    def start(self, positions: Mapping[str, int], refused: Mapping[str, Iterable[int]] | None = None) -> None:
        """Begin at these next-to-handle offsets, which are committed; ``refused`` as :meth:`beyond` told it."""
        refused = refused or {}
        self._handled = dict(positions)
        self._committed = dict(positions)
        self._held = {topic: [] for topic in positions}
        self._released = {topic: set() for topic in positions}
        self._refused = {topic: sorted(refused.get(topic, ())) for topic in positions}

    def handled(self, topic: str, offset: int, *, hold: bool, refused: bool = False) -> None:
        """A record was handled; with ``hold`` it is finished only by :meth:`release`.

        One that was ``refused`` has its dead letter. Behind a held one it may be read again, and must not get another.
        """
        self._handled[topic] = offset + 1
        if hold:
            # Offsets arrive in order, so appending keeps the heap.
            heapq.heappush(self._held[topic], offset)
        elif refused and self.mark(topic) <= offset:
            self._refused[topic].append(offset)
            self.refused_anew = True

    def was_refused(self, topic: str, offset: int) -> bool:
        """Whether the record, now read again, has had its dead letter."""
        refused = self._refused[topic]
        return bool(refused) and offset in refused

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
        """These marks are durable now, and what was refused beyond them."""
        self._committed.update(marks)
        self.refused_anew = False

    def all(self) -> dict[str, int]:
        """Every mark, for the changelog."""
        return {topic: self.mark(topic) for topic in self._handled}

    def beyond(self) -> dict[str, list[int]]:
        """Per topic that has some: what was refused at its mark and beyond, for the changelog."""
        found = {}
        for topic, refused in self._refused.items():
            if refused:
                mark = self.mark(topic)
                self._refused[topic] = refused = [offset for offset in refused if offset >= mark]
                if refused:
                    found[topic] = refused
        return found
