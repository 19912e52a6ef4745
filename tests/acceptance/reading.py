"""Reading topics with librdkafka: all that is there now, or from the beginning on."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from tests.acceptance.found import Seen


class Reading:
    """The topics of one deployment, named without its prefix."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._config = {"bootstrap.servers": bootstrap}
        self._prefix = prefix

    def read(self, *topics: str, committed: bool = False) -> list[Seen]:
        """Everything that these topics hold now; of aborted transactions too unless ``committed``."""
        consumer = self.consumer(committed)
        found: list[Seen] = []
        try:
            places = self.places(consumer, topics)
            ends = {(p.topic, p.partition): consumer.get_watermark_offsets(p, timeout=10)[1] for p in places}
            consumer.assign(places)
            open_ = {place for place, end in ends.items() if end > 0}
            deadline = time.monotonic() + 60
            while open_:
                assert time.monotonic() < deadline, f"not read to their ends: {sorted(open_)[:5]}"
                for message in consumer.consume(5_000, timeout=0.2):
                    assert message.error() is None, message.error()
                    found.append(Seen.of(message, self._prefix))
                # Markers at an end are no messages, so the position tells.
                for place in consumer.position([TopicPartition(*one) for one in open_]):
                    if place.offset >= ends[place.topic, place.partition]:
                        open_.discard((place.topic, place.partition))
        finally:
            consumer.close()
        return found

    def topics(self) -> list[str]:
        """All topics of the deployment, without prefix."""
        consumer = self.consumer(True)
        try:
            names = consumer.list_topics(timeout=10).topics
        finally:
            consumer.close()
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def consumer(self, committed: bool) -> Consumer:
        """A reader that joins no group; of aborted transactions too unless ``committed``."""
        isolation = "read_committed" if committed else "read_uncommitted"
        return Consumer(
            {
                **self._config,
                "group.id": f"stranger-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "isolation.level": isolation,
                "fetch.wait.max.ms": 20,
                "log_level": 3,
            }
        )

    def places(self, consumer: Consumer, topics: Iterable[str]) -> list[TopicPartition]:
        """The beginnings of all partitions of these topics."""
        known = consumer.list_topics(timeout=10).topics
        return [
            TopicPartition(self._prefix + topic, number, OFFSET_BEGINNING)
            for topic in topics
            for number in sorted(known[self._prefix + topic].partitions)
        ]
