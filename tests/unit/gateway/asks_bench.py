"""The gateway's checks and commands under our hands: no socket, a log in memory, and whoever answers in the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp

from pipeline import topics
from pipeline.errors import LogUnavailable
from pipeline.gateway.app import create_app
from pipeline.gateway.asks import Asks
from pipeline.gateway.caller import Caller
from pipeline.gateway.door import Door, Holder
from pipeline.gateway.idempotency import Once
from pipeline.gateway.limits import Limits
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Reports
from pipeline.gateway.routes import questions, routes
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import ReplyReason
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply
from pipeline.records.types import ReplyKind, VerificationState
from pipeline.request_reply import Asking
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import TopicPartition, scan
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import MemoryCluster, MemoryLog
from pipeline.testing.readmodel import MemoryReadModel
from tests.unit.gateway.fakes import FakeMeasures

NOW = 1_735_787_045_000
RING = KeyRing.for_tests()
PARTITIONS = 2
PRODUCE_S, REPLY_S = 1.0, 5.0
MAX_BODY, MAX_WAITING = 2_048, 3


@dataclass
class Keys:
    """Every key is the name of a tenant, with or without a scope behind a dot."""

    complete: bool = True

    def find(self, key: bytes) -> Holder | None:
        tenant, _, scope = key.decode().partition(".")
        scopes = frozenset({scope} if scope else {"check", "manage"})
        return Holder(Caller(name=tenant, tenant=tenant, scopes=scopes), key, 1_000.0)


class Unsteady:
    """A producer that writes, refuses or stays silent, as told."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.refuses = False
        self.silent = False

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        if self.silent:
            await asyncio.Event().wait()
        if self.refuses:
            raise LogUnavailable("no broker")
        return await (await self._log.producer()).send(emit)

    async def send_all(self, emits: Sequence[Emit]) -> None:
        for emit in emits:
            await self.send(emit)

    async def stop(self) -> None:
        """Nothing to release."""


class AsksBench:
    """One gateway; :meth:`open` runs it."""

    def __init__(self) -> None:
        self.clock = ManualClock(now_ms=NOW)
        self.log = MemoryLog(MemoryCluster(self.clock))
        for topic in (topics.REPLIES, topics.CHECKS, topics.COMMANDS):
            self.log.create_topic(topic, partitions=PARTITIONS)
        self.codec = Codec()
        self.model = MemoryReadModel()
        self.measures = FakeMeasures()
        self.producer = Unsteady(self.log)

    @asynccontextmanager
    async def open(self, *, reply_s: float = REPLY_S) -> AsyncIterator[Gateway]:
        """A gateway of its own over the same log and database."""
        publisher = Publisher(producer=self.producer, timeout_s=PRODUCE_S, max_waiting=MAX_WAITING)
        asking = Asking(
            log=self.log,
            codec=self.codec,
            publish=lambda emit: publisher.publish([emit]),
            max_waiting=MAX_WAITING,
        )
        ids = iter(range(1_000))
        asks = Asks(
            asker=asking,
            once=Once(ledger=self.model.ledger, clock=self.clock),
            verifications=self.model.verifications,
            key_ring=RING,
            clock=self.clock,
            measures=self.measures,
            new_id=lambda: f"made-{next(ids)}",
            reply_timeout_s=reply_s,
            max_body_bytes=MAX_BODY,
        )
        door = Door(keys=Keys(), limits=Limits(clock=self.clock), clock=self.clock)
        receiver = WebhookReceiver(
            providers={},
            publisher=publisher,
            reports=Reports(encoder=self.codec, recipient_key=RING.recipient_key),
            measures=self.measures,
            clock=self.clock,
            public_url="",
            max_body_bytes=MAX_BODY,
            max_age_s=60,
        )
        app = create_app(
            webhooks=receiver,
            missing=tuple,
            measures=self.measures,
            clock=self.clock,
            new_id=lambda: "a-request",
            api=routes(
                questions(
                    guard=door.guard,
                    check=asks.check,
                    resend=asks.resend,
                    failover=asks.failover,
                    cancel=asks.cancel,
                )
            ),
        )
        await asking.start()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            yield Gateway(app, asking, http)
        await asking.stop()

    async def asked(self, topic: str, count: int) -> list[Any]:
        """The checks or commands on their topic once there are as many."""
        kind = CodeCheck if topic == topics.CHECKS else Command
        return [self.codec.decode(kind, record.value, public=True) for record in await self.records(topic, count)]

    async def records(self, topic: str, count: int) -> list[Record]:
        """The records of a topic once there are as many."""
        while True:
            starts = {TopicPartition(topic, number): 0 for number in range(PARTITIONS)}
            found = [record async for records in scan(self.log, starts) for record in records]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)

    async def reply(
        self, request_id: str, reason: ReplyReason | str, *, kind: ReplyKind = ReplyKind.CHECK, **more: Any
    ) -> None:
        """What the tracker writes for a request of the verification ``v``."""
        fields: dict[str, Any] = {
            "verification_id": "v",
            "ok": reason in (ReplyReason.VALID, ReplyReason.ACCEPTED),
            "state": VerificationState.SENT,
            **more,
        }
        reply = Reply(request_id=request_id, kind=kind, reason=str(reason), **fields)
        producer = await self.log.producer()
        await producer.send(Emit(topics.REPLIES, reply.verification_id.encode(), self.codec.encode(reply)))


@dataclass
class Gateway:
    """A running one."""

    app: ASGIApp
    asking: Asking
    http: httpx.AsyncClient

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, caller: str = "shop", **headers: str
    ) -> asyncio.Task[httpx.Response]:
        """A request on its way; ``key`` is its Idempotency-Key."""
        told = {"Authorization": f"Bearer {caller}"} | headers
        if key is not None:
            told["Idempotency-Key"] = key
        content = {"content": body} if isinstance(body, bytes) or body is None else {"json": body}
        return asyncio.create_task(self.http.post(f"/v1/verifications/{path}", headers=told, **content))

    def leaving(
        self, path: str, body: bytes, *, gone: asyncio.Event, headers: Mapping[str, str] | None = None
    ) -> asyncio.Task[int]:
        """A request whose client goes away when ``gone`` is set; the status that nobody reads any more."""
        given = {"authorization": "Bearer shop", "content-type": "application/json"}
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/v1/verifications/{path}",
            "raw_path": b"",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        left = iter([{"type": "http.request", "body": body, "more_body": False}])
        status = 0

        async def receive() -> Mapping[str, Any]:
            message = next(left, None)
            if message is None:
                await gone.wait()
                return {"type": "http.disconnect"}
            return message

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        async def run() -> int:
            await self.app(scope, receive, send)  # type: ignore[arg-type]
            return status

        return asyncio.create_task(run())
