"""One connection to one cluster under one topic prefix."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any

import aiokafka.errors
import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition

from pipeline.errors import LogUnavailable, Misconfigured
from pipeline.runtime.kafka import patches
from pipeline.runtime.kafka.connection import connection_options, reasons_kept
from pipeline.runtime.kafka.members import KafkaGroupReader
from pipeline.runtime.kafka.names import Names
from pipeline.runtime.kafka.producer import KafkaProducer
from pipeline.runtime.kafka.readers import KafkaReader, connected, stopped
from pipeline.runtime.kafka.writer import KafkaWriter
from pipeline.runtime.log import TopicPartition
from pipeline.settings import KafkaSettings

log = structlog.get_logger(__name__)

REFUSED_WAIT_S = 0.5
"""Pause before a broker that refused is asked again."""
METADATA_WAITS_S = (0.0, 0.0, 0.1, 0.4)
"""Pauses before each time that a topic is asked for; after the last it does not exist."""


class KafkaLog:
    """See :class:`pipeline.runtime.log.Log`.

    ``transaction_timeout_ms`` and ``commit_deadline_s`` apply to the writers: the broker aborts an open
    transaction after the first, a task gives a commit up after the second. ``wait_for_broker`` goes on trying for
    ``connect_timeout_s`` while connections are refused, as they are while Kafka starts.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        client_id: str = "pipeline",
        transaction_timeout_ms: int = 5_000,
        commit_deadline_s: float = 20.0,
        wait_for_broker: bool = True,
    ) -> None:
        self._settings = settings
        self._wait_for_broker = wait_for_broker
        self._client_id = client_id
        self._transaction_timeout_ms = transaction_timeout_ms
        self._commit_deadline_s = commit_deadline_s
        self._names = Names(settings.topic_prefix)
        self._ends: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect, waiting for a broker that is not there yet; raises LogUnavailable naming address and reason."""
        patches.apply()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._settings.connect_timeout_s
        told = False
        with reasons_kept() as reasons:
            while True:
                try:
                    await self._connect(until_s - loop.time())
                    return
                except Exception as error:
                    refused = isinstance(error, aiokafka.errors.KafkaConnectionError)
                    if not (refused and self._wait_for_broker and loop.time() + REFUSED_WAIT_S < until_s):
                        raise LogUnavailable(
                            f"no Kafka broker answers at {self._settings.bootstrap_servers} "
                            f"({reasons[-1] if reasons else error}); start one (pipeline dev broker) or set "
                            "kafka.bootstrap_servers"
                        ) from error
                if not told:
                    told = True
                    log.info(
                        "waiting for Kafka",
                        action="kafka_awaited",
                        servers=self._settings.bootstrap_servers,
                        at_most_s=self._settings.connect_timeout_s,
                        cause=reasons[-1] if reasons else "",
                    )
                await asyncio.sleep(REFUSED_WAIT_S)

    async def _connect(self, deadline_s: float) -> None:
        # A consumer of its own that reads uncommitted: ListOffsets of a read_committed one answers the last
        # stable offset (``test_trap_the_ends_a_read_committed_consumer_tells_stop_at_an_open_transaction``), and an
        # open transaction of somebody else would hide committed records from a restore.
        ends = AIOKafkaConsumer(
            **connection_options(self._settings, f"{self._client_id}-offsets"),
            enable_auto_commit=False,
            isolation_level="read_uncommitted",
            request_timeout_ms=self._settings.request_timeout_ms,
        )
        await connected(ends, deadline_s)
        self._ends = ends

    async def stop(self) -> None:
        """Release connections."""
        ends, self._ends = self._ends, None
        if ends is not None:
            await stopped(ends)

    def writer(self, transactional_id: str) -> KafkaWriter:
        """A transactional producer, to be started by its task."""
        return KafkaWriter(
            settings=self._settings,
            transactional_id=transactional_id,
            transaction_timeout_ms=self._transaction_timeout_ms,
            deadline_s=self._commit_deadline_s,
        )

    def group_reader(self, group: str, topics: Sequence[str], instance: str) -> KafkaGroupReader:
        """A member of a consumer group."""
        return KafkaGroupReader(
            settings=self._settings,
            group=group,
            topics=topics,
            instance=instance,
            client_id=f"{self._client_id}-{instance}",
        )

    async def reader(self, starts: Mapping[TopicPartition, int]) -> KafkaReader:
        """A started reader of fixed partitions."""
        reader = KafkaReader(settings=self._settings, client_id=f"{self._client_id}-reader")
        await reader.start(starts)
        return reader

    async def producer(self) -> KafkaProducer:
        """A started idempotent producer."""
        producer = KafkaProducer(
            settings=self._settings, client_id=f"{self._client_id}-producer", partitions=self.partitions
        )
        await producer.start()
        return producer

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has; raises Misconfigured when it does not exist, and LogUnavailable."""
        client = self._started()._client
        name = self._settings.topic_prefix + topic
        found = client.cluster.partitions_for_topic(name)
        if not found:
            client.add_topic(name)
        unanswered = 0
        for wait_s in METADATA_WAITS_S:
            if found or unanswered > 1:
                break
            # An update that is under way was asked for before this topic was added and says nothing of it, and the
            # library hands the very same one to everybody who asks meanwhile. So one "no" is no answer, nor is one
            # failure; but each failure takes as long as a request may.
            await asyncio.sleep(wait_s)
            unanswered = 0 if await client.force_metadata_update() else unanswered + 1
            found = client.cluster.partitions_for_topic(name)
        if not found and unanswered:
            raise LogUnavailable(f"no Kafka broker tells of topic {name}")
        if not found:
            raise Misconfigured(f"topic {name} does not exist; create the topics first (pipeline topics apply)")
        return len(found)

    async def start_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still kept."""
        return await self._offsets(AIOKafkaConsumer.beginning_offsets, partitions)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The high watermark."""
        return await self._offsets(AIOKafkaConsumer.end_offsets, partitions)

    async def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The first offset not earlier than the time; the end where there is none."""
        wanted = list(partitions)
        if not wanted:
            return {}
        times = {self._names.theirs(p): timestamp_ms for p in wanted}
        found = await self._told(self._started().offsets_for_times(times))
        ends = await self.end_offsets(wanted)
        offsets: dict[TopicPartition, int] = {}
        for partition in wanted:
            hit = found.get(self._names.theirs(partition))
            offsets[partition] = ends[partition] if hit is None else int(hit.offset)
        return offsets

    async def _offsets(self, ask: Any, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        theirs = [self._names.theirs(p) for p in partitions]
        found = await self._told(ask(self._started(), theirs)) if theirs else {}
        return {self._names.ours(p): int(offset) for p, offset in found.items()}

    async def _told(self, question: Awaitable[Mapping[KafkaPartition, Any]]) -> Mapping[KafkaPartition, Any]:
        try:
            return await question
        except aiokafka.errors.KafkaError as error:
            raise LogUnavailable(f"no Kafka broker tells the offsets asked for ({error})") from error

    def _started(self) -> AIOKafkaConsumer:
        if self._ends is None:
            raise LogUnavailable("the log was not started")
        return self._ends
