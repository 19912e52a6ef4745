"""How far, in time, each input of a task has been read.

A timer with deadline D fires only when everything written up to D has been handled: a tracker back from 45 seconds
away would otherwise call every waiting person and expire codes whose right answers lie unread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.runtime.api import Input, Lane

NEVER = -1


class Frontier:
    """Per input topic of one task: all records with a timestamp up to this (milliseconds) were handled."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self._read_ms = {i.topic: NEVER for i in inputs}
        self._topics: dict[Lane | None, list[str]] = {
            None: [i.topic for i in inputs],
            Lane.INTERACTIVE: [i.topic for i in inputs if i.lane is not Lane.BULK],
            Lane.BULK: [i.topic for i in inputs if i.lane is not Lane.INTERACTIVE],
        }
        self._snapshot_ms = NEVER
        self._ends: Mapping[str, int] = {}

    def handled(self, topic: str, timestamp_ms: int) -> None:
        """A record was handled. More of the same millisecond may follow, so the time before it is complete."""
        if timestamp_ms - 1 > self._read_ms[topic]:
            self._read_ms[topic] = timestamp_ms - 1

    def snapshot(self, taken_ms: int, ends: Mapping[str, int]) -> None:
        """Ends of the inputs, asked for at ``taken_ms``: what lies before them is all that is older."""
        self._snapshot_ms = taken_ms
        self._ends = ends

    def reached(self, positions: Mapping[str, int]) -> None:
        """``positions``: per topic the offset before which everything was handled."""
        for topic, end in self._ends.items():
            if positions.get(topic, NEVER) >= end and self._snapshot_ms - 1 > self._read_ms[topic]:
                self._read_ms[topic] = self._snapshot_ms - 1

    def complete_ms(self, lane: Lane | None) -> int:
        """Everything of this lane up to this time was handled."""
        return min((self._read_ms[topic] for topic in self._topics[lane]), default=NEVER)

    def asked_since(self, at_ms: int) -> bool:
        """Whether ends were asked for after ``at_ms``."""
        return self._snapshot_ms > at_ms
