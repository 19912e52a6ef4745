"""The gateway as a service of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pipeline.gateway.server import GatewayServer
from pipeline.process import Parts
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
        self._server = GatewayServer(
            settings=parts.settings.gateway,
            log=parts.log,
            encoder=parts.codec,
            measures=parts.metrics,
            webhooks=reporting(registry.load(parts.settings)),
            recipient_key=parts.key_ring.recipient_key,
            clock=parts.clock,
        )
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """Base URL, once it runs."""
        return self._server.url

    async def run(self) -> None:
        """Listen until :meth:`stop`."""
        await self._server.start()
        try:
            await self._stopping.wait()
        finally:
            await self._server.stop()

    def stop(self) -> None:
        """Begin a clean end."""
        self._stopping.set()

    def missing(self) -> list[str]:
        """What is still needed before it takes webhooks."""
        return [] if self._server.ready else ["gateway: not listening yet"]
