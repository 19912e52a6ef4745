"""Our Bird and the simulated one over HTTP: codes that Bird makes and checks, look-ups, resends, signed events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders import registry
from pipeline.senders.provider import Answer, Opened, Unplaced, Webhook
from pipeline.senders.providers.bird import Bird
from pipeline.serving import HttpServer
from pipeline.settings import Settings, SimulatorSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.server import Simulator

PHONE = "+4915123456789"
ADDRESS = "jo@xn--bcher-kva.example"
IDS = DEVELOPMENT_CREDENTIALS["bird"]
TEMPLATE = {"project_id": "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90", "version": "0b1d6f0c-1f6e-4c1e-9b0a-3f5d2c7e8a90"}

Call = Callable[..., Awaitable[Answer]]


def bird(simulator: Simulator) -> Bird:
    account: dict[str, Any] = {
        "enabled": True,
        "base_url": simulator.base_url("bird"),
        **{name: IDS[name] for name in ("workspace_id", "access_key", "signing_key", "navigator_id")},
        "channels": {name: IDS[f"channels.{name}"] for name in ("sms", "email", "whatsapp")},
        "templates": {"whatsapp": TEMPLATE},
        "get_path": "/verify/{id}",
        "list_path": "/verify",
        "resend_path": "/verify/{id}/resend",
        "failover_path": "/verify/{id}/failover",
    }
    provider = registry.load_one(Settings.model_validate({"providers": {"bird": account}}), "bird")
    assert isinstance(provider, Bird)
    return provider


@pytest.fixture
async def call(simulator: Simulator) -> AsyncIterator[Call]:
    provider = bird(simulator)
    async with httpx.AsyncClient() as http:

        async def call(
            kind: CommandKind = CommandKind.SEND,
            channel: Channel = Channel.SMS,
            recipient: str = PHONE,
            *,
            typed: str | None = None,
            **fields: Any,
        ) -> Answer:
            command = SendCommand(
                verification_id="job_42",
                command_id="job_42.1",
                kind=kind,
                provider="bird",
                channel=channel,
                **({"code_length": 8} | fields),
            )
            opened = Opened(recipient=recipient, code=typed)
            return provider.interpret(command, opened, await http.send(provider.build(command, opened, 0)))

        yield call


def code_for(simulator: Simulator, recipient: str) -> str:
    code: str = simulator.world.inbox.find(recipient=recipient)[-1]["code"]
    return code


@pytest.mark.parametrize(
    ("channel", "recipient", "fields"),
    [
        (Channel.SMS, PHONE, {"language": "pt-BR"}),
        (Channel.SMS, PHONE, {"language": "sw", "code_length": 12}),
        (Channel.WHATSAPP, PHONE, {"language": "zh-Hant-TW", "code_length": 6}),
        (Channel.EMAIL, ADDRESS, {}),
    ],
)
async def test_a_code_of_birds_reaches_the_person_and_verifies(
    call: Call, simulator: Simulator, channel: Channel, recipient: str, fields: dict[str, Any]
) -> None:
    sent = await call(CommandKind.SEND, channel, recipient, **fields)
    assert (sent.result, sent.unmapped) == (AttemptResult.ACCEPTED, False)
    (message,) = simulator.world.inbox.find(recipient=recipient)
    assert (message["channel"], len(message["code"])) == (channel.value, fields.get("code_length", 8))

    async def verdict(typed: str) -> bool | None:
        message_id = sent.provider_message_id
        return (await call(CommandKind.CHECK, channel, recipient, typed=typed, provider_message_id=message_id)).valid

    assert await verdict("00000000") is False
    assert await verdict(message["code"]) is True
    assert await verdict(message["code"]) is False
    found = await call(CommandKind.LOOKUP, channel, recipient, provider_message_id=sent.provider_message_id)
    assert (found.result, found.status) == (AttemptResult.ACCEPTED, AttemptStatus.DELIVERED)


async def test_a_resend_brings_the_same_verifications_code_again(call: Call, simulator: Simulator) -> None:
    sent = await call()
    again = await call(provider_message_id=sent.provider_message_id, again=True)
    assert (again.result, again.provider_message_id) == (AttemptResult.ACCEPTED, sent.provider_message_id)
    assert len(simulator.world.inbox.find(recipient=PHONE)) == 2
    typed = code_for(simulator, PHONE)
    assert (await call(CommandKind.CHECK, typed=typed, provider_message_id=sent.provider_message_id)).valid


async def test_a_failover_brings_it_on_the_next_channel_that_bird_was_told_of(call: Call, simulator: Simulator) -> None:
    sent = await call(further=[Channel.WHATSAPP])
    gone_on = await call(CommandKind.SEND, Channel.WHATSAPP, provider_message_id=sent.provider_message_id, place=1)
    assert (gone_on.result, gone_on.provider_message_id) == (AttemptResult.ACCEPTED, sent.provider_message_id)
    first, second = simulator.world.inbox.find(recipient=PHONE)
    assert (first["channel"], second["channel"], first["code"]) == ("sms", "whatsapp", second["code"])
    assert (await call(CommandKind.CHECK, typed=first["code"], provider_message_id=sent.provider_message_id)).valid


async def test_a_verification_that_is_over_goes_on_no_more(call: Call, simulator: Simulator) -> None:
    sent = await call(further=[Channel.WHATSAPP])
    typed = code_for(simulator, PHONE)
    assert (await call(CommandKind.CHECK, typed=typed, provider_message_id=sent.provider_message_id)).valid
    for wishes in ({"again": True}, {"place": 1}):
        answer = await call(provider_message_id=sent.provider_message_id, **wishes)
        assert (answer.result, answer.result_class) == (AttemptResult.REJECTED, ResultClass.ROUTE)


async def test_a_verification_whose_answer_was_lost_is_found_unless_there_are_two(
    call: Call, simulator: Simulator
) -> None:
    now_ms = simulator.world.clock.now_ms()
    assert (await call(CommandKind.LOOKUP, called_at=now_ms)).not_found
    await call(recipient="+4915123456780")
    sent = await call()
    found = await call(CommandKind.LOOKUP, called_at=now_ms)
    assert (found.result, found.provider_message_id) == (AttemptResult.ACCEPTED, sent.provider_message_id)
    await call()
    two = await call(CommandKind.LOOKUP, called_at=now_ms)
    assert (two.result, two.provider_message_id, two.not_found) == (AttemptResult.IN_DOUBT, None, False)
    assert (await call(CommandKind.LOOKUP, called_at=now_ms - 3_600_000)).not_found


async def test_a_verification_nobody_knows_is_no_right_code_and_not_found(call: Call) -> None:
    unknown = "123e4567-e89b-12d3-a456-426614174000"
    checked = await call(CommandKind.CHECK, typed="12345678", provider_message_id=unknown)
    assert (checked.valid, checked.alarm is not None) == (False, True)
    assert (await call(CommandKind.LOOKUP, provider_message_id=unknown)).not_found


@pytest.mark.parametrize(
    ("digits", "result", "kind"),
    [
        ("10", AttemptResult.REJECTED, ResultClass.CONTENT),
        ("12", AttemptResult.REJECTED, ResultClass.CONTENT),
        ("13", AttemptResult.REJECTED, ResultClass.ACCOUNT),
        ("14", AttemptResult.REJECTED, ResultClass.ACCOUNT),
        ("15", AttemptResult.REJECTED, ResultClass.ROUTE),
        ("16", AttemptResult.REJECTED, ResultClass.ACCOUNT),
        ("17", AttemptResult.REJECTED, ResultClass.ROUTE),
        ("18", AttemptResult.REJECTED, ResultClass.ROUTE),
        ("20", AttemptResult.NOT_SENT, ResultClass.ROUTE),
        ("30", AttemptResult.IN_DOUBT, ResultClass.NONE),
        ("31", AttemptResult.IN_DOUBT, ResultClass.NONE),
        ("37", AttemptResult.IN_DOUBT, ResultClass.NONE),
    ],
)
async def test_our_sender_understands_the_refusals_of_magic_recipients(
    call: Call, digits: str, result: AttemptResult, kind: ResultClass
) -> None:
    answer = await call(recipient=f"+49151239000{digits}")
    assert (answer.result, answer.result_class) == (result, kind)


@pytest.mark.parametrize(
    "behaviour", [{"error": 500}, {"error": 503}, {"fault": "garbage"}, {"error": 401}, {"error": 402}]
)
async def test_no_outage_makes_a_right_code_wrong(
    call: Call, simulator: Simulator, http: httpx.AsyncClient, behaviour: dict[str, Any]
) -> None:
    sent = await call()
    await http.put("/behaviour/bird", json={"rules": [{"when": {"operation": "check"}} | behaviour]})
    typed, message_id = code_for(simulator, PHONE), sent.provider_message_id
    assert (await call(CommandKind.CHECK, typed=typed, provider_message_id=message_id)).valid is None


async def test_the_probe_tells_a_wrong_key(simulator: Simulator, http: httpx.AsyncClient) -> None:
    provider = bird(simulator)
    request = provider.probe(0)
    assert request is not None
    assert provider.probed(await http.send(request)).ok
    request.headers["Authorization"] = "AccessKey another"
    assert not provider.probed(await http.send(request)).ok


@pytest.mark.parametrize(
    ("receipt", "told"),
    [
        ({}, [(AttemptStatus.SENT, None), (AttemptStatus.DELIVERED, None)]),
        (
            {"status": "undelivered", "error_code": "15005"},
            [(AttemptStatus.SENT, None), (AttemptStatus.UNDELIVERED, "recipient_rejected")],
        ),
        (
            {"status": "undelivered", "error_code": "Expired"},
            [(AttemptStatus.SENT, None), (AttemptStatus.EXPIRED, "undelivered")],
        ),
        ({"status": "missing"}, []),
    ],
)
async def test_the_events_of_its_channels_are_signed_and_read(
    receipt: dict[str, Any], told: list[tuple[AttemptStatus, str | None]]
) -> None:
    webhooks: list[Webhook] = []
    refused: list[int] = []

    async def receive(request: Request) -> Response:
        if not refused:
            refused.append(1)
            return Response(status_code=503)
        webhooks.append(Webhook(body=await request.body(), headers=request.headers, url=str(request.url)))
        return Response(status_code=204)

    receiver = HttpServer(Starlette(routes=[Route("/hooks/bird", receive, methods=["POST"])]), host="127.0.0.1", port=0)
    await receiver.start()
    simulator = Simulator(
        SimulatorSettings(port=0, smtp_port=0, webhook_url=f"{receiver.url}/hooks", time_factor=1_000)
    )
    await simulator.start()
    try:
        provider = bird(simulator)
        async with httpx.AsyncClient(base_url=simulator.url) as http:
            await http.put("/behaviour/bird", json={"default": {"receipt": {"delay_ms": 50} | receipt}})
            command = SendCommand(
                verification_id="v", command_id="v.1", kind=CommandKind.SEND, channel=Channel.SMS, code_length=6
            )
            await http.send(provider.build(command, Opened(recipient=PHONE), 0))
            async with asyncio.timeout(5):
                while len(webhooks) < len(told):  # noqa: ASYNC110 - what is awaited has no event to offer
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # for one too many
    finally:
        await simulator.stop()
        await receiver.stop()
    reports: list[Unplaced] = []
    for webhook in webhooks:
        received_at = int(webhook.headers["messagebird-request-timestamp"]) * 1_000
        whole = Webhook(body=webhook.body, headers=webhook.headers, url=webhook.url, received_at=received_at)
        assert provider.verify_signature(whole, max_age_s=300)
        reports += provider.statuses(whole)
    assert {report.recipient for report in reports} <= {PHONE}
    assert {report.receipt.channel for report in reports} <= {Channel.SMS}
    in_order = sorted(reports, key=lambda report: report.receipt.status is not AttemptStatus.SENT)
    assert [(report.receipt.status, report.receipt.reason) for report in in_order] == told
