"""The in-memory log for the contract tests."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import MemoryCluster, MemoryLog, MemoryWriter

TRANSACTION_TIMEOUT_MS = 60_000


class _OpenTransaction:
    def __init__(self, writer: MemoryWriter) -> None:
        self._writer = writer

    async def commit(self) -> None:
        await self._writer.end(commit=True)

    async def abort(self) -> None:
        await self._writer.end(commit=False)


class MemoryFactory:
    """See :class:`tests.contract.log.support.LogFactory`."""

    patience_ms = 20

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cluster = MemoryCluster(self.clock, transaction_timeout_ms=TRANSACTION_TIMEOUT_MS)
        self._numbers = itertools.count()

    async def log(self, deployment: str = "", *, impatient: bool = False) -> MemoryLog:
        log = MemoryLog(self.cluster, deployment)
        await log.start()
        return log

    async def topic(
        self,
        partitions: int = 1,
        *,
        append_time: bool = False,
        max_message_bytes: int = 1_000_000,
        compacted: bool = False,
        deployment: str = "",
    ) -> str:
        name = f"topic-{next(self._numbers)}"
        self.cluster.create_topic(
            deployment + name, partitions=partitions, append_time=append_time, max_message_bytes=max_message_bytes
        )
        return name

    async def leave_transaction_open(
        self,
        topic: str,
        partition: int,
        *,
        values: Sequence[bytes] = (b"open",),
        transactional_id: str | None = None,
        timeout_s: float = 60.0,
    ) -> _OpenTransaction:
        writer = MemoryLog(self.cluster).writer(transactional_id or f"open-{next(self._numbers)}")
        await writer.start()
        await writer.append([Emit(topic, b"key", value, partition) for value in values])
        return _OpenTransaction(writer)

    async def pass_transaction_timeout(self, timeout_s: float) -> None:
        # One timeout for all of the cluster's; what is measured on its clock is a matter of no time.
        self.clock.advance(TRANSACTION_TIMEOUT_MS + 1)

    async def expire(self, group: str, instance: str) -> None:
        self.cluster.expire(group, instance)

    async def compact(self, partition: TopicPartition) -> None:
        self.cluster.compact(partition.topic)

    async def delete_before(self, partition: TopicPartition, offset: int) -> None:
        self.cluster.delete_before(partition, offset)
