"""Our Telesign sender and the simulated Telesign, from the message to its callback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.clock import SystemClock
from pipeline.model.reference import reference
from pipeline.records.internal import SendCommand, WalkStep
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind
from pipeline.senders.provider import Answer, Opened, Report, Unplaced, Webhook
from pipeline.senders.providers.telesign import Telesign
from pipeline.serving import HttpServer
from pipeline.settings import SimulatorSettings, TelesignSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.server import Simulator

PHONE = "+4915123456789"
REFERENCE = reference("job_42", 1, "00" * 8)

Call = Callable[..., Awaitable[Answer]]


@dataclass
class Receiver:
    """Takes callbacks; turns away as many as it is told to."""

    queue: asyncio.Queue[Webhook] = field(default_factory=asyncio.Queue)
    refuse: int = 0

    async def take(self, request: Request) -> Response:
        if self.refuse:
            self.refuse -= 1
            return Response(status_code=503)
        self.queue.put_nowait(
            Webhook(
                body=await request.body(),
                headers=dict(request.headers),
                token=request.path_params.get("token"),
                received_at=SystemClock().now_ms(),
            )
        )
        return Response(status_code=204)

    async def next(self, count: int) -> list[Webhook]:
        async with asyncio.timeout(5):
            return [await self.queue.get() for _ in range(count)]


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    taking = Receiver()
    paths = ("/v1/webhooks/telesign", "/v1/webhooks/telesign/{token}")
    app = Starlette(routes=[Route(path, taking.take, methods=["POST"]) for path in paths])
    server = HttpServer(app, host="127.0.0.1", port=0, shutdown_s=1.0)
    await server.start()
    yield taking, f"{server.url}/v1/webhooks"
    await server.stop()


@pytest.fixture
async def simulator(receiver: tuple[Receiver, str]) -> AsyncIterator[Simulator]:
    running = Simulator(SimulatorSettings(port=0, smtp_port=0, webhook_url=receiver[1], time_factor=100))
    await running.start()
    yield running
    await running.stop()


def telesign(simulator: Simulator, webhook_url: str = "", **differences: str) -> Telesign:
    settings = {**DEVELOPMENT_CREDENTIALS["telesign"], "base_url": simulator.base_url("telesign"), **differences}
    return Telesign(instance="telesign", settings=TelesignSettings.model_validate(settings), webhook_url=webhook_url)


@pytest.fixture(params=["digest", "basic"])
def provider(simulator: Simulator, receiver: tuple[Receiver, str], request: pytest.FixtureRequest) -> Telesign:
    return telesign(simulator, f"{receiver[1]}/telesign", auth=request.param)


@pytest.fixture
async def call(provider: Telesign) -> AsyncIterator[Call]:
    async with httpx.AsyncClient() as client:

        async def call(kind: CommandKind = CommandKind.SEND, code: str | None = None, **fields: Any) -> Answer:
            named: dict[str, Any] = {"channel": Channel.SMS, "reference": REFERENCE} | fields
            command = SendCommand(verification_id="job_42", command_id="job_42.1", kind=kind, **named)
            opened = Opened(recipient=PHONE, code=code)
            built = provider.build(command, opened, SystemClock().now_ms())
            return provider.interpret(command, opened, await client.send(built))

        yield call


async def test_a_code_of_telesigns_is_checked_there(call: Call, simulator: Simulator) -> None:
    sent = await call()
    (message,) = simulator.world.inbox.find(recipient=PHONE)

    async def check(code: str) -> bool | None:
        return (await call(CommandKind.CHECK, code, provider_message_id=sent.provider_message_id)).valid

    assert [await check("0000000"), await check(message["code"])] == [False, True]
    assert (await call(CommandKind.CHECK, "1", provider_message_id="0" * 32)).valid is None


async def test_a_success_is_noted(call: Call) -> None:
    sent = await call(code="048291")
    assert (await call(CommandKind.REPORT, "048291", provider_message_id=sent.provider_message_id)).result is (
        AttemptResult.ACCEPTED
    )


async def test_a_plan_goes_to_smart_verify_as_a_whole(call: Call, simulator: Simulator) -> None:
    answer = await call(walk=[WalkStep(index=1, channel=Channel.VOICE)])
    assert (answer.result, answer.used_channel) == (AttemptResult.ACCEPTED, Channel.SMS)
    (message,) = simulator.world.inbox.find(recipient=PHONE)
    assert len(message["code"]) == 7


async def test_callbacks_come_signed_to_the_address_of_their_message(
    call: Call, provider: Telesign, receiver: tuple[Receiver, str]
) -> None:
    taking, _ = receiver
    taking.refuse = 2
    await call(code="4829")
    webhooks = await taking.next(2)
    assert all(provider.verify_signature(webhook, max_age_s=300) for webhook in webhooks)
    reports = [report for webhook in webhooks for report in provider.statuses(webhook)]
    assert {type(report) for report in reports} == {Report}
    assert {report.reference for report in reports if isinstance(report, Report)} == {REFERENCE}
    told = {report.status.status for report in reports if isinstance(report, Report)}
    assert told == {AttemptStatus.SENT, AttemptStatus.DELIVERED}


async def test_callbacks_of_smart_verify_name_only_the_message(
    call: Call, provider: Telesign, receiver: tuple[Receiver, str]
) -> None:
    taking, _ = receiver
    sent = await call(walk=[WalkStep(index=1, channel=Channel.VOICE)])
    webhooks = await taking.next(2)
    assert all(provider.verify_signature(webhook, max_age_s=300) for webhook in webhooks)
    for webhook in webhooks:
        (unplaced,) = provider.statuses(webhook)
        assert isinstance(unplaced, Unplaced)
        assert unplaced.receipt.provider_message_id == sent.provider_message_id
    looked_up = await call(CommandKind.LOOKUP, provider_message_id=sent.provider_message_id)
    assert (looked_up.result, looked_up.status) == (AttemptResult.ACCEPTED, AttemptStatus.DELIVERED)


async def test_the_probe_tells_right_credentials_from_wrong_ones(provider: Telesign, simulator: Simulator) -> None:
    wrong = telesign(simulator, api_key="b3RoZXI=")
    async with httpx.AsyncClient() as client:
        now_ms = SystemClock().now_ms()
        assert provider.probed(await client.send(provider.probe(now_ms))).ok
        assert wrong.probed(await client.send(wrong.probe(now_ms))) == (False, "HTTP 401 error -30006")


async def test_a_stale_date_and_a_used_nonce_ask_for_another_try(simulator: Simulator) -> None:
    provider = telesign(simulator)
    async with httpx.AsyncClient() as client:
        late = provider.build(_SEND, Opened(recipient=PHONE), SystemClock().now_ms() - 600_000)
        answer = provider.interpret(_SEND, Opened(recipient=PHONE), await client.send(late))
        fresh = provider.build(_SEND, Opened(recipient=PHONE), SystemClock().now_ms())
        first = await client.send(fresh)
        again = provider.interpret(_SEND, Opened(recipient=PHONE), await client.send(fresh))
    assert (answer.result, answer.repeat, first.status_code) == (AttemptResult.REJECTED, True, 200)
    assert (again.result, again.repeat) == (AttemptResult.REJECTED, True)
    assert len(simulator.world.inbox.find(recipient=PHONE)) == 1


_SEND = SendCommand(
    verification_id="job_42",
    command_id="job_42.1",
    kind=CommandKind.SEND,
    channel=Channel.SMS,
    reference=REFERENCE,
)
