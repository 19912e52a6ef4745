"""A reader of fixed partitions, and how consumers are started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import aiokafka.errors
from aiokafka import AIOKafkaConsumer

from pipeline.errors import DeadlinePassed, LogUnavailable
from pipeline.runtime.api import Record
from pipeline.runtime.kafka.abandon import abandon_consumer, cut_off
from pipeline.runtime.kafka.connection import connection_options, no_broker
from pipeline.runtime.kafka.lean_records import LEAN
from pipeline.runtime.kafka.names import Names
from pipeline.runtime.kafka.waiting import within
from pipeline.runtime.log import TopicPartition
from pipeline.settings import KafkaSettings

FETCH_WAIT_MS = 200
"""Long poll of one fetch. aiokafka has one fetch in flight per broker, and a partition that is resumed or sought
only joins the next one, so this bounds how long it waits."""
STOPPED = "this reader was stopped; make a new one"
STOP_S = 5.0
"""How long a reader without a group may take to stop."""


async def connected(consumer: AIOKafkaConsumer, deadline_s: float) -> None:
    """Start a consumer that is in no group; raises what its start raises, or DeadlinePassed. It may be canceled.

    Whoever fails has no consumer to stop, so nothing of it is left.
    """
    connecting = asyncio.ensure_future(consumer.start())
    try:
        await within(connecting, deadline_s, "connection to Kafka")
    except BaseException:
        cut_off(connecting)
        await stopped(consumer)
        raise


async def stopped(consumer: AIOKafkaConsumer, deadline_s: float = STOP_S) -> None:
    """Stop a consumer; what does not end in time is cut off."""
    stopping = asyncio.ensure_future(consumer.stop())
    try:
        with contextlib.suppress(Exception):
            await within(stopping, deadline_s, "stop of a reader")
    finally:
        await abandon_consumer(consumer, stopping)


class KafkaReader:
    """A reader of fixed partitions; see :class:`pipeline.runtime.log.Reader`."""

    def __init__(self, *, settings: KafkaSettings, client_id: str) -> None:
        self._names = Names(settings.topic_prefix)
        self._bootstrap_servers = settings.bootstrap_servers
        self._connect_timeout_s = settings.connect_timeout_s
        self._request_timeout_s = settings.request_timeout_ms / 1000
        self._consumer = AIOKafkaConsumer(
            **connection_options(settings, client_id),
            enable_auto_commit=False,
            value_deserializer=LEAN,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            request_timeout_ms=settings.request_timeout_ms,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=16 << 20,
            max_partition_fetch_bytes=4 << 20,
        )

    async def start(self, starts: Mapping[TopicPartition, int]) -> None:
        """Connect and take the positions; raises LogUnavailable. It may be canceled."""
        try:
            await connected(self._consumer, self._connect_timeout_s)
        except (aiokafka.errors.KafkaConnectionError, DeadlinePassed) as error:
            raise no_broker(self._bootstrap_servers) from error
        theirs = {self._names.theirs(partition): offset for partition, offset in starts.items()}
        self._consumer.assign(list(theirs))
        for partition, offset in theirs.items():
            self._consumer.seek(partition, offset)

    async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
        """Next committed records."""
        try:
            fetched = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
        except aiokafka.errors.ConsumerStoppedError as error:
            raise LogUnavailable(STOPPED) from error
        return [record for place, found in fetched.items() for record in self._names.records(place, found)]

    async def position(self, partition: TopicPartition) -> int:
        """The next offset to fetch; raises LogUnavailable when it is looked for and no broker tells it."""
        try:
            async with asyncio.timeout(self._request_timeout_s):
                return int(await self._consumer.position(self._names.theirs(partition)))
        except TimeoutError as error:
            raise LogUnavailable(f"no Kafka broker tells where {partition.topic} begins") from error

    async def stop(self) -> None:
        """Release connections."""
        await stopped(self._consumer)
