"""CPU of one start over HTTP in the gateway's own code: from the ASGI call to the acknowledged record and the answer.

Not in it: the HTTP server, Kafka's client and the database, which are measured with the whole gateway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from pipeline.gateway.app import create_app
from pipeline.gateway.caller import Caller
from pipeline.gateway.door import Door, Holder
from pipeline.gateway.limits import Limits
from pipeline.gateway.published import Published
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.read import Reads
from pipeline.gateway.reports import Reports
from pipeline.gateway.routes import operations, routes
from pipeline.gateway.start import Starts, planning
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.readmodel.ports import Known, Start, Started
from pipeline.runtime.api import Emit, Measure
from pipeline.senders import registry
from pipeline.testing.clock import ManualClock
from pipeline.testing.readmodel import MemoryReadModel
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figures, best, on_loop, shown
from tests.benchmarks.flow import CODEC, NOW, RING, SETTINGS, requests

WARM_UP, RUN, RUNS = 500, 2_000, 5
CALLERS = 64
MIX = "new ids and numbers: 70% automatic, 20% two steps, 4% e-mail, 3% refused; no server, client or database"


class _Key:
    complete = True

    def find(self, key: bytes) -> Holder | None:
        return Holder(Caller(name="k", tenant="default", scopes=frozenset({"start"})), key, 1e9)


class _Ledger:
    async def start(self, entry: Start) -> Started:
        return Started(Known.NEW, 0, entry.view)

    async def begin(self, begun: Any, *, created_at: int) -> Any:
        raise AssertionError("no start asks for this")

    async def answered(self, begun: Any, *, status: int, answer: bytes) -> None:
        raise AssertionError("no start asks for this")


class _Acknowledging:
    def __init__(self) -> None:
        self.count = 0

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        self.count += 1
        return 0, self.count

    async def send_all(self, emits: Sequence[Emit]) -> None:
        for emit in emits:
            await self.send(emit)

    async def stop(self) -> None:
        """Nothing to release."""


class _NoMeasures:
    def apply(self, measures: Sequence[Measure]) -> None:
        """Not counted here."""


def gateway(producer: _Acknowledging) -> Any:
    """The application with a producer that acknowledges at once."""
    clock = ManualClock(NOW)
    publisher = Publisher(producer=producer, timeout_s=5.0)
    model = MemoryReadModel()
    starts = Starts(
        validator=planning(settings=SETTINGS, key_ring=RING, providers=registry.capabilities(SETTINGS)),
        key_ring=RING,
        ledger=_Ledger(),
        publisher=publisher,
        encoder=CODEC,
        clock=clock,
        new_id=lambda: "unused",
        produce_timeout_s=5.0,
        max_body_bytes=65_536,
    )
    found = operations(
        guard=Door(keys=_Key(), limits=Limits(clock=clock), clock=clock).guard,
        starts=starts,
        reads=Reads(verifications=model.verifications),
        check=_unused,
        resend=_unused,
        failover=_unused,
        cancel=_unused,
        published=Published(schemas=CODEC.store, public_key=RING.public_key()),
        docs=True,
    )
    receiver = WebhookReceiver(
        providers={},
        publisher=publisher,
        reports=Reports(encoder=CODEC, recipient_key=RING.recipient_key),
        measures=_NoMeasures(),
        clock=clock,
        public_url="",
        max_body_bytes=65_536,
        max_age_s=60,
    )
    return create_app(
        webhooks=receiver,
        missing=tuple,
        measures=_NoMeasures(),
        clock=clock,
        new_id=lambda: "a-request",
        api=routes(found),
    )


async def _unused(request: Any, caller: Any) -> Any:
    raise AssertionError("no start asks for this")


def bodies(count: int) -> list[bytes]:
    """As a client would send them."""
    made: list[bytes] = []
    for request in requests(count):
        fields = {name: value for name, value in msgspec.to_builtins(request).items() if value}
        for step in fields.get("steps", ()):
            for name in [name for name, value in step.items() if not value]:
                del step[name]
        fields.pop("tenant")
        fields.pop("requested_at")
        made.append(orjson.dumps(fields))
    return made


async def call(app: Any, body: bytes) -> int:
    """One request; its status."""
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/verifications",
        "raw_path": b"/v1/verifications",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"127.0.0.1:8080"),
            (b"authorization", b"Bearer 0123456789abcdef0123456789abcdef"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
    }
    message: Mapping[str, Any] = {"type": "http.request", "body": body, "more_body": False}
    status = 0

    async def receive() -> Mapping[str, Any]:
        return message

    async def send(answer: Mapping[str, Any]) -> None:
        nonlocal status
        status = answer.get("status", status)

    await app(scope, receive, send)
    return status


async def in_parallel(app: Any, sent: Sequence[bytes]) -> None:
    """Each caller after its answer: one alone would only measure how long a batch waits for a second one."""
    waiting = iter(sent)

    async def caller() -> None:
        for body in waiting:
            await call(app, body)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))


def measure() -> Figures:
    """``gateway_start_us``."""
    sent = bodies(WARM_UP + RUN * RUNS)

    async def run() -> list[float]:
        producer = _Acknowledging()
        app = gateway(producer)
        await in_parallel(app, sent[:WARM_UP])
        runs: list[float] = []
        for at in range(WARM_UP, len(sent), RUN):
            taken = producer.count
            began = time.process_time()
            await in_parallel(app, sent[at : at + RUN])
            runs.append((time.process_time() - began) / RUN * 1e6)
            assert producer.count - taken > RUN * 0.9, "most are started"
        return runs

    return {"gateway_start_us": best(on_loop(run), "us", f"per start; {MIX}")}


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure()))
