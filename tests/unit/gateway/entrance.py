"""The door with keys, in front of handlers that only say who came in."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.errors import ReadModelUnavailable
from pipeline.gateway.app import create_app
from pipeline.gateway.caller import Caller, Scope
from pipeline.gateway.door import Door
from pipeline.gateway.keys import KnownKeys
from pipeline.gateway.limits import Limits
from pipeline.gateway.problems import HttpProblem
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Reports
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.http_body import read_body
from pipeline.model.reasons import ProblemReason
from pipeline.readmodel.ports import StoredKey
from pipeline.settings import ApiKeySettings, GatewaySettings
from pipeline.testing.clock import ManualClock
from pipeline.testing.readmodel import MemoryReadModel
from tests.unit.gateway.fakes import FakeEncoder, FakeMeasures, FakeProducer, FakeWebhooks

SHOP_KEY = "vk_shop_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
DESK_KEY = "vk_desk_another-key-of-the-settings-in-clear-text-"
SCOPES: tuple[Scope, ...] = ("start", "check", "read", "manage")


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def stored_key(
    key: str,
    *,
    name: str = "stored",
    tenant: str = "default",
    scopes: Collection[str] = SCOPES,
    revoked_at: int | None = None,
) -> StoredKey:
    return StoredKey(
        name=name,
        key_sha256=sha256(key),
        tenant=tenant,
        scopes=frozenset(scopes),
        created_at=1,
        revoked_at=revoked_at,
    )


def two_keys() -> dict[str, ApiKeySettings]:
    """``shop`` may do everything three times a second; ``desk`` only read, as often as all may."""
    return {
        "shop": ApiKeySettings(key_sha256=sha256(SHOP_KEY), scopes=list(SCOPES), rate_per_s=3),
        "desk": ApiKeySettings(key=SecretStr(DESK_KEY), scopes=["read"], tenant="other"),
    }


@dataclass
class Entrance:
    api_keys: Mapping[str, ApiKeySettings] = field(default_factory=two_keys)
    tenants: Collection[str] = ("default", "other")
    with_database: bool = True
    body_timeout_s: float = 10.0
    https: bool = False
    clock: ManualClock = field(default_factory=ManualClock)
    database: MemoryReadModel = field(default_factory=MemoryReadModel)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    callers: list[Caller] = field(default_factory=list)
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.settings = GatewaySettings(
            api_keys=dict(self.api_keys), rate_per_s=5, keys_refresh_s=4, keys_keep_s=60, body_timeout_s=10
        )
        self.keys = KnownKeys(
            settings=self.settings,
            tenants=self.tenants,
            stored=self.database.api_keys if self.with_database else None,
            clock=self.clock,
            timeout_s=1,
        )
        self.limits = Limits(clock=self.clock)
        self.door = Door(keys=self.keys, limits=self.limits, clock=self.clock)
        receiver = WebhookReceiver(
            providers={"ycloud": FakeWebhooks()},
            publisher=Publisher(producer=FakeProducer(), timeout_s=0.05),
            reports=Reports(encoder=FakeEncoder(), recipient_key=lambda text: text),
            measures=self.measures,
            clock=self.clock,
            public_url="",
            max_body_bytes=1_024,
            max_age_s=120,
        )
        self.app = create_app(
            webhooks=receiver,
            missing=tuple,
            measures=self.measures,
            clock=self.clock,
            new_id=lambda: "made-here",
            api=[
                Route("/v1/things", self.door.guard("start", self._admit), methods=["POST"]),
                Route("/v1/things", self.door.guard("read", self._admit), methods=["GET"]),
                Route("/v1/refuse", self.door.guard("read", self._refuse), methods=["GET"]),
                Route("/v1/away", self.door.guard("read", self._away), methods=["GET"]),
                Route("/v1/broken", self.door.guard("read", self._broken), methods=["GET"]),
            ],
            body_timeout_s=self.body_timeout_s,
            https=self.https,
        )
        transport = httpx.ASGITransport(app=self.app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def get(self, path: str = "/v1/things", *, key: str = SHOP_KEY) -> httpx.Response:
        return await self.http.get(path, headers=bearer(key))

    async def post(self, *, key: str = SHOP_KEY, content: bytes = b"{}") -> httpx.Response:
        return await self.http.post("/v1/things", headers=bearer(key), content=content)

    async def _admit(self, request: Request, caller: Caller) -> Response:
        self.callers.append(caller)
        body = await read_body(request, 1_024)
        return JSONResponse({"size": len(body or b"")})

    async def _refuse(self, request: Request, caller: Caller) -> Response:
        raise HttpProblem(HTTPStatus.CONFLICT, ProblemReason.ID_CONFLICT)

    async def _away(self, request: Request, caller: Caller) -> Response:
        raise ReadModelUnavailable("it does not answer")

    async def _broken(self, request: Request, caller: Caller) -> Response:
        raise ZeroDivisionError
