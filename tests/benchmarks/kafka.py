"""A real broker for benchmarks, topics on it, and records filled in before the clock starts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.dev.broker import DevBroker
from pipeline.runtime.api import Emit, Measure
from pipeline.runtime.kafka import KafkaLog
from pipeline.settings import KafkaSettings
from tests.kafka_fixtures import RUNNING, scratch


@contextmanager
def broker() -> Iterator[str]:
    """``host:port`` of the broker named by ``TEST_KAFKA``, else of one started for this run."""
    if RUNNING:
        yield RUNNING
        return
    with DevBroker(scratch=scratch()) as started:
        yield started.bootstrap_servers


def deployment(bootstrap: str) -> KafkaSettings:
    """Settings of a deployment nobody else uses."""
    return KafkaSettings(bootstrap_servers=bootstrap, topic_prefix=f"b{secrets.token_hex(4)}.")


@asynccontextmanager
async def topics_of(settings: KafkaSettings, topics: Mapping[str, bool], partitions: int) -> AsyncIterator[None]:
    """Topics (True for compacted ones) that are deleted again at the end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    names = [settings.topic_prefix + name for name in topics]
    try:
        await admin.create_topics(
            [
                NewTopic(name, partitions, 1, topic_configs={"cleanup.policy": "compact" if compacted else "delete"})
                for name, compacted in zip(names, topics.values(), strict=True)
            ]
        )
        yield
        await admin.delete_topics(names)
    finally:
        await admin.close()


async def fill(log: KafkaLog, emits: Sequence[Emit]) -> None:
    """Write records as another stage would: by transactions, so that markers stand between them."""
    writer = log.writer("filler")
    await writer.start()
    for start in range(0, len(emits), 1_000):
        await writer.commit(emits[start : start + 1_000], {}, "filler")
    await writer.stop()


async def until(true: Callable[[], bool], timeout_s: float = 120.0) -> None:
    """Wait without spending noticeable CPU."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - asked seldom, so that asking costs nothing
            await asyncio.sleep(0.05)


class NoDeadLetters:
    """A benchmark that meets bad records measures nothing."""

    def for_record(self, *args: object) -> Emit:
        raise AssertionError(f"a dead letter: {args[2]}")

    def for_timer(self, *args: object) -> Emit:
        raise AssertionError("a dead letter")


class Kept:
    """Keeps the measurements of one kind."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self.values: list[float] = []

    def apply(self, measures: Sequence[Measure]) -> None:
        self.values += [value for name, value, _ in measures if name == self._metric]
