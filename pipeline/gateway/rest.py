"""The REST API of one gateway: its parts, put together, with one life."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from uuid import uuid4

from pipeline.gateway.asks import Asks
from pipeline.gateway.door import Door
from pipeline.gateway.idempotency import Once
from pipeline.gateway.keys import KnownKeys
from pipeline.gateway.limits import Limits
from pipeline.gateway.published import Published
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.read import Reads
from pipeline.gateway.routes import Operation, operations
from pipeline.gateway.start import Starts, planning
from pipeline.process import Parts
from pipeline.readmodel.opening import ReadModel
from pipeline.request_reply import Asking
from pipeline.senders import registry


class Rest:
    """Everything behind the routes of the API.

    Kafka must be there at the start; the database need not, and what needs it is told 503 while it is away.
    """

    def __init__(self, parts: Parts, readmodel: ReadModel) -> None:
        settings = parts.settings
        self._parts = parts
        self._readmodel = readmodel
        self._known_keys = KnownKeys(
            settings=settings.gateway,
            tenants=settings.tenants,
            stored=readmodel.api_keys,
            clock=parts.clock,
            timeout_s=settings.readmodel.timeout_s,
        )
        self._asking: Asking | None = None

    async def start(self, publisher: Publisher) -> Sequence[Operation]:
        """What it does, ready to be asked. Raises LogUnavailable, Misconfigured."""
        parts, settings = self._parts, self._parts.settings.gateway
        self._asking = Asking(
            log=parts.log, codec=parts.codec, publish=publisher.publish_one, max_waiting=settings.max_waiting
        )
        await self._asking.start()
        await self._known_keys.start()
        starts = Starts(
            validator=planning(
                settings=parts.settings, key_ring=parts.key_ring, providers=registry.capabilities(parts.settings)
            ),
            key_ring=parts.key_ring,
            ledger=self._readmodel.ledger,
            publisher=publisher,
            encoder=parts.codec,
            clock=parts.clock,
            new_id=lambda: str(uuid4()),
            produce_timeout_s=settings.produce_timeout_s,
            max_body_bytes=settings.max_body_bytes,
        )
        asks = Asks(
            asker=self._asking,
            once=Once(ledger=self._readmodel.ledger, clock=parts.clock),
            verifications=self._readmodel.verifications,
            key_ring=parts.key_ring,
            clock=parts.clock,
            measures=parts.metrics,
            new_id=lambda: secrets.token_hex(16),
            reply_timeout_s=settings.reply_timeout_s,
            max_body_bytes=settings.max_body_bytes,
        )
        door = Door(keys=self._known_keys, limits=Limits(clock=parts.clock), clock=parts.clock)
        return operations(
            guard=door.guard,
            starts=starts,
            reads=Reads(verifications=self._readmodel.verifications),
            check=asks.check,
            resend=asks.resend,
            failover=asks.failover,
            cancel=asks.cancel,
            published=Published(schemas=parts.codec.store, public_key=parts.key_ring.public_key()),
            docs=settings.docs,
        )

    async def stop(self) -> None:
        """Nobody is answered any more; harmless to repeat, and when it was never started."""
        await self._known_keys.stop()
        if self._asking is not None:
            asking, self._asking = self._asking, None
            await asking.stop()


async def settled(readmodel: ReadModel, *, within_s: float) -> None:
    """Wait for the database, but not for ever: webhooks need none, and a gateway that is not ready gets none."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while readmodel.missing():  # noqa: ASYNC110 - once, at the start
                await asyncio.sleep(0.02)
