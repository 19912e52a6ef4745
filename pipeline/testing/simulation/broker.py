"""The in-memory log with a will of its own: slow, away, or silent about what it has done."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from pipeline.errors import LogUnavailable
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log import Faults, MemoryCluster
from pipeline.testing.memory_log.partition import Span
from pipeline.testing.simulation.machine import acts_outside
from pipeline.testing.simulation.steps import Steps
from pipeline.testing.simulation.swarm import Swarm


class Moods(Faults):
    """Each hook is a point where a process can die, as it waits there."""

    def __init__(self, swarm: Swarm, chance: random.Random, steps: Steps) -> None:
        self._swarm = swarm
        self._chance = chance
        self._steps = steps
        self.rages: Callable[[], bool] = lambda: False
        self.away_until_s = 0.0

    async def before_start(self, writer: str) -> None:
        """See :class:`pipeline.testing.memory_log.Faults`, as for all of these."""
        await self._hop(f"start of {writer}")

    async def before_append(self, writer: str, partition: TopicPartition) -> None:
        acts_outside()
        await self._hop(f"write of {writer} to {partition.topic}/{partition.partition}", "failed_writes", 0.01)

    async def before_commit(self, writer: str) -> None:
        acts_outside()
        await self._hop(f"commit of {writer}", "failed_writes", 0.02)

    async def before_reply(self, writer: str) -> None:
        acts_outside()
        await self._hop(f"answer to the commit of {writer}", "lost_commits", 0.05)

    async def before_send(self, partition: TopicPartition) -> None:
        acts_outside()
        await self._hop(f"record for {partition.topic}")

    async def before_send_reply(self, partition: TopicPartition) -> None:
        acts_outside()
        await self._hop(f"answer to a record for {partition.topic}", "lost_sends", 0.15)

    async def before_revoke(self, group: str, instance: str) -> None:
        await asyncio.sleep(0)

    async def before_join(self, group: str, instance: str) -> None:
        self._steps.note(f"{instance} joins {group}")
        await asyncio.sleep(0)

    async def before_fetch(self, reader: str) -> None:
        # A reader is told nothing of a broker that is away: it finds nothing until it is back.
        if (left_s := self.away_until_s - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left_s)

    async def _hop(self, what: str, feature: str = "", share: float = 0.0) -> None:
        chance = self._chance
        if asyncio.get_running_loop().time() < self.away_until_s:
            await asyncio.sleep(0.2)
            raise LogUnavailable(f"the log is away: {what}")
        takes_s = 0.0
        if "slow_log" in self._swarm and self.rages():
            takes_s = chance.choice((0.0, 0.0, 0.01, 0.05)) if chance.random() < 0.98 else chance.uniform(0.5, 3.0)
        await asyncio.sleep(takes_s)
        if feature and feature in self._swarm and self.rages() and chance.random() < share:
            self._steps.note(f"fails: {what}")
            raise LogUnavailable(f"simulated: {what}")


class SlowMoods(Moods):
    """What is committed becomes visible late."""

    async def before_marker(self, writer: str, partition: TopicPartition) -> None:
        if self.rages():
            await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.002, 0.3, 1.5)))


class Broker(MemoryCluster):
    """Tells each record that is written."""

    steps: Steps

    def append(self, partition: TopicPartition, emit: Emit, *, writer_time_ms: int, span: Span | None = None) -> int:
        """See :class:`MemoryCluster`."""
        offset = super().append(partition, emit, writer_time_ms=writer_time_ms, span=span)
        if self.steps.wanted:
            kind = next((value.decode() for name, value in emit.headers if name == "schema" and value), "record")
            key = "" if partition.topic.startswith("verification.requests") else f" of {emit.key!r}"
            self.steps.note(f"writes {kind}{key} at {partition.topic}/{partition.partition}@{offset}")
        return offset
