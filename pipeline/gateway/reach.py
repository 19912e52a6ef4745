"""Whether Kafka answers this gateway, known also while nobody writes."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from pipeline import topics
from pipeline.clock import Clock
from pipeline.runtime.ends import ends_within
from pipeline.runtime.log import Log, TopicPartition

ASK_WITHIN_S: Final = 30.0
"""Longer than a request of the library may take by itself: one cut short would leave a dead connection in use."""
LOOKS: Final = 3
"""In each ``patience_s``, each at another partition, so that no single leader is taken for all of Kafka."""

_log = structlog.get_logger("gateway")


class Reach:
    """Asks for the end of a partition of requests again and again; :meth:`run` until it is canceled."""

    def __init__(self, *, log: Log, clock: Clock, patience_s: float) -> None:
        """Kafka is taken for away when no question was answered for ``patience_s``, and for back at the first answer.

        So a broker that restarts, or a leader that moves, turns no gateway away from its callers.
        """
        self._kafka = log
        self._clock = clock
        self._patience_s = patience_s
        # The process has connected, or it would not have come so far.
        self._answered_s = clock.monotonic_s()
        self._asking: set[TopicPartition] = set()
        self._away = False

    def missing(self) -> list[str]:
        """What a person should know who asks why this gateway is not ready."""
        silent_s = self._clock.monotonic_s() - self._answered_s
        return [f"gateway: Kafka has not answered for {silent_s:.0f} s"] if silent_s > self._patience_s else []

    async def run(self) -> None:
        """Go on asking."""
        looks = 0
        async with asyncio.TaskGroup() as under_way:
            while True:
                asked = await self._partition(looks)
                looks += 1
                # Not one behind the other: a leader that hangs lets its question wait for most of the patience.
                if asked is not None and asked not in self._asking:
                    self._asking.add(asked)
                    under_way.create_task(self._look(asked))
                await asyncio.sleep(self._patience_s / LOOKS)

    async def _partition(self, looks: int) -> TopicPartition | None:
        try:
            partitions = await self._kafka.partitions(topics.REQUESTS)
        except Exception as error:
            _log.warning("partitions_unknown", cause=repr(error))
            self._heard(answered=False)
            return None
        return TopicPartition(topics.REQUESTS, looks % partitions)

    async def _look(self, asked: TopicPartition) -> None:
        try:
            ends = await ends_within(self._kafka, [asked], ASK_WITHIN_S, stage="gateway")
        finally:
            self._asking.discard(asked)
        self._heard(answered=ends is not None)

    def _heard(self, *, answered: bool) -> None:
        if answered:
            self._answered_s = self._clock.monotonic_s()
        if self._away is answered and (answered or self.missing()):
            self._away = not answered
            _log.warning("kafka_away" if self._away else "kafka_back")
