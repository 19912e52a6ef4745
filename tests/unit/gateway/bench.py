"""The gateway's application under our hands: no socket, and a log that does as told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from pipeline.gateway.app import create_app
from pipeline.gateway.publisher import Publisher
from pipeline.gateway.reports import Reports
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.model.keys import KeyRing
from pipeline.testing.clock import ManualClock
from tests.unit.gateway.fakes import FakeEncoder, FakeMeasures, FakeProducer, FakeWebhooks

RIGHT = {"Signature": "right"}
MAX_AGE_S = 120
NOW = 1_735_787_045_000
RING = KeyRing.for_tests()


@dataclass
class Bench:
    """Providers ``ycloud`` and ``second``, and ``locked`` without a secret."""

    providers: dict[str, FakeWebhooks] = field(
        default_factory=lambda: {
            "ycloud": FakeWebhooks(),
            "second": FakeWebhooks(),
            "locked": FakeWebhooks(webhooks_enabled=False),
        }
    )
    producer: FakeProducer = field(default_factory=FakeProducer)
    measures: FakeMeasures = field(default_factory=FakeMeasures)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    public_url: str = ""
    missing: list[str] = field(default_factory=list)
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        receiver = WebhookReceiver(
            providers=self.providers,
            publisher=Publisher(producer=self.producer, timeout_s=0.05, max_waiting=3),
            reports=Reports(encoder=FakeEncoder(), recipient_key=RING.recipient_key),
            measures=self.measures,
            clock=self.clock,
            public_url=self.public_url,
            max_body_bytes=1_024,
            max_age_s=MAX_AGE_S,
        )
        app = create_app(
            webhooks=receiver,
            missing=lambda: self.missing,
            measures=self.measures,
            clock=self.clock,
            new_id=lambda: "made-here",
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway")

    async def post(
        self, content: bytes = b'["v1"]', *, to: str = "ycloud", headers: Mapping[str, str] = RIGHT
    ) -> httpx.Response:
        return await self.http.post(f"/v1/webhooks/{to}", content=content, headers=headers)

    def counted(self, *key: str) -> float:
        return self.measures.counters.get(key, 0.0)


def assert_problem(answer: httpx.Response, status: int, reason: str) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["reason"]) == (status, reason)
    assert body["title"]
    assert body["detail"]
