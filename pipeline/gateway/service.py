"""The gateway as a service of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pipeline.gateway.reach import Reach
from pipeline.gateway.rest import Rest, settled
from pipeline.gateway.server import GatewayServer
from pipeline.process import Parts
from pipeline.readmodel.opening import ReadModel
from pipeline.senders import registry
from pipeline.senders.provider import Provider


def reporting(providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """Those whose webhooks are taken: with receipts to wait for, or a secret although nobody waits for them."""
    return {
        name: provider
        for name, provider in providers.items()
        if provider.webhooks_enabled or any(channel.receipts for channel in provider.capabilities.channels.values())
    }


class GatewayService:
    """Serves until it is told to stop."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._patience_s = settings.readmodel.timeout_s
        self._readmodel = ReadModel(
            settings=settings.readmodel,
            clock=parts.clock,
            idempotency_ms=settings.gateway.idempotency_s * 1_000,
            horizon_ms=settings.policy.id_horizon_s * 1_000,
            max_waiting=settings.gateway.max_waiting,
        )
        self._reach = Reach(log=parts.log, clock=parts.clock, patience_s=settings.gateway.unready_after_s)
        self._server = GatewayServer(
            settings=settings.gateway,
            log=parts.log,
            encoder=parts.codec,
            measures=parts.metrics,
            webhooks=reporting(registry.load(settings)),
            recipient_key=parts.key_ring.recipient_key,
            api=Rest(parts, self._readmodel),
            needs=self._reach.missing,
            clock=parts.clock,
        )
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """Base URL, once it runs."""
        return self._server.url

    async def run(self) -> None:
        """Listen until :meth:`stop`; raises Misconfigured when the database is of another release."""
        database = asyncio.create_task(self._readmodel.run(), name="readmodel")
        reaching = asyncio.create_task(self._reach.run(), name="reach")
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            settling = asyncio.create_task(settled(self._readmodel, within_s=self._patience_s))
            await asyncio.wait((database, settling, stopping), return_when=asyncio.FIRST_COMPLETED)
            if database.done() or stopping.done():
                settling.cancel()
                return
            await self._server.start()
            await asyncio.wait((database, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reaching.cancel()
            stopping.cancel()
            await self._server.stop()
            # Last: who was still being answered needed it.
            self._readmodel.stop()
            await database

    def stop(self) -> None:
        """Begin a clean end."""
        self._stopping.set()

    def missing(self) -> list[str]:
        """What it needs before it is ready. The database is not: webhooks need none, and what does is told 503."""
        return self._server.missing()
