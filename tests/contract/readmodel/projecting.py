"""A log in memory with the public topics, and projectors on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from pipeline import topics
from pipeline.readmodel.decoding import Decoder
from pipeline.readmodel.positions import TOPICS
from pipeline.readmodel.projector import Projector
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.records.codec import Codec
from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.runtime.api import Emit, Headers, Measure
from pipeline.runtime.partition import partition_for
from pipeline.settings.edges import ReadModelSettings
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import MemoryCluster, MemoryLog
from tests.contract.readmodel.support import NOW, shown

PARTITIONS = 3
CODEC = Codec()


class Measures:
    """What was counted."""

    def __init__(self) -> None:
        self.all: list[Measure] = []

    def apply(self, measures: Sequence[Measure]) -> None:
        self.all += measures

    def total(self, name: str, **labels: str) -> float:
        return sum(value for told, value, at in self.all if told == name and labels.items() <= at.items())

    def latest(self, name: str) -> dict[tuple[str, str], float]:
        return {(at["topic"], at["partition"]): value for told, value, at in self.all if told == name}


class World:
    """One cluster and one database."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock(NOW)
        self.cluster = MemoryCluster(self.clock)
        for topic in TOPICS:
            self.cluster.create_topic(topic, partitions=PARTITIONS, append_time=True)
        self.settings = ReadModelSettings.model_validate({"url": url, "batch": 50})
        self.measures = Measures()
        self.running: list[asyncio.Task[None]] = []

    async def log(self) -> MemoryLog:
        log = MemoryLog(self.cluster)
        await log.start()
        return log

    async def publish(self, *records: VerificationOutcome | DeliveryStatus) -> None:
        producer = await (await self.log()).producer()
        for record in records:
            topic = topics.OUTCOMES if isinstance(record, VerificationOutcome) else topics.STATUSES
            await self.publish_bytes(topic, record.verification_id, CODEC.encode(record))
        await producer.stop()

    async def publish_bytes(self, topic: str, key: str, value: bytes, headers: Headers = ()) -> None:
        producer = await (await self.log()).producer()
        await producer.send(Emit(topic, key.encode(), value, partition_for(key.encode(), PARTITIONS), headers))
        await producer.stop()

    def decoder(self) -> Decoder:
        async def refresh() -> None:
            return None

        return Decoder(codec=CODEC, clock=self.clock, refresh=refresh)

    async def projector(self, instance: int = 0) -> Projector:
        return Projector(
            log=await self.log(),
            settings=self.settings,
            clock=self.clock,
            decoder=self.decoder(),
            measures=self.measures,
            instance=instance,
        )

    @asynccontextmanager
    async def projecting(self, instances: int = 1) -> AsyncIterator[list[Projector]]:
        """Projectors that run within the block."""
        projectors = [await self.projector(number) for number in range(instances)]
        async with self.projecting_with(*projectors):
            yield projectors

    @asynccontextmanager
    async def projecting_with(self, *projectors: Projector) -> AsyncIterator[None]:
        """These run within the block."""
        running = self.running = [asyncio.create_task(projector.run()) for projector in projectors]
        try:
            yield
        finally:
            for projector in projectors:
                projector.stop()
            await asyncio.gather(*running)


async def until(holds: Callable[[], object], *, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def until_got(
    verifications: SqlVerifications, verification_id: str, version: int, *, within_s: float = 20.0
) -> None:
    """Wait until a get answers with this version."""
    async with asyncio.timeout(within_s):
        while True:
            found = await verifications.get("acme", verification_id)
            if found is not None and shown(found)["version"] >= version:
                return
            await asyncio.sleep(0.01)
