"""The gateway as something that is started and stopped inside a running loop, next to its Kafka producer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pipeline.clock import Clock, SystemClock
from pipeline.gateway.app import create_app
from pipeline.gateway.connection import bounded
from pipeline.gateway.edge import Measures
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Encoder, Reports
from pipeline.gateway.routes import Operation, routes
from pipeline.gateway.webhooks import WebhookReceiver, Webhooks
from pipeline.runtime.log import Producer
from pipeline.serving import HttpServer
from pipeline.settings import GatewaySettings


class ProducerSource(Protocol):
    """The part of a started ``pipeline.runtime.log.Log`` that the gateway needs."""

    async def producer(self) -> Producer:
        """A started producer with acks=all."""


class Api(Protocol):
    """The REST API (``pipeline.gateway.rest``)."""

    async def start(self, publisher: Publisher) -> Sequence[Operation]:
        """What it does, ready to be asked."""

    async def stop(self) -> None:
        """Answer nobody any more."""


def _new_id() -> str:
    return secrets.token_hex(12)


class GatewayServer:
    """HTTP server and producer with one life."""

    def __init__(
        self,
        *,
        settings: GatewaySettings,
        log: ProducerSource,
        encoder: Encoder,
        measures: Measures,
        webhooks: Mapping[str, Webhooks],
        recipient_key: Callable[[str], str],
        api: Api | None = None,
        needs: Callable[[], Sequence[str]] = tuple,
        clock: Clock | None = None,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        """``webhooks`` holds the providers that report deliveries, by instance name.

        ``recipient_key`` hashes a canonical recipient as the router does. Without ``api`` only webhooks are taken.
        ``needs`` tells what the gateway lacks of others, once it has started.
        """
        self._settings = settings
        self._log = log
        self._reports = Reports(encoder=encoder, recipient_key=recipient_key)
        self._measures = measures
        self._webhooks = webhooks
        self._api = api
        self._needs = needs
        self._clock = clock or SystemClock()
        self._new_id = new_id
        self._producer: Producer | None = None
        self._publisher: Publisher | None = None
        self._server: HttpServer | None = None
        self._ready = False

    def missing(self) -> list[str]:
        """What keeps it from being ready; nothing when it is started, not stopping, and has what it needs."""
        return list(self._needs()) if self._ready else ["gateway: not listening yet, or stopping"]

    @property
    def url(self) -> str:
        """Base URL without a trailing slash, once started."""
        assert self._server is not None, "start() comes first"
        return self._server.url

    async def start(self) -> None:
        """Connect, then listen. Raises LogUnavailable, UsageError (port taken)."""
        self._producer = await self._log.producer()
        self._publisher = Publisher(
            producer=self._producer,
            timeout_s=self._settings.produce_timeout_s,
            max_waiting=self._settings.max_waiting,
        )
        try:
            await self._listen(self._publisher)
        except BaseException:
            await self.stop()
            raise
        self._ready = True

    async def _listen(self, publisher: Publisher) -> None:
        found = () if self._api is None else await self._api.start(publisher)
        receiver = WebhookReceiver(
            providers=self._webhooks,
            publisher=publisher,
            reports=self._reports,
            measures=self._measures,
            clock=self._clock,
            public_url=self._settings.public_url,
            max_body_bytes=self._settings.max_body_bytes,
            max_age_s=self._settings.webhook_max_age_s,
        )
        app = create_app(
            webhooks=receiver,
            missing=self.missing,
            measures=self._measures,
            clock=self._clock,
            new_id=self._new_id,
            api=routes(found),
            body_timeout_s=self._settings.body_timeout_s,
            https=self._settings.public_url.startswith("https:"),
        )
        self._server = HttpServer(
            app,
            host=self._settings.host,
            port=self._settings.port,
            protocol=bounded(timeout_s=self._settings.body_timeout_s, measures=self._measures),
            # Whoever is being answered may wait for the log and then for a reply.
            shutdown_s=self._settings.produce_timeout_s + self._settings.reply_timeout_s + 1,
        )
        await self._server.start()

    async def stop(self) -> None:
        """Not ready, no new requests, finish the running ones, flush."""
        self._ready = False
        if self._server is not None:
            await self._server.stop()
        if self._api is not None:
            await self._api.stop()
        if self._publisher is not None:
            await self._publisher.drain()
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None
