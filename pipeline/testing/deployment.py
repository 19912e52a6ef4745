"""Every topic of a deployment on the in-memory log, and the real stages and the gateway on them in virtual time.

Which providers there are is configured as in production, or given: doubles with chosen abilities. Each has a far end of
its line, which a test scripts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import httpx
import orjson

from pipeline import topics, topics_file
from pipeline.clock import Clock
from pipeline.correlator.stage import CorrelatorStage
from pipeline.dead_letters import SealedDeadLetters
from pipeline.gateway.app import create_app
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Reports
from pipeline.gateway.service import reporting
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.public import DeadLetter
from pipeline.records.types import AvroRecord
from pipeline.router.stage import RouterStage
from pipeline.runtime.api import Emit, Headers, Input, Record, Stage
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.log import TopicPartition, scan
from pipeline.runtime.partition import partition_for
from pipeline.runtime.runner import ENDS_EVERY_S, FETCH_MS, StageRunner
from pipeline.senders import registry
from pipeline.senders.engine import SenderEngine
from pipeline.senders.exchange import Exchange
from pipeline.senders.health import Pauses
from pipeline.senders.provider import Provider
from pipeline.senders.providers.ycloud import YCloud
from pipeline.senders.registry import Limits
from pipeline.senders.stage import INPUTS
from pipeline.settings import Settings, YCloudSettings
from pipeline.testing.clock import ManualClock
from pipeline.testing.http import Answer, ScriptedTransport
from pipeline.testing.measured import Figures
from pipeline.testing.memory_log import MemoryCluster, MemoryLog
from pipeline.tracker.stage import TrackerStage

R = TypeVar("R", bound=AvroRecord)

PARTITIONS = 4
RING = KeyRing.for_tests()
NOW = 1_764_000_000_000
GATEWAY = "https://gateway.test"


def ycloud() -> YCloud:
    return YCloud(instance="ycloud", settings=YCloudSettings.model_validate({"api_key": "k", "webhook_secret": "s"}))


class Process:
    """Stages that run, and die, together."""

    def __init__(self, cluster: MemoryCluster, instance: int, clock: ManualClock) -> None:
        self.clock = clock
        self.log = MemoryLog(cluster, clock=clock)
        self.instance = instance
        self.crashed = False

    def crash(self) -> None:
        """Die: nothing it does from now on is seen by anybody."""
        self.crashed = True
        self.log.crash()


class Deployment:
    """One cluster with the topics of ``deploy/topics.yaml``; YCloud alone unless providers are given or configured.

    Make it inside the loop of the test.
    """

    def __init__(
        self,
        *providers: Provider,
        settings: Settings | None = None,
        max_message_bytes: Mapping[str, int] | None = None,
        partitions: int = PARTITIONS,
        cluster: Callable[[Clock], MemoryCluster] = MemoryCluster,
        codec: Codec | None = None,
    ) -> None:
        self.clock = ManualClock(now_ms=NOW)
        self.clock.bind(asyncio.get_running_loop().time)
        self.cluster = cluster(self.clock)
        self.log = MemoryLog(self.cluster)
        self.codec = codec or Codec()
        self.partitions = partitions
        self.figures = Figures()
        self.settings = settings or Settings()
        made = registry.load(self.settings) | {provider.instance: provider for provider in providers}
        self.providers: Mapping[str, Provider] = made or {"ycloud": ycloud()}
        self.max_concurrency = 10
        self.rate_per_s = 1_000.0
        self.timeout_s = 10.0
        self.fetch_ms, self.ends_every_s = FETCH_MS, ENDS_EVERY_S
        self.dawdles_s = 0.0
        """How long a provider takes for an answer."""
        self.transport = ScriptedTransport(
            lambda _: Answer.json({"id": "m1", "status": "pending"}, delay_s=self.dawdles_s)
        )
        self.lines: dict[str, Exchange] = dict.fromkeys(self.providers, self.transport)
        self._running: list[Process] = []
        self._engines = 0
        self._http: httpx.AsyncClient | None = None
        self.topics = topics_file.wanted_topics(_topics_file(), providers=self.providers, partitions=partitions)
        for topic in self.topics:
            self.cluster.create_topic(
                topic.name,
                partitions=topic.partitions,
                append_time=topic.config["message.timestamp.type"] == "LogAppendTime",
                max_message_bytes=(max_message_bytes or {}).get(topic.name, 1_048_588),
            )

    @asynccontextmanager
    async def running(self, *names: str, instance: int = 0) -> AsyncIterator[Process]:
        """Run these stages in one process, or all, until they stop or crash.

        ``router``, ``tracker``, ``correlator``, ``sender.<instance of a provider>``; ``sender`` is all of these.
        """
        process = Process(self.cluster, instance, self.clock)
        runners, health = self.runners(process, *names)
        running = [asyncio.create_task(runner.run()) for runner in runners]
        self._running.append(process)
        try:
            yield process
        finally:
            self._running.remove(process)
            for runner in runners:
                runner.stop()
            await asyncio.gather(*running, return_exceptions=process.crashed)
            await health.stop()
        assert not self.figures.refused, self.figures.refused

    def runners(self, process: Process, *names: str) -> tuple[list[StageRunner[Any]], GlobalTable]:
        """Those stages of a process, or all, to be run; and the table they share, to be stopped after them."""
        pauses = Pauses(codec=self.codec, clock=process.clock)
        health = GlobalTable(log=process.log, topic=topics.PROVIDER_HEALTH, apply=pauses.apply)
        makers: dict[str, Callable[[], StageRunner[Any]]] = {
            "router": lambda: self._router(process),
            "tracker": lambda: self._tracker(process),
            "correlator": lambda: self._correlator(process),
        }
        makers |= {f"sender.{name}": self._sender(process, name, pauses, health) for name in self.providers}
        wanted = [each for each in makers if not names or each in names or each.partition(".")[0] in names]
        return [makers[name]() for name in wanted], health

    def prepared(self, stage: Stage[Any]) -> Stage[Any]:
        """Each stage before its task has it; a deployment may have it watched, or broken."""
        return stage

    def crash(self) -> None:
        """The process started last dies."""
        self._running[-1].crash()

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

    async def webhook(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """One request to the gateway, which takes webhooks all the time; ``path`` as behind ``/v1/webhooks/``."""
        if self._http is None:
            self._http = await self.gateway(self.log, self.clock)
        answer = await self._http.post(f"/v1/webhooks/{path}", content=body, headers=dict(headers))
        return answer.status_code

    async def gateway(self, log: MemoryLog, clock: Clock) -> httpx.AsyncClient:
        """A gateway that takes webhooks, and a client of it."""
        receiver = WebhookReceiver(
            providers=reporting(self.providers),
            publisher=Publisher(producer=await log.producer(), timeout_s=5),
            reports=Reports(encoder=self.codec, recipient_key=RING.recipient_key),
            measures=self.figures,
            clock=clock,
            public_url=self.settings.gateway.public_url or GATEWAY,
            max_body_bytes=self.settings.gateway.max_body_bytes,
            max_age_s=self.settings.gateway.webhook_max_age_s,
        )
        app = create_app(
            webhooks=receiver, missing=list, measures=self.figures, clock=clock, new_id=lambda: "made-here"
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=GATEWAY)

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
        """What YCloud got, as the person would see it."""
        return [orjson.loads(request.content) for request in self.transport.received]

    # --- the stages -----------------------------------------------------------------------------------------------

    def _router(self, process: Process) -> StageRunner[Any]:
        capabilities = {name: provider.capabilities for name, provider in self.providers.items()}

        def make(_: int, partitions: int) -> RouterStage:
            return RouterStage(
                codec=self.codec, key_ring=RING, settings=self.settings, providers=capabilities, partitions=partitions
            )

        return self._runner(process, "router", RouterStage.inputs, RouterStage.changelog, make)

    def _tracker(self, process: Process) -> StageRunner[Any]:
        def make(_: int, partitions: int) -> TrackerStage:
            return TrackerStage(codec=self.codec, key_ring=RING, settings=self.settings.policy, partitions=partitions)

        return self._runner(process, "tracker", TrackerStage.inputs, TrackerStage.changelog, make)

    def _correlator(self, process: Process) -> StageRunner[Any]:
        return self._runner(
            process,
            "correlator",
            CorrelatorStage.inputs,
            CorrelatorStage.changelog,
            lambda *_: CorrelatorStage(codec=self.codec),
        )

    def _sender(
        self, process: Process, name: str, pauses: Pauses, health: GlobalTable
    ) -> Callable[[], StageRunner[Any]]:
        def make() -> StageRunner[Any]:
            self._engines += 1
            engine = SenderEngine(
                provider=self.providers[name],
                limits=Limits(
                    max_concurrency=self.max_concurrency,
                    rate_per_s=self.rate_per_s,
                    timeout_s=self.timeout_s,
                    connect_timeout_s=5,
                ),
                codec=self.codec,
                key_ring=RING,
                clock=process.clock,
                partitions=self.partitions,
                min_time_left_s=self.settings.policy.min_time_left_s,
                process=f"process-{self._engines}",
                exchange=self.lines[name],
            )
            pauses.listen(name, engine.permits.pause)
            attempts = topics.attempts(name)
            return self._runner(
                process, f"sender.{name}", INPUTS, attempts, lambda number, _: engine.stage(number), health
            )

        return make

    def _runner(
        self,
        process: Process,
        name: str,
        inputs: Sequence[Input],
        changelog: str,
        make: Callable[[int, int], Stage[Any]],
        *tables: GlobalTable,
    ) -> StageRunner[Any]:
        return StageRunner(
            name=name,
            inputs=inputs,
            changelog=changelog,
            make_stage=lambda number, partitions: self.prepared(make(number, partitions)),
            log=process.log,
            clock=process.clock,
            settings=self.settings.runtime,
            metrics=self.figures,
            dead_letters=SealedDeadLetters(codec=self.codec, key_ring=RING),
            instance=process.instance,
            tables=tables,
            fetch_ms=self.fetch_ms,
            ends_every_s=self.ends_every_s,
        )


@cache
def _topics_file() -> topics_file.TopicsFile:
    """Read once, as thousands of deployments are simulated."""
    return topics_file.load()


def home(name: str) -> int:
    """The partition where a recipient's or a verification's state lives."""
    return partition_for(name.encode(), PARTITIONS)
