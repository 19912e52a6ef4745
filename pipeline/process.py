"""One process: what all its parts share, the parts it runs, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import structlog
from prometheus_client import CollectorRegistry

from pipeline import __version__
from pipeline.clock import Clock, SystemClock
from pipeline.dead_letters import SealedDeadLetters
from pipeline.http_status import StatusServer
from pipeline.key_files import load as load_keys
from pipeline.metrics import Metrics
from pipeline.model.keys import KeyRing
from pipeline.model.recipient import read_numbers_with
from pipeline.records.codec import Codec
from pipeline.records.publish import publish_schemas
from pipeline.records.store import SchemaStore
from pipeline.runtime.api import Record
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.kafka import KafkaLog
from pipeline.senders.health import Pauses
from pipeline.settings import Settings, instance_ordinal
from pipeline.topics import PROVIDER_HEALTH, SCHEMAS

log = structlog.get_logger(__name__)

T = TypeVar("T")

COLLECT_AFTER: Final = 50_000
"""Objects that came and stayed; some 10 MB that may be garbage."""
LOOP_LOOK_S: Final = 0.25
"""How often the event loop's lag is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What every stage and edge of a process is built from."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    log: KafkaLog
    codec: Codec
    key_ring: KeyRing
    dead_letters: SealedDeadLetters
    schemas: GlobalTable
    health: GlobalTable
    """Followed only by those who ask for it: senders."""
    pauses: Pauses
    """What ``health`` says of providers that asked for patience."""
    instance: int


class Service(Protocol):
    """Something a process runs until it is told to stop: a stage, the gateway."""

    async def run(self) -> None:
        """Work until :meth:`stop`; raises what only a restart or a person can mend."""

    def stop(self) -> None:
        """Begin a clean end."""

    def missing(self) -> list[str]:
        """What is still needed before it is ready."""


@asynccontextmanager
async def connected(
    settings: Settings, *, client_id: str, wait_for_broker: bool = True
) -> AsyncIterator[tuple[KafkaLog, Codec]]:
    """Only the log and the schemas: what a client needs.

    ``wait_for_broker`` gives a Kafka that is starting ``kafka.connect_timeout_s``; without it a refused connection is
    told at once. Raises LogUnavailable, Misconfigured (no topics).
    """
    if not structlog.is_configured():
        # A service that has no logging of this kind: what is told here must not stand in what it prints.
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    kafka = KafkaLog(settings.kafka, client_id=client_id, wait_for_broker=wait_for_broker)
    await kafka.start()
    try:
        async with _schemas(settings, kafka) as (codec, _):
            yield kafka, codec
    finally:
        await kafka.stop()


@asynccontextmanager
async def _schemas(settings: Settings, kafka: KafkaLog) -> AsyncIterator[tuple[Codec, GlobalTable]]:
    """A codec that knows every published schema, and the table it goes on learning from; ours are published first."""
    codec = Codec(SchemaStore(schemas_dir=settings.records.schemas_dir), write_version=settings.records.write_version)

    def learn(record: Record) -> None:
        why = codec.store.apply(record)
        if why is not None:
            log.warning("schema refused", action="schema_refused", offset=record.offset, cause=why)

    table = GlobalTable(log=kafka, topic=SCHEMAS, apply=learn)
    try:
        await table.caught_up()
        producer = await kafka.producer()
        try:
            await publish_schemas(codec, producer)
        finally:
            await producer.stop()
        yield codec, table
    finally:
        await table.stop()


@asynccontextmanager
async def opened(settings: Settings, *, client_id: str, instance: int | None = None) -> AsyncIterator[Parts]:
    """Connect, load keys and schemas; release everything at the end.

    Raises LogUnavailable, Misconfigured (no topics), UsageError (no keys), SettingsError (an extra is missing).
    """
    read_numbers_with(settings.policy.phone_library)
    clock = SystemClock()
    metrics = Metrics(CollectorRegistry(), countries=settings.metrics.countries, tenants=tuple(settings.tenants))
    metrics.build_info.info({"version": __version__})
    key_ring = load_keys(settings.keys.directory)
    for kid in key_ring.kids:
        metrics.key_ring_info.labels(kid=kid).set(2 if kid == key_ring.current else 1)
    kafka = KafkaLog(
        settings.kafka, client_id=client_id, transaction_timeout_ms=settings.runtime.transaction_timeout_ms
    )
    await kafka.start()
    try:
        async with _schemas(settings, kafka) as (codec, table):
            pauses = Pauses(codec=codec, clock=clock)
            health = GlobalTable(log=kafka, topic=PROVIDER_HEALTH, apply=pauses.apply)
            try:
                yield Parts(
                    settings=settings,
                    clock=clock,
                    metrics=metrics,
                    log=kafka,
                    codec=codec,
                    key_ring=key_ring,
                    dead_letters=SealedDeadLetters(codec=codec, key_ring=key_ring),
                    schemas=table,
                    health=health,
                    pauses=pauses,
                    instance=instance_ordinal(settings, socket.gethostname()) if instance is None else instance,
                )
            finally:
                await health.stop()
    finally:
        await kafka.stop()


class Process:
    """Runs services side by side: the first that ends by itself ends them all, a signal ends them cleanly."""

    def __init__(self, parts: Parts, services: Sequence[Service]) -> None:
        self._parts = parts
        self._services = services
        self._stopping = asyncio.Event()

    def missing(self) -> list[str]:
        """What is still needed before every service is ready."""
        return [what for service in self._services for what in service.missing()]

    def stop(self) -> None:
        """Begin a clean end of everything."""
        self._stopping.set()

    async def run(self, *, status: bool = True, ready: Callable[[], None] | None = None) -> None:
        """Run until :meth:`stop`, SIGTERM or SIGINT; raises the error of a service that failed.

        ``status`` serves ``/metrics``, ``/healthz`` and ``/readyz``; ``ready`` is called once when all are ready.
        """
        settings = self._parts.settings.metrics
        server = StatusServer(
            host=settings.host, port=settings.port, registry=self._parts.metrics.registry, missing=self.missing
        )
        if status:
            await server.start()
            log.info("status served", action="status_served", url=server.url)
        loop = asyncio.get_running_loop()
        with _signals(loop, self.stop):
            running = [asyncio.create_task(service.run()) for service in self._services]
            helpers = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(self._measure(ready))]
            try:
                await asyncio.wait({*running, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                log.info("stopping", action="process_stopping")
                for service in self._services:
                    service.stop()
                results: list[object] = list(await asyncio.gather(*running, return_exceptions=True))
                for helper in helpers:
                    helper.cancel()
                results += await asyncio.gather(*helpers, return_exceptions=True)
                await server.stop()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
        log.info("stopped", action="process_stopped")

    async def _measure(self, ready: Callable[[], None] | None) -> None:
        """Measure the event loop's lag and tasks, and tell when everything is ready."""
        loop = asyncio.get_running_loop()
        while True:
            expected_s = loop.time() + LOOP_LOOK_S
            await asyncio.sleep(LOOP_LOOK_S)
            self._parts.metrics.event_loop_lag_seconds.observe(max(0.0, loop.time() - expected_s))
            self._parts.metrics.event_loop_tasks.set(len(asyncio.all_tasks(loop)))
            if ready is not None and not self.missing():
                log.info("ready", action="process_ready")
                ready()
                ready = None


def spare_collections() -> None:
    """Once all modules are loaded and settings read: let the garbage collector walk through less, and less often.

    Some 150,000 objects live as long as the process, and so do the requests under way, as far as the collector can
    tell. At Python's default it walked through the young ones at each 700th object, and through all of them, 0.2 s at
    once, several times a minute: a third of the time of a gateway under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on uvloop where there is one; it halves the cost of a record."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT begin a clean end while the block runs."""
    wanted = (signal.SIGTERM, signal.SIGINT)
    for number in wanted:
        # Only the main thread may have handlers; elsewhere (tests) the caller stops the process itself.
        with contextlib.suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in wanted:
            with contextlib.suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)
