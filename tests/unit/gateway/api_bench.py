"""The whole API under our hands: no socket, the read model in memory, and a log that does as told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import ASGIApp

from pipeline import topics
from pipeline.gateway.app import create_app
from pipeline.gateway.asks import Asks
from pipeline.gateway.caller import Caller
from pipeline.gateway.door import Door, Holder
from pipeline.gateway.idempotency import Once
from pipeline.gateway.limits import Limits
from pipeline.gateway.published import Published
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.read import Reads
from pipeline.gateway.reports import Reports
from pipeline.gateway.routes import operations, routes
from pipeline.gateway.start import Starts, planning
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.public import CodeCheck, Command, Reply, VerificationRequest
from pipeline.records.types import CommandAction, ReplyKind, VerificationState
from pipeline.runtime.api import Emit, Headers
from pipeline.senders import registry
from pipeline.settings import Settings
from pipeline.testing.clock import ManualClock
from pipeline.testing.readmodel import MemoryReadModel
from tests.unit.gateway.fakes import FakeMeasures, FakeProducer, FakeWebhooks

NOW = 1_735_787_045_678
RING = KeyRing.for_tests()
PHONE = "+4915123456789"
MAX_BODY = 65_536
PRODUCE_S = 0.05
SETTINGS = Settings.model_validate(
    {
        "providers": {
            "ycloud": {"enabled": True, "api_key": "k", "webhook_secret": ["whsec_1"]},
            "neutrino": {"enabled": True, "user_id": "u", "api_key": "k"},
        },
        "tenants": {"default": {}, "shop": {}, "other": {}},
        "test_numbers": ["+49150000"],
        "templates": {"plain": {"texts": {"en": "Code {code}"}}},
    }
)


class Keys:
    """A key is a tenant's name, with or without one scope behind a dot."""

    complete = True

    def find(self, key: bytes) -> Holder | None:
        tenant, _, scope = key.decode().partition(".")
        if tenant not in SETTINGS.tenants:
            return None
        scopes = frozenset({scope} if scope else {"start", "check", "read", "manage"})
        return Holder(Caller(name=tenant, tenant=tenant, scopes=scopes), key, 1_000_000.0)


@dataclass
class Tracker:
    """Answers checks and commands by what they hold, at once."""

    model: MemoryReadModel

    async def ask(self, request: CodeCheck | Command, *, timeout_s: float, trace: Headers = ()) -> Reply:
        known = request.verification_id in self.model.tables.verifications
        is_check = isinstance(request, CodeCheck)
        fields: dict[str, Any] = {
            "request_id": request.check_id if isinstance(request, CodeCheck) else request.command_id,
            "verification_id": request.verification_id,
            "kind": ReplyKind.CHECK if is_check else ReplyKind.COMMAND,
        }
        if not known:
            return Reply(reason="unknown_verification", **fields)
        fields |= {"state": VerificationState.SENT, "checks_left": 2}
        if isinstance(request, CodeCheck):
            return Reply(reason="wrong_code", **fields)
        if request.action is CommandAction.RESEND:
            return Reply(reason="resend_too_soon", step_index=0, retry_at=NOW + 30_000, **fields)
        return Reply(ok=True, reason="accepted", step_index=request.step_index or 0, **fields)


@dataclass
class ApiBench:
    """One gateway."""

    settings: Settings = SETTINGS
    model: MemoryReadModel = field(default_factory=MemoryReadModel)
    producer: FakeProducer = field(default_factory=FakeProducer)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    docs: bool = True
    app: ASGIApp = field(init=False)
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.codec = Codec()
        publisher = Publisher(producer=self.producer, timeout_s=PRODUCE_S, max_waiting=1_000)
        ids = iter(range(10_000_000))
        starts = Starts(
            validator=planning(settings=self.settings, key_ring=RING, providers=registry.capabilities(self.settings)),
            key_ring=RING,
            ledger=self.model.ledger,
            publisher=publisher,
            encoder=self.codec,
            clock=self.clock,
            new_id=lambda: f"made-{next(ids)}",
            produce_timeout_s=PRODUCE_S,
            max_body_bytes=MAX_BODY,
        )
        asks = Asks(
            asker=Tracker(self.model),
            once=Once(ledger=self.model.ledger, clock=self.clock),
            verifications=self.model.verifications,
            key_ring=RING,
            clock=self.clock,
            measures=self.measures,
            new_id=lambda: f"asked-{next(ids)}",
            reply_timeout_s=5.0,
            max_body_bytes=MAX_BODY,
        )
        self.operations = operations(
            guard=Door(keys=Keys(), limits=Limits(clock=self.clock), clock=self.clock).guard,
            starts=starts,
            reads=Reads(verifications=self.model.verifications),
            check=asks.check,
            resend=asks.resend,
            failover=asks.failover,
            cancel=asks.cancel,
            published=Published(schemas=self.codec.store, public_key=RING.public_key()),
            docs=self.docs,
        )
        receiver = WebhookReceiver(
            providers={"ycloud": FakeWebhooks(), "locked": FakeWebhooks(webhooks_enabled=False)},
            publisher=publisher,
            reports=Reports(encoder=self.codec, recipient_key=RING.recipient_key),
            measures=self.measures,
            clock=self.clock,
            public_url="",
            max_body_bytes=MAX_BODY,
            max_age_s=120,
        )
        self.app = create_app(
            webhooks=receiver,
            missing=tuple,
            measures=self.measures,
            clock=self.clock,
            new_id=lambda: "made-here",
            api=routes(self.operations),
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://gateway")

    async def start(
        self, body: Any, *, key: str | None = None, caller: str = "shop", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """``key`` is the Idempotency-Key; ``body`` is JSON unless it is bytes."""
        told = {"Authorization": f"Bearer {caller}", "Content-Type": "application/json", **(headers or {})}
        if key is not None:
            told["Idempotency-Key"] = key
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await self.http.post("/v1/verifications", headers=told, **content)

    async def get(self, path: str = "", *, caller: str = "shop", **query: Any) -> httpx.Response:
        """Behind ``/v1/verifications``."""
        told = {"Authorization": f"Bearer {caller}"}
        return await self.http.get(f"/v1/verifications{path}", headers=told, params=query or None)

    def written(self) -> list[Emit]:
        """What is in the topic of requests."""
        return [emit for emit in self.producer.written if emit.topic == topics.REQUESTS]

    def requests(self) -> list[VerificationRequest]:
        """The same, decoded."""
        return [self.codec.decode(VerificationRequest, emit.value, public=True) for emit in self.written()]
