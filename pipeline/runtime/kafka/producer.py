"""A producer without transactions: each record is there once, or its caller is told that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import aiokafka.errors
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from pipeline.errors import LogUnavailable, RecordTooLarge
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.abandon import abandon
from pipeline.runtime.kafka.batching import BATCH_BYTES, delivered
from pipeline.runtime.kafka.connection import compression, connection_options, no_broker
from pipeline.runtime.kafka.renewal import RenewedProducer
from pipeline.runtime.kafka.waiting import within
from pipeline.runtime.partition import partition_for
from pipeline.settings import KafkaSettings

FLUSH_S, HEARD_S = 5.0, 0.2
"""How long a plain producer may take to deliver what it holds at its stop, and its callers to hear of it."""


class KafkaProducer:
    """See :class:`pipeline.runtime.log.Producer`; ``partitions`` tells how many a topic has."""

    def __init__(self, *, settings: KafkaSettings, client_id: str, partitions: Callable[[str], Awaitable[int]]) -> None:
        self._settings = settings
        self._partitions = partitions
        self._client_id = client_id
        self._producer = RenewedProducer(self._made, flush_s=FLUSH_S)
        self._sending: set[asyncio.Task[Any]] = set()
        self._stopped = False

    def _made(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **connection_options(self._settings, self._client_id),
            enable_idempotence=True,
            request_timeout_ms=self._settings.request_timeout_ms,
            max_batch_size=BATCH_BYTES,
            compression_type=compression(self._settings),
            linger_ms=1,
        )

    async def start(self) -> None:
        """Connect; raises LogUnavailable."""
        try:
            await self._producer.start(self._settings.connect_timeout_s)
        except Exception as error:
            raise no_broker(self._settings.bootstrap_servers) from error

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        """Write one record and wait until all in-sync replicas have it."""
        partition = emit.partition
        if partition is None and emit.key is not None:
            partition = _place(emit, await self._partitions(emit.topic))
        try:
            metadata = await self._acknowledged(self._send, emit, partition, timestamp_ms)
        except aiokafka.errors.MessageSizeTooLargeError as error:
            raise RecordTooLarge(f"a record of {len(emit.value or b'')} bytes is too large for {emit.topic}") from error
        except Exception as error:
            raise LogUnavailable(f"Kafka did not acknowledge a record for {emit.topic}") from error
        return metadata.partition, metadata.offset

    async def send_all(self, emits: Sequence[Emit]) -> None:
        """Write batches of records and wait until all in-sync replicas have them."""
        if any(emit.partition is None and emit.key is None for emit in emits):
            # Anywhere will do, and where that is the library says.
            await asyncio.gather(*(self.send(emit) for emit in emits))
            return
        counts = {topic: await self._partitions(topic) for topic in {emit.topic for emit in emits}}
        placed = [
            emit if emit.partition is not None else replace(emit, partition=_place(emit, counts[emit.topic]))
            for emit in emits
        ]
        try:
            await self._acknowledged(delivered, self._settings.topic_prefix, placed)
        except aiokafka.errors.MessageSizeTooLargeError as error:
            raise RecordTooLarge(f"one of {len(emits)} records is too large for its topic") from error
        except Exception as error:
            raise LogUnavailable(f"Kafka did not acknowledge {len(emits)} records") from error

    async def stop(self) -> None:
        """Flush and release connections; whoever still waits for an acknowledgement is told that there was none."""
        self._stopped = True
        await self._producer.stop()
        if self._sending:
            # Those whose record was flushed have yet to hear of it.
            await asyncio.wait(self._sending, timeout=HEARD_S)
        await abandon(self._producer.current, *self._sending)

    async def _acknowledged(self, send: Callable[..., Coroutine[Any, Any, Any]], *what: Any) -> Any:
        if self._stopped:
            raise LogUnavailable("this producer was stopped; make a new one")
        deadline_s = self._settings.request_timeout_ms / 1000
        producer = self._producer.current
        self._sending.add(sending := asyncio.create_task(send(producer, *what)))
        sending.add_done_callback(self._sending.discard)
        try:
            # An idempotent batch never expires (``test_hazard_04_the_library_waits_for_brokers_without_end``), nor does
            # the wait for a topic's metadata end when the producer is stopped, so this needs a bound of its own. The
            # record may still be written later; callers repeat with the same id.
            return await within(sending, deadline_s, "acknowledgement")
        except Exception as error:
            await self._producer.failed(producer, error, deadline_s)
            raise

    async def _send(
        self, producer: AIOKafkaProducer, emit: Emit, partition: int | None, timestamp_ms: int | None
    ) -> Any:
        future = await producer.send(
            self._settings.topic_prefix + emit.topic,
            value=emit.value,
            key=emit.key,
            partition=partition,
            timestamp_ms=timestamp_ms,
            headers=list(emit.headers),
        )
        return await future


def _place(emit: Emit, partitions: int) -> int:
    # Our own murmur2, cached and quicker than the library's pure Python one.
    assert emit.key is not None
    return partition_for(emit.key, partitions)
