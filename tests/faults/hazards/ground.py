"""A prefix on the session's broker with the library's own clients on it, and what is seen of them."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiokafka
import aiokafka.errors
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import AIOKafkaConnection
from aiokafka.producer import sender

from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.kafka.abandon import abandon, abandon_consumer
from pipeline.runtime.log import TopicPartition, scan
from pipeline.settings import KafkaSettings


class _Tidy(KafkaLog):
    """A log of ours that stops what it made, also after a test that failed: the library's tasks would never end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._made: list[Any] = []

    def writer(self, *args: Any) -> Any:
        self._made.append(made := super().writer(*args))
        return made

    def group_reader(self, *args: Any) -> Any:
        self._made.append(made := super().group_reader(*args))
        return made

    async def reader(self, *args: Any) -> Any:
        self._made.append(made := await super().reader(*args))
        return made

    async def producer(self) -> Any:
        self._made.append(made := await super().producer())
        return made

    async def stop(self) -> None:
        for made in self._made:
            await made.stop()
        await super().stop()


class Ground:
    """Topics, clients of the library as it comes, and logs of ours; everything ends with the test."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.prefix = prefix
        self.settings = KafkaSettings(
            bootstrap_servers=bootstrap_servers,
            topic_prefix=prefix,
            request_timeout_ms=3_000,
            session_timeout_ms=6_000,
            rebalance_timeout_ms=15_000,
        )
        self._numbers = itertools.count()
        self._logs: list[KafkaLog] = []
        self._producers: list[AIOKafkaProducer] = []
        self._consumers: list[AIOKafkaConsumer] = []

    async def topic(self, partitions: int = 1, **config: Any) -> str:
        """A new topic, by its name without the prefix; ``max_message_bytes=…`` and the like configure it."""
        name = f"topic-{next(self._numbers)}"
        configured = {key.replace("_", "."): str(value) for key, value in config.items()}
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(self.prefix + name, partitions, 1, topic_configs=configured)])
        return name

    async def delete_before(self, partition: KafkaPartition, offset: int) -> None:
        """Let retention take everything before the offset."""
        async with self._admin() as admin:
            await admin.delete_records({partition: aiokafka.admin.RecordsToDelete(before_offset=offset)})

    async def log(self, **options: Any) -> KafkaLog:
        """A started log of ours."""
        log = _Tidy(self.settings, client_id=f"ours-{next(self._numbers)}", **options)
        await log.start()
        self._logs.append(log)
        return log

    async def producer(self, **options: Any) -> AIOKafkaProducer:
        """A started producer of the library's: idempotent, or transactional where it has an id."""
        made = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers, enable_idempotence=True, **options)
        self._producers.append(made)
        await made.start()
        return made

    async def consumer(self, **options: Any) -> AIOKafkaConsumer:
        """A started consumer of the library's; subscribed by :meth:`member`, or assigned by hand."""
        made = AIOKafkaConsumer(bootstrap_servers=self.bootstrap_servers, enable_auto_commit=False, **options)
        self._consumers.append(made)
        await made.start()
        return made

    async def member(self, *topics: str, listener: Any = None, **options: Any) -> AIOKafkaConsumer:
        """A consumer of the library's in the group ``group``, which joins in the background."""
        made = await self.consumer(group_id=self.prefix + "group", fetch_max_wait_ms=100, **options)
        made.subscribe([self.prefix + topic for topic in topics], listener=listener)
        return made

    async def committed(self, *partitions: TopicPartition) -> list[bytes | None]:
        """The values that read_committed readers are shown."""
        log = await self.log()
        return [record.value async for found in scan(log, dict.fromkeys(partitions, 0)) for record in found]

    async def close(self) -> None:
        """Release everything, whatever it is stuck in."""
        for producer in self._producers:
            await abandon(producer)
        for consumer in self._consumers:
            await abandon_consumer(consumer)
        for log in self._logs:
            await log.stop()

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


class Sent:
    """Every request that leaves this process from now on, by its name, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._names: list[tuple[str, str]] = []
        send = AIOKafkaConnection.send

        def noted(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
            self._names.append((connection._client_id, type(request).__name__))
            return send(connection, request, expect_response)

        monkeypatch.setattr(AIOKafkaConnection, "send", noted)

    def names(self, client_id: str | None = None) -> list[str]:
        """Of all clients, or of one."""
        return [name for by, name in self._names if client_id in (None, by)]

    def count(self, name: str, client_id: str | None = None) -> int:
        """How many requests of this kind there were."""
        return self.names(client_id).count(name)


@contextlib.contextmanager
def still(hazard: str, what_may_go: str) -> Iterator[None]:
    """What stands inside shows that the library has the hazard; when it has not any more, a workaround may go."""
    try:
        yield
    except (AssertionError, pytest.fail.Exception, aiokafka.errors.KafkaError) as error:
        pytest.fail(f"{hazard} is gone in aiokafka {aiokafka.__version__}: {what_may_go} ({error!r})")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the library's log, which tells of each fault at length."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def constants(module: Any) -> Mapping[str, Any]:
    """The constants of a module as its source says, whatever was put in their place."""
    assigned = (node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.Assign))
    found: dict[str, Any] = {}
    for node in assigned:
        with contextlib.suppress(ValueError):
            found |= {name.id: ast.literal_eval(node.value) for name in node.targets if isinstance(name, ast.Name)}
    return found


def as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what :mod:`pipeline.runtime.kafka.patches` has put into the library."""
    from aiokafka.consumer import fetcher
    from aiokafka.record.memory_records import MemoryRecords

    monkeypatch.setattr(sender, "BACKOFF_OVERRIDE", constants(sender)["BACKOFF_OVERRIDE"])
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)
