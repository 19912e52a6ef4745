"""The real simulator tells the real gateway, over real HTTP; only Kafka is a double that can be told to fail."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import orjson
import pytest
from pydantic import SecretStr

from pipeline.clock import SystemClock
from pipeline.gateway.server import GatewayServer
from pipeline.model.keys import KeyRing
from pipeline.model.reference import reference
from pipeline.records.types import AttemptStatus
from pipeline.senders.providers.ycloud import YCloud
from pipeline.settings import GatewaySettings, SimulatorSettings, YCloudSettings
from pipeline.simulator.server import Simulator
from pipeline.simulator.world import Account
from pipeline.testing.clock import ManualClock
from tests.unit.gateway.fakes import FakeEncoder, FakeLog, FakeMeasures, decode

SECRET = "whsec_local_sim_0001"
OFFICIAL_SECRET = "whsec_test_6c2f0f6c3a6d4b16"
REFERENCE = reference("job_42", 1, "0102030405")


@dataclass
class Bench:
    gateway: GatewayServer
    simulator: Simulator
    log: FakeLog
    measures: FakeMeasures
    http: httpx.AsyncClient

    async def start(self, *, channel: str = "sms", to: str = "+16315550100", reference: str = REFERENCE) -> None:
        answer = await self.http.post(
            self.simulator.base_url("ycloud") + "/verify/verifications",
            json={"channel": channel, "to": to, "externalId": reference},
            headers={"X-API-Key": "key"},
        )
        answer.raise_for_status()

    async def behave(self, **receipt: object) -> None:
        behaviour = {"default": {"delay_ms": 0, "receipt": {"delay_ms": 20} | receipt}}
        (await self.http.put(self.simulator.url + "/behaviour/ycloud", json=behaviour)).raise_for_status()

    async def tries(self) -> list[str]:
        lines = (await self.http.get(self.simulator.url + "/webhooks")).text.splitlines()
        return [orjson.loads(line)["answered"] for line in lines]

    def statuses(self) -> list[AttemptStatus]:
        return [decode(emit).status for emit in self.log.made.written]


async def until(condition: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event to offer
            await asyncio.sleep(0.01)


def gateway_with(
    log: FakeLog, measures: FakeMeasures, *, clock: ManualClock | SystemClock, max_age_s: int = 300
) -> GatewayServer:
    secrets = [SecretStr(SECRET), SecretStr(OFFICIAL_SECRET)]
    settings = YCloudSettings(enabled=True, api_key=SecretStr("key"), webhook_secret=secrets)
    return GatewayServer(
        settings=GatewaySettings(port=0, produce_timeout_s=0.2, webhook_max_age_s=max_age_s),
        log=log,
        encoder=FakeEncoder(),
        measures=measures,
        webhooks={"ycloud": YCloud(instance="ycloud", settings=settings)},
        recipient_key=KeyRing.for_tests().recipient_key,
        clock=clock,
    )


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    log, measures = FakeLog(), FakeMeasures()
    gateway = gateway_with(log, measures, clock=SystemClock())
    await gateway.start()
    # The documented schedule of 10 s, 30 s ... becomes 100 ms, 300 ms ...
    simulator = Simulator(
        SimulatorSettings(port=0, smtp_port=0, webhook_url=f"{gateway.url}/v1/webhooks", time_factor=100),
        accounts=[
            Account(kind="ycloud", instance="ycloud", credentials={"api_key": "key", "webhook_secret": SECRET}),
        ],
    )
    await simulator.start()
    async with httpx.AsyncClient(timeout=5) as http:
        yield Bench(gateway=gateway, simulator=simulator, log=log, measures=measures, http=http)
    await simulator.stop()
    await gateway.stop()
    assert log.made.stopped


async def test_a_receipt_of_the_simulator_becomes_a_status_of_the_attempt(bench: Bench) -> None:
    await bench.behave()
    await bench.start()
    await until(lambda: bool(bench.log.made.written))
    (emit,) = bench.log.made.written
    status = decode(emit)
    assert (emit.topic, emit.key) == ("verification.statuses", b"job_42")
    assert (status.attempt_id, status.provider, status.status) == ("job_42.1", "ycloud", "delivered")
    assert (status.cost, status.currency) == ("0.0085", "USD")
    assert abs(status.received_at - status.occurred_at) < 5_000


@pytest.mark.parametrize(
    ("channel", "to", "receipt", "told"),
    [
        ("sms", "+16315550100", {"status": "undelivered"}, ["undelivered"]),
        ("voice", "+16315550100", {}, ["delivered"]),
        ("voice", "+16315550100", {"status": "undelivered"}, ["undelivered"]),
        ("email_code", "jo@example.org", {}, ["delivered"]),
        ("email_code", "jo@example.org", {"status": "undelivered"}, ["failed"]),
        ("whatsapp", "+16315550100", {"status": "read"}, ["sent", "delivered", "read"]),
        ("whatsapp", "+16315550100", {"status": "undelivered"}, ["sent", "failed"]),
        ("whatsapp", "+16315550100", {"status": "read", "reordered": True}, ["read", "delivered", "sent"]),
        ("sms", "+16315550100", {"copies": 3}, ["delivered"] * 3),
    ],
)
async def test_every_kind_of_receipt_arrives_as_the_provider_tells_it(
    bench: Bench, channel: str, to: str, receipt: dict[str, object], told: list[str]
) -> None:
    await bench.behave(**receipt)
    await bench.start(channel=channel, to=to)
    await until(lambda: len(bench.log.made.written) >= len(told))
    assert bench.statuses() == told
    assert await bench.tries() == ["200"] * len(told)


async def test_a_missing_receipt_stays_missing_though_the_person_has_the_message(bench: Bench) -> None:
    await bench.behave(status="missing")
    await bench.start()
    await asyncio.sleep(0.2)
    assert await bench.tries() == []
    assert len((await bench.http.get(bench.simulator.url + "/inbox")).json()) == 1


async def test_a_reordered_receipt_lets_the_next_one_pass(bench: Bench) -> None:
    await bench.behave(reordered=True)
    await bench.start(reference=reference("first", 1, "00" * 8))
    await asyncio.sleep(0.1)
    await bench.behave()
    await bench.start(reference=reference("second", 1, "00" * 8))
    await until(lambda: len(bench.log.made.written) == 2)
    assert [emit.key for emit in bench.log.made.written] == [b"second", b"first"]


async def test_what_the_log_refused_is_told_again_until_it_is_written_once(bench: Bench) -> None:
    bench.log.made.fail = 2
    await bench.behave()
    await bench.start()
    await until(lambda: bool(bench.log.made.written))
    await until(lambda: bench.simulator.world.webhooks.pending == 0)
    assert await bench.tries() == ["503", "503", "200"]
    assert bench.statuses() == ["delivered"]
    assert bench.measures.counters["webhooks_total", "ycloud", "unavailable"] == 2


async def test_a_silent_log_answers_503_in_time_and_the_report_comes_again(bench: Bench) -> None:
    bench.log.made.silent = True
    await bench.behave()
    await bench.start()
    await until(lambda: bench.measures.counters.get(("webhooks_total", "ycloud", "unavailable"), 0) >= 1)
    bench.log.made.silent = False
    await until(lambda: bool(bench.log.made.written))
    assert bench.statuses() == ["delivered"]


async def test_another_systems_message_on_the_same_account_is_taken_and_left_alone(bench: Bench) -> None:
    await bench.behave()
    await bench.start(reference="somebody-elses-job")
    await until(lambda: bench.measures.counters.get(("webhooks_total", "ycloud", "ignored"), 0) == 1)
    assert bench.log.made.written == []


async def test_an_account_without_a_secret_sends_no_webhook() -> None:
    simulator = Simulator(
        SimulatorSettings(port=0, smtp_port=0, webhook_url="http://127.0.0.1:9"),
        accounts=[Account(kind="ycloud", instance="ycloud", credentials={"api_key": "key"})],
    )
    await simulator.start()
    async with httpx.AsyncClient() as http:
        url = simulator.base_url("ycloud") + "/verify/verifications"
        await http.post(url, json={"channel": "sms", "to": "+16315550100"}, headers={"X-API-Key": "key"})
        await asyncio.sleep(0.3)
        assert (await http.get(simulator.url + "/webhooks")).text == ""
    await simulator.stop()


OFFICIAL = (
    b'{"id":"evt_01","type":"whatsapp.inbound_message.received","apiVersion":"v2"}',
    "t=1700000000,s=4ee5dc4c43b9d27aa16b9e46a59ea8700d0b3b90d9da6139a302aa7a55cbdaa1",
)
EXAMPLE = (
    b'{"id":"evt_sim_1","type":"sms.message.updated","apiVersion":"v2","createTime":"2025-01-02T03:04:05.000Z",'
    b'"sms":{"id":"sms_sim_1","to":"+16315550100","status":"delivered","externalId":"job-42","bizType":"verify",'
    b'"verificationId":"ve_sim_1"}}',
    "t=1735787045,s=55fcc1ca9f78f4eac6a7786b5cc0ff966cc591345566049ce0855a9b5fd332c3",
)


@pytest.mark.parametrize(
    ("vector", "now_s", "change", "status"),
    [
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body, signature), 200),
        (OFFICIAL, 1_700_000_300, lambda body, signature: (body, signature), 200),
        (OFFICIAL, 1_700_000_301, lambda body, signature: (body, signature), 401),
        (OFFICIAL, 1_699_999_699, lambda body, signature: (body, signature), 401),
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body + b" ", signature), 401),
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body, signature[:-1] + "2"), 401),
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body, signature.upper()), 401),
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body, signature.replace("t=17", "t=18")), 401),
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body, signature.partition(",")[2]), 401),
        (OFFICIAL, 1_700_000_000, lambda body, signature: (body, ""), 401),
        (EXAMPLE, 1_735_787_045, lambda body, signature: (body, signature), 200),
    ],
)
async def test_the_official_vectors_open_the_door_and_nothing_near_them_does(
    vector: tuple[bytes, str], now_s: int, change: Callable[[bytes, str], tuple[bytes, str]], status: int
) -> None:
    gateway = gateway_with(FakeLog(), FakeMeasures(), clock=ManualClock(now_ms=now_s * 1_000))
    await gateway.start()
    body, signature = change(*vector)
    async with httpx.AsyncClient() as http:
        url = f"{gateway.url}/v1/webhooks/ycloud"
        answer = await http.post(url, content=body, headers={"YCloud-Signature": signature})
        assert answer.status_code == status
        assert (await http.get(f"{gateway.url}/readyz")).status_code == 200
    await gateway.stop()


@pytest.mark.parametrize(("age_s", "status"), [(60, 200), (61, 401)])
async def test_the_settings_say_how_old_a_signature_may_be(age_s: int, status: int) -> None:
    clock = ManualClock(now_ms=(1_700_000_000 + age_s) * 1_000)
    gateway = gateway_with(FakeLog(), FakeMeasures(), clock=clock, max_age_s=60)
    await gateway.start()
    async with httpx.AsyncClient() as http:
        url = f"{gateway.url}/v1/webhooks/ycloud"
        answer = await http.post(url, content=OFFICIAL[0], headers={"YCloud-Signature": OFFICIAL[1]})
        assert answer.status_code == status
    await gateway.stop()


async def test_one_delivery_repeated_with_the_same_signature_is_harmless(bench: Bench) -> None:
    now_s = int(time.time())
    created = datetime.fromtimestamp(now_s - 60, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    body = orjson.dumps(
        {
            "id": "evt_1",
            "type": "sms.message.updated",
            "apiVersion": "v2",
            "createTime": created,
            "sms": {
                "id": "sms_1",
                "to": "+16315550100",
                "status": "delivered",
                "externalId": REFERENCE,
                "bizType": "verify",
                "verificationId": "ve_1",
            },
        }
    )
    digest = hmac.new(SECRET.encode(), f"{now_s}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"YCloud-Signature": f"t={now_s},s={digest}"}
    for _ in range(3):
        answer = await bench.http.post(f"{bench.gateway.url}/v1/webhooks/ycloud", content=body, headers=headers)
        assert answer.status_code == 200
    assert {dict(emit.headers)["reference"] for emit in bench.log.made.written} == {REFERENCE.encode()}
    told = [decode(emit) for emit in bench.log.made.written]
    assert {(status.attempt_id, status.status, status.occurred_at) for status in told} == {
        ("job_42.1", AttemptStatus.DELIVERED, (now_s - 60) * 1_000)
    }


async def test_a_body_cut_by_the_limit_is_refused_on_a_real_connection(bench: Bench) -> None:
    answer = await bench.http.post(f"{bench.gateway.url}/v1/webhooks/ycloud", content=b"x" * 100_000)
    assert answer.status_code == 413
    assert answer.headers["Connection"] == "close"
