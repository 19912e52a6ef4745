"""Our ThunderSMS sender against the simulated one over HTTP: checks, look-ups, cancels, its walk, and its pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.model.reference import reference
from pipeline.records.internal import SendCommand, WalkStep
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, CommandKind, ResultClass
from pipeline.senders import registry
from pipeline.senders.provider import Answer, Opened, Report, Unplaced, Webhook
from pipeline.senders.providers.thundersms import ThunderSms
from pipeline.serving import HttpServer
from pipeline.settings import Settings, SimulatorSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.server import Simulator

NOW_MS = 1_735_787_045_000
PHONE = "+4915123456789"
A = AttemptResult


@dataclass
class Person:
    """One verification through our sender."""

    provider: ThunderSms
    http: httpx.AsyncClient
    simulator: Simulator
    message_id: str | None = None

    async def ask(self, kind: CommandKind, *, code: str | None = None, recipient: str = PHONE, **fields: Any) -> Answer:
        walk = fields.pop("recipients", ())
        command = SendCommand(
            verification_id="job_42",
            command_id="job_42.1",
            kind=kind,
            attempt_id="job_42.1",
            n=1,
            provider="thundersms",
            reference=reference("job_42", 1, "00" * 8),
            provider_message_id=self.message_id,
            **({"channel": Channel.SMS, "code_length": 6} | fields),
        )
        opened = Opened(recipient=recipient, code=code, walk=walk)
        response = await self.http.send(self.provider.build(command, opened, NOW_MS))
        answer = self.provider.interpret(command, opened, response)
        if kind is CommandKind.SEND:
            self.message_id = answer.provider_message_id
        return answer

    async def behave(self, **default: Any) -> None:
        put = await self.http.put(f"{self.simulator.url}/behaviour/thundersms", json={"default": default})
        put.raise_for_status()

    @property
    def inbox(self) -> list[dict[str, Any]]:
        return self.simulator.world.inbox.find()


def provider(simulator: Simulator, **section: Any) -> ThunderSms:
    configured = {
        "enabled": True,
        "base_url": simulator.base_url("thundersms"),
        **DEVELOPMENT_CREDENTIALS["thundersms"],
        **section,
    }
    made = registry.load(Settings.model_validate({"providers": {"thundersms": configured}}))["thundersms"]
    assert isinstance(made, ThunderSms)
    return made


@pytest.fixture
async def person(simulator: Simulator) -> AsyncIterator[Person]:
    async with httpx.AsyncClient() as http:
        yield Person(provider(simulator), http, simulator)


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the lists are plain on purpose
            await asyncio.sleep(0.01)


async def test_a_code_the_provider_made_is_checked_through_it_and_only_once(person: Person) -> None:
    await person.ask(CommandKind.SEND)
    [message] = person.inbox
    wrong = "111111" if message["code"] != "111111" else "222222"
    assert (await person.ask(CommandKind.CHECK, code=wrong)).valid is False
    assert (await person.ask(CommandKind.CHECK, code="..")).valid is False
    assert (await person.ask(CommandKind.CHECK, code=f"{message['code'][:3]} {message['code'][3:]}")).valid is True
    again = await person.ask(CommandKind.CHECK, code=message["code"])
    assert (again.valid, again.already_verified) == (None, True)
    person.message_id = "unknown"
    assert (await person.ask(CommandKind.CHECK, code=message["code"])).valid is False


async def test_a_look_up_follows_the_message_and_a_cancel_ends_it(person: Person) -> None:
    await person.behave(receipt={"status": "read", "delay_ms": 100})
    await person.ask(CommandKind.SEND, code="482913", channel=Channel.WHATSAPP)
    first = await person.ask(CommandKind.LOOKUP, channel=Channel.WHATSAPP)
    assert (first.result, first.status, first.used_channel) == (A.ACCEPTED, AttemptStatus.SENT, Channel.WHATSAPP)
    await asyncio.sleep(0.4)
    assert (await person.ask(CommandKind.LOOKUP, channel=Channel.WHATSAPP)).status is AttemptStatus.READ
    for _ in range(2):
        assert (await person.ask(CommandKind.CANCEL)).result is A.ACCEPTED
    assert (await person.ask(CommandKind.CHECK, code="482913")).valid is False
    person.message_id = "unknown"
    assert (await person.ask(CommandKind.LOOKUP)).not_found


async def test_bad_news_comes_by_look_up(person: Person) -> None:
    blocked = await person.ask(CommandKind.SEND, code="482913", recipient="+4915123900017")
    assert blocked.result is A.ACCEPTED
    assert (await person.ask(CommandKind.LOOKUP)).status is AttemptStatus.UNDELIVERED


async def test_older_deployments_are_understood_too(person: Person) -> None:
    await person.behave(answer="old_style")
    assert (await person.ask(CommandKind.SEND, code="482913")).result is A.ACCEPTED


@pytest.mark.parametrize(
    ("digits", "result", "kind"),
    [
        ("10", A.REJECTED, ResultClass.RECIPIENT),
        ("12", A.REJECTED, ResultClass.CONTENT),
        ("13", A.REJECTED, ResultClass.ACCOUNT),
        ("14", A.REJECTED, ResultClass.ACCOUNT),
        ("16", A.REJECTED, ResultClass.ACCOUNT),
        ("20", A.NOT_SENT, ResultClass.ROUTE),
        ("30", A.IN_DOUBT, ResultClass.NONE),
        ("31", A.IN_DOUBT, ResultClass.NONE),
        ("37", A.IN_DOUBT, ResultClass.NONE),
    ],
)
async def test_our_sender_understands_the_refusals_of_magic_recipients(
    person: Person, digits: str, result: AttemptResult, kind: ResultClass
) -> None:
    answer = await person.ask(CommandKind.SEND, code="482913", recipient=f"+49151239000{digits}")
    assert (answer.result, answer.result_class) == (result, kind)


async def test_the_provider_walks_on_by_itself_where_that_is_switched_on(person: Person, simulator: Simulator) -> None:
    person.provider = provider(
        simulator, walk_channels=True, channels={"sms": {}, "viber": {}, "voice": {"flow_id": "5876"}}
    )
    await person.behave(receipt={"status": "undelivered", "delay_ms": 10})
    walk = [
        WalkStep(index=1, channel=Channel.VIBER, wait_s=1, ttl_s=60),
        WalkStep(index=2, channel=Channel.VOICE, wait_s=1, language="en-US"),
    ]
    fields: dict[str, Any] = {"walk": walk, "recipients": (PHONE, "+4930901820")}
    await person.ask(CommandKind.SEND, code="482913", **fields)
    await asyncio.sleep(0.3)
    assert (await person.ask(CommandKind.LOOKUP, **fields)).status is AttemptStatus.SENT
    await asyncio.sleep(2.2)
    last = await person.ask(CommandKind.LOOKUP, **fields)
    assert (last.status, last.used_channel) == (AttemptStatus.FAILED, Channel.VOICE)


async def test_the_probe_tells_a_right_token_from_a_wrong_one(person: Person, simulator: Simulator) -> None:
    for token, ok in (("simulator", True), ("other", False)):
        asked = provider(simulator, access_token=token)
        assert asked.probed(await person.http.send(asked.probe(NOW_MS))).ok is ok


# Pushes --------------------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A gateway as the provider sees it: a provider's own functions, and what they made of each request."""

    provider: ThunderSms | None = None
    taken: list[Report | Unplaced] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuse: int = 0
    """How many pushes are answered with 503 first."""
    status: int = 200
    url: str = ""

    async def receive(self, request: Request) -> Response:
        assert self.provider is not None
        webhook = Webhook(
            body=await request.body(),
            headers=request.headers,
            query=request.query_params,
            received_at=NOW_MS,
        )
        challenge = self.provider.handshake(webhook)
        if challenge is not None:
            self.asked.append("challenge")
            return Response(challenge, media_type="application/json")
        self.asked.append("push")
        if self.refuse:
            self.refuse -= 1
            return Response(status_code=503)
        if not self.provider.verify_signature(webhook, max_age_s=300):
            return Response(status_code=401)
        self.taken += self.provider.statuses(webhook)
        return Response(status_code=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = Starlette(routes=[Route("/hooks/thundersms", made.receive, methods=["POST"])])
    server = HttpServer(app, host="127.0.0.1", port=0)
    await server.start()
    made.url = f"{server.url}/hooks"
    yield made
    await server.stop()


@pytest.fixture
async def told(receiver: Receiver) -> AsyncIterator[Person]:
    """A person whose deliveries are pushed to the receiver."""
    simulator = Simulator(SimulatorSettings(port=0, smtp_port=0, webhook_url=receiver.url, time_factor=100_000))
    await simulator.start()
    receiver.provider = provider(simulator)
    async with httpx.AsyncClient() as http:
        yield Person(receiver.provider, http, simulator)
    await simulator.stop()


async def test_a_receiver_is_asked_first_and_then_told_each_status_signed(told: Person, receiver: Receiver) -> None:
    await told.behave(receipt={"status": "read", "delay_ms": 10})
    await told.ask(CommandKind.SEND, code="482913", channel=Channel.WHATSAPP)
    await until(lambda: len(receiver.taken) == 3)
    statuses = {report.status.status for report in receiver.taken if isinstance(report, Report)}
    assert statuses == {AttemptStatus.SENT, AttemptStatus.DELIVERED, AttemptStatus.READ}
    assert {report.reference for report in receiver.taken if isinstance(report, Report)} == {"job_42_1_aaaaaa"}
    assert receiver.asked == ["challenge", "push", "push", "push"]


@pytest.mark.parametrize(
    ("channel", "fields", "kind"), [(Channel.SMS, {}, Report), (Channel.VOICE, {"flow_id": "5876"}, Unplaced)]
)
async def test_sms_and_voice_are_pushed_in_their_own_words(
    told: Person, receiver: Receiver, channel: Channel, fields: dict[str, str], kind: type
) -> None:
    await told.ask(CommandKind.SEND, code="482913", channel=channel, **fields)
    await until(lambda: bool(receiver.taken))
    assert [type(each) for each in receiver.taken] == [kind]


async def test_a_receiver_without_the_validation_key_is_told_nothing(told: Person, receiver: Receiver) -> None:
    receiver.provider = provider(told.simulator, webhook_validation_key="another")
    await told.behave(receipt={"delay_ms": 10})
    await told.ask(CommandKind.SEND, code="482913")
    await until(lambda: receiver.asked == ["push"])  # the challenge, which nobody here knows the key of
    await asyncio.sleep(0.1)
    assert receiver.taken == []
    assert [line["event_type"] for line in told.simulator.world.webhooks.lines()] == ["challenge"]


@pytest.mark.parametrize(("channel", "tries"), [(Channel.SMS, 4), (Channel.WHATSAPP, 3)])
async def test_each_channel_has_its_own_retries(told: Person, receiver: Receiver, channel: Channel, tries: int) -> None:
    receiver.refuse = 100
    await told.behave(receipt={"delay_ms": 10})
    await told.ask(CommandKind.SEND, code="482913", channel=channel)

    def tried() -> list[int]:
        return [line["attempt"] for line in told.simulator.world.webhooks.lines() if line["event_type"] != "challenge"]

    pushes = 1 if channel is Channel.SMS else 2
    await until(lambda: len(tried()) == tries * pushes)
    await asyncio.sleep(0.1)
    assert sorted(tried()) == sorted([*range(1, tries + 1)] * pushes)


@pytest.mark.parametrize(("status", "tries"), [(200, 1), (202, 1), (204, 4)])
async def test_only_200_and_202_end_the_pushes_of_an_sms(
    told: Person, receiver: Receiver, status: int, tries: int
) -> None:
    receiver.status = status
    await told.behave(receipt={"delay_ms": 10})
    await told.ask(CommandKind.SEND, code="482913")
    await until(lambda: len(receiver.taken) == tries)
    await asyncio.sleep(0.1)
    assert len(receiver.taken) == tries


async def test_each_push_is_one_line_of_the_simulator_s_list(told: Person, receiver: Receiver) -> None:
    await told.ask(CommandKind.SEND, code="482913", channel=Channel.VIBER)
    await until(lambda: len(receiver.taken) == 2)
    lines = (await told.http.get(f"{told.simulator.url}/webhooks")).content.splitlines()
    assert [orjson.loads(line)["event_type"] for line in lines] == ["challenge", *["viber:message:status"] * 2]
