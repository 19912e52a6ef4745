"""A member that reads what it owns from the committed offset on, and a few words for tests of the in-memory log."""

from __future__ import annotations

import asyncio

from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition, scan
from pipeline.testing.memory_log import MemoryGroupReader, MemoryLog

TOPIC = "topic"
P0, P1, P2, P3 = (TopicPartition(TOPIC, number) for number in range(4))


def emit(value: bytes, partition: int = 0) -> Emit:
    """One output."""
    return Emit(TOPIC, b"key", value, partition)


async def values(log: MemoryLog, partition: TopicPartition = P0) -> list[bytes | None]:
    """What a reader sees now; unlike a scan it does not wait for open transactions."""
    reader = await log.reader({partition: 0})
    records = await reader.fetch(timeout_ms=0, max_records=1_000)
    await reader.stop()
    return [record.value for record in records]


async def scanned(log: MemoryLog, partition: TopicPartition = P0) -> list[bytes | None]:
    """What a scan finds."""
    return [record.value async for records in scan(log, {partition: 0}, wait_ms=1) for record in records]


class Member:
    """Polls in a task of its own, as a stage's main loop does."""

    def __init__(self, log: MemoryLog, instance: str, *, group: str = "group", revoke_takes_s: float = 0.0) -> None:
        self.log = log
        self.reader: MemoryGroupReader = log.group_reader(group, [TOPIC], instance)
        self.values: list[bytes | None] = []
        self.revoked: list[frozenset[TopicPartition]] = []
        self.error: BaseException | None = None
        self._revoke_takes_s = revoke_takes_s
        self._new: frozenset[TopicPartition] = frozenset()
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> Member:
        await self.reader.start(self._on_assigned, self._on_revoked)
        self._polling = asyncio.create_task(self._poll())
        return self

    def owns(self) -> set[int]:
        """The numbers of the partitions owned now."""
        return {partition.partition for partition in self.reader.assignment()}

    def crash(self) -> None:
        """Die without a word."""
        self.log.crash()
        assert self._polling is not None
        self._polling.cancel()

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self._new = partitions

    async def _on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        if partitions:
            self.revoked.append(partitions)
            await asyncio.sleep(self._revoke_takes_s)

    async def _poll(self) -> None:
        try:
            while True:
                new, self._new = self._new, frozenset()
                for partition in new:
                    self.reader.seek(partition, await self.reader.committed(partition) or 0)
                self.reader.resume(new)
                for records in (await self.reader.fetch(timeout_ms=500, max_records=100)).values():
                    self.values += [record.value for record in records]
        except Exception as error:
            self.error = error
