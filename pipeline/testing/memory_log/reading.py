"""What every client shares: its view of the cluster, taking records in turn, and waiting for more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.errors import LogUnavailable
from pipeline.runtime.api import Record
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log.cluster import MemoryCluster


@dataclass(slots=True)
class Process:
    """One client process: its deployment prefix, its clock, and whether it still lives."""

    cluster: MemoryCluster
    prefix: str
    clock: Clock
    ended: str | None = None
    """Why no call succeeds any more; None while the process runs."""

    def full(self, partition: TopicPartition) -> TopicPartition:
        """The cluster's name of a partition."""
        if not self.prefix:
            return partition
        return TopicPartition(self.prefix + partition.topic, partition.partition)

    def check(self) -> None:
        """Let the broker's timeouts take effect; raises LogUnavailable when this process is closed or dead."""
        if self.ended is not None:
            raise LogUnavailable(f"this client {self.ended}; make a new one")
        self.cluster.sweep()


class Watch:
    """An event set whenever one of the watched partitions has more to show, or somebody calls :meth:`wake`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._event = asyncio.Event()
        self._watched: list[TopicPartition] = []

    def watch(self, partitions: Iterable[TopicPartition]) -> None:
        """Watch exactly these from now on."""
        cluster = self._process.cluster
        for partition in self._watched:
            cluster.partition(partition).watchers.pop(self._event, None)
        self._watched = [self._process.full(partition) for partition in partitions]
        for partition in self._watched:
            cluster.partition(partition).watchers[self._event] = None

    def wake(self) -> None:
        """End a running :meth:`wait`, or the next one."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Return after something happened since the last wait, or after ``timeout_s``."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


def take(
    process: Process,
    positions: MutableMapping[TopicPartition, int],
    partitions: list[TopicPartition],
    max_records: int,
) -> dict[TopicPartition, list[Record]]:
    """Read the partitions in this order, moving their positions, until ``max_records`` are found."""
    found: dict[TopicPartition, list[Record]] = {}
    for partition in partitions:
        if max_records <= 0:
            break
        entries, positions[partition] = process.cluster.read(process.full(partition), positions[partition], max_records)
        if entries:
            max_records -= len(entries)
            found[partition] = [
                Record(
                    partition.topic,
                    partition.partition,
                    entry.offset,
                    entry.timestamp_ms,
                    entry.key,
                    entry.value,
                    entry.headers,
                )
                for entry in entries
            ]
    return found
