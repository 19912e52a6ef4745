"""How far a projector is behind, measured beside its work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

from pipeline.runtime.api import Measure
from pipeline.runtime.context import Sink
from pipeline.runtime.ends import ends_within
from pipeline.runtime.log import Log, TopicPartition

LOOK_EVERY_S: Final = 2.0
"""As the stages do."""
ASK_WITHIN_S: Final = 30.0
"""A broker that does not tell an end within this is away."""


class LagMeter:
    """Sets ``lag_records`` of the partitions that are placed, and 0 for those that are another's now."""

    def __init__(self, *, log: Log, stage: str, measures: Sink) -> None:
        self._log = log
        self._stage = stage
        self._measures = measures
        self._next: Mapping[TopicPartition, int] = {}
        self._told: set[TopicPartition] = set()
        self._gaps: Counter[str] = Counter()

    def placed(self, following: Mapping[TopicPartition, int]) -> None:
        """Where each partition is read next."""
        self._next = dict(following)

    def gaps(self, seen: Mapping[str, int]) -> None:
        """How often the reader has lost records to retention, as it counts them."""
        new = Counter(seen) - self._gaps
        self._gaps = Counter(seen)
        self._measures.apply(
            [("offset_gaps_total", float(n), {"stage": self._stage, "topic": topic}) for topic, n in new.items()]
        )

    async def run(self) -> None:
        """Measure until canceled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Measure once."""
        following = self._next
        ends = await ends_within(self._log, following, ASK_WITHIN_S, stage=self._stage) if following else {}
        if ends is None:
            return
        lag = {where: max(0, end - following[where]) for where, end in ends.items()}
        told: list[Measure] = [
            ("lag_records", float(behind), {"stage": self._stage, "topic": w.topic, "partition": str(w.partition)})
            for w, behind in {**dict.fromkeys(self._told - lag.keys(), 0), **lag}.items()
        ]
        self._told = set(lag)
        self._measures.apply(told)
