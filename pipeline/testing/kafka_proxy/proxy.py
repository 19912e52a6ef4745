"""The proxy itself: where clients connect, and who owns the connections."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from pipeline.testing.kafka_proxy.connection import Connection, Stream
from pipeline.testing.kafka_proxy.faults import Fault
from pipeline.testing.kafka_proxy.framing import NotKafka

HOST: Final = "127.0.0.1"
CONNECT_S: Final = 5.0
"""How long the broker may take to accept a connection; a client whose connection cannot be made is reset."""
BUFFER_BYTES: Final = 1 << 20
"""Read ahead per connection and direction; a sender that is ahead further waits."""


class KafkaProxy:
    """Listens on ``port`` of this machine and passes every connection on to ``broker_port``.

    Put it behind an :class:`pipeline.dev.broker.ExtraListener` whose ``advertised_port`` is ``port`` and whose ``port``
    is ``broker_port``: whoever is told of the proxy's port to begin with never leaves it. It belongs to one event loop,
    from :meth:`start` to :meth:`stop`. Plain connections only: what is encrypted cannot be told apart.
    """

    def __init__(self, *, port: int, broker_port: int) -> None:
        self.port = port
        self._broker_port = broker_port
        self._faults: list[Fault] = []
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._refused: NotKafka | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address clients are given."""
        return f"{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._running)

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._accepted, HOST, self.port, limit=BUFFER_BYTES)

    async def stop(self) -> None:
        """Cut every connection and listen no more. Safe to call twice.

        Raises NotKafka when something that is none went over a connection, which was cut then: no fault that a test
        asked for.
        """
        if self._server is not None:
            self._server.close()
            self._server = None
            # Whoever was accepted a moment ago has a task that has not begun, and would never close its connection.
            await asyncio.sleep(0)
        running = set(self._running)
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait(running)
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    def add(self, fault: Fault) -> Fault:
        """From now on this can happen, until :meth:`heal`."""
        self._faults.append(fault)
        return fault

    def heal(self, fault: Fault) -> None:
        """It happens no more, and what it held passes. Safe to call twice."""
        if fault in self._faults:
            self._faults.remove(fault)
        fault.heal()

    @contextlib.contextmanager
    def during(self, fault: Fault) -> Iterator[Fault]:
        """It can happen within the block; one that did not fails the test, since nothing was shown."""
        self.add(fault)
        try:
            yield fault
        finally:
            self.heal(fault)
        if not fault.hit:
            raise AssertionError(f"{fault!r} never happened")

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        client = Stream(reader, writer)
        try:
            async with asyncio.timeout(CONNECT_S):
                made = await asyncio.open_connection(HOST, self._broker_port, limit=BUFFER_BYTES)
            await Connection(client, Stream(*made), self._faults).run()
        except (OSError, TimeoutError):
            client.reset()
        except NotKafka as error:
            self._refused = self._refused or error
        except asyncio.CancelledError:
            # Only our own stop cancels, and nobody awaits this task's result.
            client.reset()
        finally:
            self._running.discard(task)

    async def __aenter__(self) -> KafkaProxy:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
