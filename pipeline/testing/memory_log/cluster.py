"""The broker side of the in-memory log: topics, groups and transactions shared by all its clients."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.clock import Clock
from pipeline.errors import Misconfigured, RecordTooLarge
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log.faults import Faults
from pipeline.testing.memory_log.group import Group
from pipeline.testing.memory_log.partition import Entry, MemoryPartition, Span, TopicConfig
from pipeline.testing.memory_log.transactions import Transactions

# What a batch header and a record's own lengths add to one record, so that limits bite where the broker's do.
_RECORD_OVERHEAD_BYTES = 70


class MemoryCluster:
    """One cluster. Names here are the full ones, with any deployment prefix.

    ``partitions`` creates topics with these partition counts. Timeouts are the broker's: a static member that is gone
    keeps its partitions for ``session_timeout_ms``; who does not join a rebalance within ``rebalance_timeout_ms`` is
    not waited for; a transaction open for ``transaction_timeout_ms`` is aborted and its writer fenced. They elapse on
    ``clock`` and take effect at the next call of any client.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        partitions: Mapping[str, int] | None = None,
        faults: Faults | None = None,
        session_timeout_ms: int = 30_000,
        rebalance_timeout_ms: int = 60_000,
        transaction_timeout_ms: int = 5_000,
    ) -> None:
        self.clock = clock
        self.faults = faults or Faults()
        self.transactions = Transactions(self)
        self.resets: list[tuple[TopicPartition, int]] = []
        """Positions that were out of range and were set to the earliest offset, in order."""
        self._session_timeout_s = session_timeout_ms / 1_000
        self._rebalance_timeout_s = rebalance_timeout_ms / 1_000
        self._transaction_timeout_s = transaction_timeout_ms / 1_000
        self._topics: dict[str, list[MemoryPartition]] = {}
        self._groups: dict[str, Group] = {}
        for topic, count in (partitions or {}).items():
            self.create_topic(topic, partitions=count)

    def create_topic(
        self, topic: str, *, partitions: int, append_time: bool = False, max_message_bytes: int = 1_048_588
    ) -> None:
        """Create a topic; raises Misconfigured when it exists. ``append_time`` is LogAppendTime."""
        if topic in self._topics:
            raise Misconfigured(f"topic {topic} exists already")
        config = TopicConfig(partitions=partitions, append_time=append_time, max_message_bytes=max_message_bytes)
        self._topics[topic] = [MemoryPartition(config) for _ in range(partitions)]

    def partition_count(self, topic: str) -> int:
        """How many partitions; raises Misconfigured for an unknown topic."""
        return len(self._topic(topic))

    def partition(self, partition: TopicPartition) -> MemoryPartition:
        """One partition; raises Misconfigured when it does not exist."""
        partitions = self._topic(partition.topic)
        if not 0 <= partition.partition < len(partitions):
            raise Misconfigured(
                f"topic {partition.topic} has partitions 0 to {len(partitions) - 1}, not {partition.partition}"
            )
        return partitions[partition.partition]

    def group(self, name: str) -> Group:
        """A consumer group, made on first use."""
        if name not in self._groups:
            self._groups[name] = Group(self.partition_count, self.clock.monotonic_s)
        return self._groups[name]

    def append(self, partition: TopicPartition, emit: Emit, *, writer_time_ms: int, span: Span | None = None) -> int:
        """Write one record; its offset. Raises RecordTooLarge."""
        target = self.partition(partition)
        size = _RECORD_OVERHEAD_BYTES + emit.size_bytes
        if size > target.config.max_message_bytes:
            raise RecordTooLarge(
                f"a record of {size} bytes for {partition.topic}/{partition.partition} is larger than the topic's "
                f"max.message.bytes of {target.config.max_message_bytes}"
            )
        timestamp_ms = self.clock.now_ms() if target.config.append_time else writer_time_ms
        return target.append(timestamp_ms, emit.key, emit.value, emit.headers, span)

    def read(self, partition: TopicPartition, position: int, limit: int) -> tuple[list[Entry], int]:
        """Visible entries from ``position`` on and where to go on; a position out of range becomes the earliest."""
        target = self.partition(partition)
        if not target.start <= position <= target.end:
            self.resets.append((partition, position))
            position = target.start
        return target.read(position, limit)

    def sweep(self) -> None:
        """Let every timeout that has passed on the clock take effect."""
        self.transactions.abort_expired(self.clock.monotonic_s(), self._transaction_timeout_s)
        for group in self._groups.values():
            group.sweep(self._session_timeout_s, self._rebalance_timeout_s)

    def compact(self, topic: str, *, drop_tombstones: bool = False) -> None:
        """Run the cleaner over a topic: the last value per key stays, gaps do not close."""
        for partition in self._topic(topic):
            partition.compact(drop_tombstones=drop_tombstones)

    def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Let retention delete everything before ``offset``."""
        self.partition(partition).delete_before(offset)

    def expire(self, group: str, instance: str) -> None:
        """Let a member's session time out now, whatever the clock says."""
        self.group(group).expire(instance)

    def _topic(self, topic: str) -> list[MemoryPartition]:
        try:
            return self._topics[topic]
        except KeyError:
            raise Misconfigured(f"topic {topic} does not exist; create it with `pipeline topics apply`") from None
