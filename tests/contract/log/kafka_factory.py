"""Kafka for the contract tests: topics by the admin client, faults by raw clients."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import TopicPartition
from pipeline.settings import KafkaSettings
from tests.contract.log.support import scanned

SESSION_TIMEOUT_MS = 6_000
"""The shortest a broker takes by default (group.min.session.timeout.ms)."""


class _OpenTransaction:
    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def commit(self) -> None:
        await self._producer.commit_transaction()

    async def abort(self) -> None:
        await self._producer.abort_transaction()


class KafkaFactory:
    """See :class:`tests.contract.log.support.LogFactory`; everything lives under ``prefix``."""

    patience_ms = 1_000

    def __init__(self, bootstrap_servers: str, *, prefix: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._prefix = prefix
        self._numbers = itertools.count()
        self._logs: list[KafkaLog] = []
        self._producers: list[AIOKafkaProducer] = []
        self._topics: list[str] = []

    async def log(self, deployment: str = "", *, impatient: bool = False) -> KafkaLog:
        settings = KafkaSettings(
            bootstrap_servers=self._bootstrap_servers,
            topic_prefix=self._prefix + deployment,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            request_timeout_ms=2_000 if impatient else 10_000,
        )
        log = KafkaLog(
            settings, client_id=f"contract-{next(self._numbers)}", commit_deadline_s=5.0 if impatient else 20.0
        )
        await log.start()
        self._logs.append(log)
        return log

    async def topic(
        self,
        partitions: int = 1,
        *,
        append_time: bool = False,
        max_message_bytes: int = 1_000_000,
        compacted: bool = False,
        deployment: str = "",
    ) -> str:
        name = f"topic-{next(self._numbers)}"
        config = {
            "message.timestamp.type": "LogAppendTime" if append_time else "CreateTime",
            "max.message.bytes": str(max_message_bytes),
        }
        if compacted:
            # Only closed segments are cleaned, and one closes when the next record finds it old enough.
            config |= {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
        full = self._prefix + deployment + name
        admin = await self._admin()
        try:
            await admin.create_topics([NewTopic(full, partitions, 1, topic_configs=config)])
        finally:
            await admin.close()
        self._topics.append(full)
        return name

    async def leave_transaction_open(
        self,
        topic: str,
        partition: int,
        *,
        values: Sequence[bytes] = (b"open",),
        transactional_id: str | None = None,
        timeout_s: float = 60.0,
    ) -> _OpenTransaction:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            transactional_id=self._prefix + (transactional_id or f"open-{next(self._numbers)}"),
            transaction_timeout_ms=round(timeout_s * 1_000),
        )
        await producer.start()
        self._producers.append(producer)
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(self._prefix + topic, value, key=b"key", partition=partition)
        return _OpenTransaction(producer)

    async def pass_transaction_timeout(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s + 1)  # a broker of ours looks for them once a second

    async def expire(self, group: str, instance: str) -> None:
        await asyncio.sleep(SESSION_TIMEOUT_MS / 1_000 + 1)

    async def compact(self, partition: TopicPartition) -> None:
        log = await self.log()
        end = (await log.end_offsets([partition]))[partition]

        async def is_compact() -> bool:
            # Not counted from here: the cleaner may have been there before us.
            keys = [record.key for record in await scanned(log, partition) if record.offset < end]
            return len(keys) == len(set(keys))

        producer = await log.producer()
        try:
            async with asyncio.timeout(60):
                while not await is_compact():
                    # Time alone closes no segment, the next record does.
                    await producer.send(Emit(partition.topic, b"tick", b"tick", partition.partition))
                    await asyncio.sleep(0.3)
        finally:
            await producer.stop()

    async def delete_before(self, partition: TopicPartition, offset: int) -> None:
        admin = await self._admin()
        try:
            full = KafkaPartition(self._prefix + partition.topic, partition.partition)
            await admin.delete_records({full: RecordsToDelete(before_offset=offset)})
        finally:
            await admin.close()

    async def close(self) -> None:
        """Release everything and delete the topics, so that a shared broker stays small."""
        for producer in self._producers:
            await producer.stop()
        for log in self._logs:
            await log.stop()
        if self._topics:
            admin = await self._admin()
            try:
                await admin.delete_topics(self._topics)
            finally:
                await admin.close()

    async def _admin(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers)
        await admin.start()
        return admin
