"""Every topic of a deployment on the in-memory log, and the real stages running on them in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import orjson

from pipeline import topics, topics_file
from pipeline.dead_letters import SealedDeadLetters
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.public import DeadLetter
from pipeline.records.types import AvroRecord
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Emit, Headers, Input, Record, Stage
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.partition import partition_for
from pipeline.runtime.runner import StageRunner
from pipeline.senders.engine import SenderEngine
from pipeline.senders.provider import Provider
from pipeline.senders.providers.ycloud import YCloud
from pipeline.senders.registry import Limits
from pipeline.senders.stage import INPUTS
from pipeline.settings import RuntimeSettings, Settings, YCloudSettings
from pipeline.testing.clock import ManualClock
from pipeline.testing.http import Answer, ScriptedTransport
from pipeline.testing.memory_log import MemoryCluster, MemoryLog
from pipeline.tracker.stage import TrackerStage
from tests.integration.runtime.sample import Measured

R = TypeVar("R", bound=AvroRecord)

PARTITIONS = 4
RING = KeyRing.for_tests()
NOW = 1_764_000_000_000


def ycloud() -> YCloud:
    return YCloud(instance="ycloud", settings=YCloudSettings.model_validate({"api_key": "k", "webhook_secret": "s"}))


class Deployment:
    """One cluster with the topics of ``deploy/topics.yaml`` and one provider, which takes every message.

    Make it inside the loop of the test.
    """

    def __init__(self, provider: Provider | None = None, *, max_message_bytes: Mapping[str, int] | None = None) -> None:
        self.clock = ManualClock(now_ms=NOW)
        self.clock.bind(asyncio.get_running_loop().time)
        self.cluster = MemoryCluster(self.clock)
        self.log = MemoryLog(self.cluster)
        self.codec = Codec()
        self.provider = provider or ycloud()
        self.max_concurrency = 10
        self.dawdles_s = 0.0
        """How long the provider takes for an answer."""
        self.transport = ScriptedTransport(
            lambda _: Answer.json({"id": "m1", "status": "pending"}, delay_s=self.dawdles_s)
        )
        self._process = self.log
        self._crashed = False
        self.topics = topics_file.wanted_topics(topics_file.load(), providers=["ycloud"], partitions=PARTITIONS)
        for topic in self.topics:
            self.cluster.create_topic(
                topic.name,
                partitions=topic.partitions,
                append_time=topic.config["message.timestamp.type"] == "LogAppendTime",
                max_message_bytes=(max_message_bytes or {}).get(topic.name, 1_048_588),
            )

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[None]:
        """Run these stages (``router``, ``tracker``, ``sender``) in one process, or all, until they stop or crash."""
        makers = {"router": self._router, "tracker": self._tracker, "sender": self._sender}
        self._process = MemoryLog(self.cluster)
        runners = [makers[name]() for name in names or makers]
        running = [asyncio.create_task(runner.run()) for runner in runners]
        self._crashed = False
        try:
            yield
        finally:
            for runner in runners:
                runner.stop()
            await asyncio.gather(*running, return_exceptions=self._crashed)

    def crash(self) -> None:
        """The running process dies: nothing it does from now on is seen by anybody."""
        self._crashed = True
        self._process.crash()

    async def publish(
        self,
        topic: str,
        value: AvroRecord | bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> TopicPartition:
        """Write one record as a producer would; where it went."""
        data = self.codec.encode(value) if isinstance(value, AvroRecord) else value
        place, _ = await (await self.log.producer()).send(Emit(topic, key, data, partition, headers))
        return TopicPartition(topic, place)

    async def records(self, topic: str) -> list[Record]:
        """Everything committed to a topic."""
        starts = {TopicPartition(topic, number): 0 for number in range(await self.log.partitions(topic))}
        return [record async for found in scan(self.log, starts) for record in found]

    async def read(self, topic: str, kind: type[R]) -> list[R]:
        """The same, decoded."""
        return [self.codec.decode(kind, record.value, public=False) for record in await self.records(topic)]

    async def letters(self) -> list[DeadLetter]:
        return await self.read(topics.DEAD_LETTERS, DeadLetter)

    def messages(self) -> list[dict[str, str]]:
        """What the provider got, as the person would see it."""
        return [orjson.loads(request.content) for request in self.transport.received]

    # --- the stages -----------------------------------------------------------------------------------------------

    def _router(self) -> StageRunner[Any]:
        settings = Settings()
        capabilities = {"ycloud": self.provider.capabilities}

        def make(_: int, partitions: int) -> RouterStage:
            return RouterStage(
                codec=self.codec, key_ring=RING, settings=settings, providers=capabilities, partitions=partitions
            )

        return self._runner("router", RouterStage.inputs, RouterStage.changelog, make)

    def _tracker(self) -> StageRunner[Any]:
        policy = Settings().policy

        def make(_: int, partitions: int) -> TrackerStage:
            return TrackerStage(codec=self.codec, key_ring=RING, settings=policy, partitions=partitions)

        return self._runner("tracker", TrackerStage.inputs, TrackerStage.changelog, make)

    def _sender(self) -> StageRunner[Any]:
        engine = SenderEngine(
            provider=self.provider,
            limits=Limits(max_concurrency=self.max_concurrency, rate_per_s=1_000, timeout_s=10, connect_timeout_s=5),
            codec=self.codec,
            key_ring=RING,
            clock=self.clock,
            partitions=PARTITIONS,
            exchange=self.transport,
        )
        return self._runner("sender.ycloud", INPUTS, topics.attempts("ycloud"), lambda number, _: engine.stage(number))

    def _runner(
        self, name: str, inputs: Sequence[Input], changelog: str, make: Callable[[int, int], Stage[Any]]
    ) -> StageRunner[Any]:
        return StageRunner(
            name=name,
            inputs=inputs,
            changelog=changelog,
            make_stage=make,
            log=self._process,
            clock=self.clock,
            settings=RuntimeSettings(),
            metrics=Measured(),
            dead_letters=SealedDeadLetters(codec=self.codec, key_ring=RING),
        )


def home(name: str) -> int:
    """The partition where a recipient's or a verification's state lives."""
    return partition_for(name.encode(), PARTITIONS)
