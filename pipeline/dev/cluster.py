"""Several brokers on this machine as one Kafka, each of which may be killed: what a lone broker cannot show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType

from pipeline.clock import Clock, SystemClock
from pipeline.dev import jars
from pipeline.dev.broker import BrokerFailed, DevBroker
from pipeline.dev.in_thread import in_thread
from pipeline.dev.installation import kafka_id
from pipeline.dev.ports import free_port
from pipeline.dev.properties import HOST, Node
from pipeline.dev.readiness import in_sync


class DevCluster:
    """``size`` brokers that are controllers too; with three, Kafka's own topics have three replicas, two in sync.

    Use as a plain context manager. Each of ``brokers`` can be killed and started by itself.
    """

    def __init__(
        self,
        size: int = 3,
        *,
        scratch: Path | None = None,
        kafka_version: str = jars.DEFAULT_VERSION,
        clock: Clock | None = None,
    ) -> None:
        used: list[int] = []
        while len(used) < 2 * size:
            used.append(free_port(HOST, avoid=used))
        ports = tuple(zip(used[:size], used[size:], strict=True))
        cluster_id = kafka_id()
        self._clock = clock or SystemClock()
        self.brokers = tuple(
            DevBroker(kafka_version=kafka_version, scratch=scratch, node=Node(id_, cluster_id, ports))
            for id_ in range(1, size + 1)
        )

    @property
    def bootstrap_servers(self) -> str:
        """The address clients are given: all brokers."""
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    async def start(self) -> None:
        """Start all brokers at once, as none is ready before most are there."""
        try:
            async with asyncio.TaskGroup() as group:
                for broker in self.brokers:
                    group.create_task(broker.start())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End all brokers, at once: the last one has no quorum left to say good-bye to."""
        await asyncio.gather(*(broker.stop() for broker in self.brokers))

    async def wait_in_sync(self, within_s: float = 120.0) -> None:
        """Wait until every replica of every partition is in sync. Raises BrokerFailed when that is not soon."""
        began = self._clock.monotonic_s()
        while not await in_sync(self.bootstrap_servers, len(self.brokers)):
            if self._clock.monotonic_s() - began > within_s:
                raise BrokerFailed(f"not every replica is in sync within {within_s:.0f} s")
            await asyncio.sleep(0.5)

    def __enter__(self) -> DevCluster:
        in_thread(self.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        in_thread(self.stop())
