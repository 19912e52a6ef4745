"""The sample stage behind a fault proxy, loaded and checked through the broker's ordinary door."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from pipeline.errors import LogUnavailable
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import Reader, TopicPartition
from pipeline.testing.kafka_proxy import KafkaProxy
from tests.integration.runtime.cluster import PARTITIONS, Cluster

KEYS = 20
"""They lie in all four partitions."""
REQUEST_S = 2.5
"""How long a request of the stage may take: little, so that a lost answer is noticed soon, but more than a broker needs
on a machine that does other things as well."""


class Net:
    """``stage`` is what stands behind the proxy, ``side`` what looks on undisturbed."""

    def __init__(self, proxy: KafkaProxy, bootstrap: str, prefix: str) -> None:
        self.proxy = proxy
        self.side = Cluster(bootstrap, prefix)
        self.stage = Cluster(proxy.bootstrap_servers, prefix)
        self.stage.settings = self.stage.settings.model_copy(
            update={"request_timeout_ms": int(REQUEST_S * 1000), "rebalance_timeout_ms": 10_000}
        )
        self.stage.log = KafkaLog(self.stage.settings, client_id="stage")
        self.published = 0
        self.found: list[Record] = []
        """The outputs that were read by now."""

    async def publish(self, rounds: int = 1) -> None:
        """Each key so many times more."""
        await self.side.publish([(b"k%d" % key, b"v") for _ in range(rounds) for key in range(KEYS)])
        self.published += rounds * KEYS

    @asynccontextmanager
    async def load(self, every_s: float = 0.05) -> AsyncIterator[None]:
        """Each key once more every so often, for as long as the block takes."""
        ends = asyncio.Event()
        producer = await self.side.log.producer()

        async def publish() -> None:
            while not ends.is_set():
                try:
                    await asyncio.gather(*(producer.send(Emit("in", b"k%d" % key, b"v")) for key in range(KEYS)))
                except LogUnavailable:
                    # A broker that is away is no reason to end. What of this was written nobody knows, so it does not
                    # count here; in the end the topic itself says what was published.
                    continue
                self.published += KEYS
                await asyncio.sleep(every_s)

        await self.publish()
        publishing = asyncio.create_task(publish())
        try:
            yield
        finally:
            ends.set()
            await publishing
            await producer.stop()

    async def catches_up(self, within_s: float = 60.0) -> None:
        """Everything published so far is answered in time, for every key."""
        wanted = self.published // KEYS
        async with self._outputs() as reader, asyncio.timeout(within_s):
            counts = Counter(record.key for record in self.found)
            while len(counts) < KEYS or min(counts.values()) < wanted:
                new = await reader.fetch(timeout_ms=200, max_records=5_000)
                self.found += new
                counts.update(record.key for record in new)

    async def nothing_is_lost_or_doubled(self, within_s: float = 90.0) -> None:
        """One output per input; each key's counts are 1, 2, 3 ...: state, position and output moved together."""
        inputs = {(r.topic, r.partition, r.offset): r.key or b"" for r in await self.side.read("in")}
        await self.side.outputs(len(inputs), within_s=within_s)
        await asyncio.sleep(0.3)  # for what should not come any more
        found = [(record, orjson.loads(record.value or b"")) for record in await self.side.read("out")]
        answered = Counter((topic, record.partition, offset) for record, (topic, offset, _) in found)
        assert answered == dict.fromkeys(inputs, 1)
        counts: dict[bytes, list[int]] = {}
        for record, (_, _, seen) in found:
            counts.setdefault(record.key or b"", []).append(seen)
        of_key = Counter(inputs.values())
        assert counts == {key: list(range(1, number + 1)) for key, number in of_key.items()}

    async def no_transaction_is_left_open(self) -> None:
        """Nothing stands behind the last stable offset of any partition: every transaction was decided.

        One that its coordinator has forgotten would hold readers back for ever.
        """
        topics = [*(self.side.settings.topic_prefix + topic for topic in ("out", "count-state")), "__consumer_offsets"]
        ends: list[dict[KafkaPartition, int]] = []
        for isolation in ("read_uncommitted", "read_committed"):
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.side.settings.bootstrap_servers, isolation_level=isolation
            )
            await consumer.start()
            try:
                found = [KafkaPartition(topic, n) for topic in topics for n in await partitions_of(consumer, topic)]
                ends.append(await consumer.end_offsets(found))
            finally:
                await consumer.stop()
        assert ends[1] == ends[0]

    @asynccontextmanager
    async def _outputs(self) -> AsyncIterator[Reader]:
        """Reads on where the last look at the outputs ended."""
        starts = {TopicPartition("out", number): 0 for number in range(PARTITIONS)}
        for record in self.found:
            starts[TopicPartition("out", record.partition)] = record.offset + 1
        reader = await self.side.log.reader(starts)
        try:
            yield reader
        finally:
            await reader.stop()


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """The numbers of a topic's partitions."""
    await consumer._client._wait_on_metadata(topic)
    return set(consumer.partitions_for_topic(topic))
