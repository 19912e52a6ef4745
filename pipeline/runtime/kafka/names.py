"""The deployment's prefix, put on topic names and taken off."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition as KafkaPartition

from pipeline.runtime.api import Record
from pipeline.runtime.log import TopicPartition


class Names:
    """Puts the deployment prefix on topic names and takes it off again."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._theirs: dict[TopicPartition, KafkaPartition] = {}
        self._ours: dict[KafkaPartition, TopicPartition] = {}

    def theirs(self, partition: TopicPartition) -> KafkaPartition:
        """The partition as the cluster names it."""
        found = self._theirs.get(partition)
        if found is None:
            found = KafkaPartition(self._prefix + partition.topic, partition.partition)
            self._theirs[partition] = found
            self._ours[found] = partition
        return found

    def ours(self, partition: KafkaPartition) -> TopicPartition:
        """The partition without the prefix."""
        found = self._ours.get(partition)
        if found is None:
            found = TopicPartition(partition.topic.removeprefix(self._prefix), partition.partition)
            self.theirs(found)
        return found

    def records(self, partition: KafkaPartition, fetched: Iterable[Any]) -> list[Record]:
        """Lean messages of one partition as ours."""
        topic, number = self.ours(partition)
        return [Record(topic, number, m.offset, m.timestamp, m.key, m.value, tuple(m.headers)) for m in fetched]
