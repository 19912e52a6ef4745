"""All that the sender tasks of one provider share in one process: client, permits, running calls."""

from __future__ import annotations

import secrets

from pipeline.clock import Clock
from pipeline.model.keys import KeyRing
from pipeline.model.messages import Catalogue
from pipeline.records.codec import Codec
from pipeline.senders.calls import RunningCalls
from pipeline.senders.exchange import Exchange
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Provider
from pipeline.senders.registry import Limits
from pipeline.senders.stage import SenderStage
from pipeline.senders.transport import AiohttpTransport


class SenderEngine:
    """One per provider instance and process; make it inside the running loop, ask it for one stage per task.

    ``partitions`` is the partition count of the stage's topics: the rate is shared over the group by them.
    ``process`` must differ from that of every other process, also of earlier ones on the same host.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        limits: Limits,
        codec: Codec,
        key_ring: KeyRing,
        clock: Clock,
        partitions: int,
        min_time_left_s: int = 15,
        process: str | None = None,
        catalogue: Catalogue | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        self.provider = provider
        self._codec = codec
        self._key_ring = key_ring
        self._clock = clock
        self._min_time_left_s = min_time_left_s
        self._process = process or secrets.token_hex(8)
        self._catalogue = catalogue or Catalogue()
        self._exchange = exchange or AiohttpTransport(
            max_connections=limits.max_concurrency,
            timeout_s=limits.timeout_s,
            connect_timeout_s=limits.connect_timeout_s,
        )
        self.permits = Permits(
            max_concurrency=limits.max_concurrency,
            rate_per_s=limits.rate_per_s,
            partitions=partitions,
            monotonic_s=clock.monotonic_s,
            later=lambda seconds, function: self.calls.later(seconds, function),
        )
        self.calls = RunningCalls(
            provider=provider,
            exchange=self._exchange,
            permits=self.permits,
            clock=clock,
            timeout_s=limits.timeout_s,
        )

    def stage(self, partition: int) -> SenderStage:
        """A fresh task's stage; calls an earlier task of the partition began are adopted by it."""
        return SenderStage(
            provider=self.provider,
            codec=self._codec,
            key_ring=self._key_ring,
            partition=partition,
            clock=self._clock,
            calls=self.calls,
            permits=self.permits,
            process=self._process,
            catalogue=self._catalogue,
            min_time_left_s=self._min_time_left_s,
        )

    async def close(self) -> None:
        """Close the connections, after every task has drained."""
        await self._exchange.aclose()
