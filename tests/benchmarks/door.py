"""CPU of what stands before each handler of the API: key, rate, ids, headers, deadlines."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pipeline.clock import SystemClock
from pipeline.gateway.caller import Caller
from pipeline.gateway.door import Door, Endpoint
from pipeline.gateway.edge import Edge
from pipeline.gateway.idempotency import read_key
from pipeline.gateway.keys import KnownKeys
from pipeline.gateway.limits import Limits
from pipeline.model.keys import KeyRing
from pipeline.runtime.api import Measure
from pipeline.settings import ApiKeySettings, GatewaySettings
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figures, best, on_loop, shown

KEYS, CALLS, RUNS = 100, 10_000, 7
KEY = "vk_shop_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
CALLER = Caller(name="shop", tenant="default", scopes=frozenset({"start"}))
RING = KeyRing.for_tests()
BODY = b'{"to":"+4915112345678","brand":"Shop","steps":[{"channel":"sms"},{"channel":"voice","wait_s":30}]}'

Call = Callable[[], Awaitable[object]]


def headers(key: str) -> list[tuple[bytes, bytes]]:
    """As a program sends them."""
    return [
        (b"host", b"verify.example.org"),
        (b"user-agent", b"shop/1.0"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer " + key.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"101"),
        (b"idempotency-key", b"8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]


def request(key: str = KEY) -> dict[str, Any]:
    """The scope of a start."""
    scope = {"type": "http", "method": "POST", "path": "/v1/verifications", "query_string": b""}
    return {**scope, "headers": headers(key)}


class _NoMeasures:
    def apply(self, measures: Iterable[Measure]) -> None:
        """Not counted here."""


async def receive() -> MutableMapping[str, Any]:
    """A body that is there."""
    return {"type": "http.request", "body": BODY, "more_body": False}


async def send(message: MutableMapping[str, Any]) -> None:
    """To nobody."""


async def plain(request: Request) -> Response:
    """An endpoint without a door."""
    return Response(b"{}", media_type="application/json")


def guarded() -> Endpoint:
    """The same behind one, which has several keys to tell apart."""
    sections = {f"key{number}": ApiKeySettings(key_sha256=f"{number:064x}") for number in range(KEYS)}
    sections["shop"] = ApiKeySettings(key_sha256=sha256(KEY.encode()).hexdigest())
    settings = GatewaySettings(api_keys=sections, rate_per_s=1e9)
    clock = SystemClock()
    keys = KnownKeys(settings=settings, tenants=["default"], stored=None, clock=clock)

    async def handler(request: Request, caller: Caller) -> Response:
        return await plain(request)

    return Door(keys=keys, limits=Limits(clock=clock), clock=clock).guard("start", handler)


async def cost(call: Call) -> list[float]:
    """Microseconds of CPU for one, several times over."""
    runs: list[float] = []
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(CALLS):
            await call()
        runs.append((time.process_time() - began) / CALLS * 1e6)
    return runs


def measure() -> Figures:
    """``door_us``, ``door_wrong_key_us``, ``edge_us``, ``idempotency_key_us``."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> Figures:
        endpoint, right, wrong, scope = guarded(), Request(request()), Request(request("wrong")), request()
        edge = Edge(
            app,
            measures=_NoMeasures(),
            clock=SystemClock(),
            new_id=lambda: "an-id",
            route_of=lambda path: path,
            body_timeout_s=10,
            https=True,
        )
        assert (await endpoint(right)).status_code == 200
        assert (await endpoint(wrong)).status_code == 401

        async def keyed() -> object:
            key = read_key(right, CALLER, RING)
            assert key is not None
            return key.begun(BODY), key.verification_id

        without, bare = min(await cost(lambda: plain(right))), min(await cost(lambda: app(scope, receive, send)))
        door = [each - without for each in await cost(lambda: endpoint(right))]
        edges = [each - bare for each in await cost(lambda: edge(scope, receive, send))]
        return {
            "door_us": best(door, "us", "per request: key, rate, scope, headers that tell the limit"),
            "door_wrong_key_us": best(await cost(lambda: endpoint(wrong)), "us", "per wrong key, with its answer"),
            "edge_us": best(edges, "us", "per request: ids, security headers, deadline of the body"),
            "idempotency_key_us": best(await cost(keyed), "us", "per Idempotency-Key: form, hashes, verification id"),
        }

    return on_loop(run)


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure()))
