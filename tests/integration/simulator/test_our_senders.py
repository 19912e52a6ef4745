"""The simulator was written from the documentation, the senders too: what both agree on is likely to be right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from pydantic import SecretStr

from pipeline.clock import SystemClock
from pipeline.model.messages import Message
from pipeline.model.reference import reference
from pipeline.records.internal import SendCommand
from pipeline.records.types import AttemptResult, Channel, CommandKind, ResultClass
from pipeline.senders.provider import Answer, Opened, Provider
from pipeline.senders.providers.neutrino import Neutrino
from pipeline.senders.providers.smtp import Smtp
from pipeline.senders.providers.telesign import Telesign
from pipeline.senders.providers.thundersms import ThunderSms
from pipeline.senders.providers.ycloud import YCloud
from pipeline.senders.registry import Limits, over_smtp
from pipeline.settings import NeutrinoSettings, SmtpSettings, TelesignSettings, ThunderSmsSettings, YCloudSettings
from pipeline.simulator.app import DEVELOPMENT_CREDENTIALS
from pipeline.simulator.server import Simulator

PHONE = "+4915123456789"

Call = Callable[..., Awaitable[Answer]]


@pytest.fixture
async def call(simulator: Simulator) -> AsyncIterator[Call]:
    key = SecretStr("simulator")
    providers: dict[str, Provider] = {
        "ycloud": YCloud(
            instance="ycloud", settings=YCloudSettings(api_key=key, base_url=simulator.base_url("ycloud"))
        ),
        "neutrino": Neutrino(
            instance="neutrino",
            settings=NeutrinoSettings(user_id=key, api_key=key, base_url=simulator.base_url("neutrino")),
        ),
        "telesign": Telesign(
            instance="telesign",
            settings=TelesignSettings.model_validate(
                DEVELOPMENT_CREDENTIALS["telesign"] | {"base_url": simulator.base_url("telesign")}
            ),
        ),
        "thundersms": ThunderSms(
            instance="thundersms",
            settings=ThunderSmsSettings(access_token=key, base_url=simulator.base_url("thundersms")),
        ),
    }
    mail_settings = SmtpSettings.model_validate(
        {"from_address": "verify@example.org", "username": "simulator", "password": key, **simulator.section("smtp")}
    )
    providers["smtp"] = Smtp(instance="smtp", settings=mail_settings)
    mail = over_smtp(mail_settings, Limits(max_concurrency=2, rate_per_s=10, timeout_s=5, connect_timeout_s=5))
    async with httpx.AsyncClient() as http:

        async def call(
            provider: str, channel: Channel, recipient: str = PHONE, *, code: str = "482913", **fields: object
        ) -> Answer:
            command = SendCommand(
                verification_id="job_42",
                command_id="job_42.1",
                kind=CommandKind.SEND,
                attempt_id="job_42.1",
                n=1,
                provider=provider,
                channel=channel,
                reference=reference("job_42", 1, "00" * 8),
                code_length=len(code),
                **fields,  # type: ignore[arg-type]
            )
            text = Message(template="{brand}: {code}", values={"brand": "Ünï & Söhne"}, subject="Ihr Code, bitte")
            opened = Opened(recipient=recipient, code=code, message=text if channel is Channel.EMAIL else None)
            sender = providers[provider]
            request = sender.build(command, opened, SystemClock().now_ms())
            answer = await (mail.exchange(request, lambda: None) if provider == "smtp" else http.send(request))
            return sender.interpret(command, opened, answer)

        yield call
    await mail.aclose()


@pytest.mark.parametrize(
    ("provider", "channel", "recipient", "fields"),
    [
        ("ycloud", Channel.SMS, PHONE, {"sender": "ACME", "language": "pt-BR", "brand": "Acme"}),
        ("ycloud", Channel.SMS, "+8613812345678", {"signature": "ACME", "language": "zh-CN"}),
        ("ycloud", Channel.VOICE, PHONE, {"language": "zh-Hant"}),
        ("ycloud", Channel.WHATSAPP, PHONE, {"language": "sw"}),
        ("ycloud", Channel.EMAIL, "jo@xn--bcher-kva.example", {}),
        ("neutrino", Channel.SMS, PHONE, {"country": "DE", "language": "pt-BR", "brand": "Acme"}),
        ("neutrino", Channel.VOICE, PHONE, {"language": "sw"}),
        ("telesign", Channel.SMS, PHONE, {"sender": "ACME", "language": "pt-BR", "use_case": "ATCK"}),
        ("telesign", Channel.VOICE, PHONE, {"sender": "+15550100000", "language": "en-US", "code": "48291"}),
        ("thundersms", Channel.SMS, PHONE, {"sender": "ACME", "language": "pt-BR"}),
        ("thundersms", Channel.WHATSAPP, PHONE, {}),
        ("thundersms", Channel.VIBER, PHONE, {"ttl_s": 45, "sender": "21d80b42"}),
        ("thundersms", Channel.VOICE, PHONE, {"flow_id": "5876", "language": "zh-Hant-TW"}),
        ("smtp", Channel.EMAIL, "jo.o'neil+x@xn--bcher-kva.example", {"brand": "Ünï", "sender": "code@example.com"}),
        ("smtp", Channel.EMAIL, "jö@example.org", {}),
    ],
)
async def test_what_our_senders_build_is_taken_and_reaches_the_person(
    call: Call, simulator: Simulator, provider: str, channel: Channel, recipient: str, fields: dict[str, str]
) -> None:
    answer = await call(provider, channel, recipient, **fields)
    assert answer.result is AttemptResult.ACCEPTED
    assert not answer.unmapped
    (message,) = simulator.world.inbox.find(recipient=recipient)
    assert (message["code"], message["channel"]) == (fields.get("code", "482913"), channel.value)


@pytest.mark.parametrize("provider", ["ycloud", "neutrino", "telesign"])
@pytest.mark.parametrize(
    ("digits", "result", "kind"),
    [
        ("13", AttemptResult.REJECTED, ResultClass.ACCOUNT),
        ("14", AttemptResult.REJECTED, ResultClass.ACCOUNT),
        ("16", AttemptResult.REJECTED, ResultClass.ACCOUNT),
        ("17", AttemptResult.REJECTED, ResultClass.RECIPIENT),
        ("20", AttemptResult.NOT_SENT, ResultClass.ROUTE),
        ("31", AttemptResult.IN_DOUBT, ResultClass.NONE),
        ("37", AttemptResult.IN_DOUBT, ResultClass.NONE),
    ],
)
async def test_our_senders_understand_the_refusals_of_magic_recipients(
    call: Call, provider: str, digits: str, result: AttemptResult, kind: ResultClass
) -> None:
    answer = await call(provider, Channel.SMS, f"+49151239000{digits}")
    assert (answer.result, answer.result_class) == (result, kind)


async def test_neutrinos_own_limit_for_a_number_is_no_verdict_on_the_number(call: Call) -> None:
    """YCloud's block list is about the person, Neutrino's error 14 about Neutrino: another provider may serve."""
    blocked = "+4915123900011"
    assert (await call("ycloud", Channel.SMS, blocked)).result_class is ResultClass.RECIPIENT
    assert (await call("neutrino", Channel.SMS, blocked)).result_class is ResultClass.ROUTE


@pytest.mark.parametrize(
    ("digits", "result", "kind", "messages"),
    [
        ("10", AttemptResult.REJECTED, ResultClass.RECIPIENT, 0),
        ("11", AttemptResult.REJECTED, ResultClass.RECIPIENT, 0),
        ("12", AttemptResult.REJECTED, ResultClass.CONTENT, 0),
        ("13", AttemptResult.REJECTED, ResultClass.ACCOUNT, 0),
        ("14", AttemptResult.ACCEPTED, ResultClass.NONE, 1),  # a mail server knows no credit
        ("15", AttemptResult.REJECTED, ResultClass.ROUTE, 0),
        ("16", AttemptResult.REJECTED, ResultClass.ACCOUNT, 0),
        ("17", AttemptResult.ACCEPTED, ResultClass.NONE, 1),
        ("21", AttemptResult.NOT_SENT, ResultClass.ROUTE, 0),
        ("30", AttemptResult.REJECTED, ResultClass.ROUTE, 0),
        ("37", AttemptResult.IN_DOUBT, ResultClass.NONE, 1),
        ("42", AttemptResult.ACCEPTED, ResultClass.NONE, 1),
    ],
)
async def test_mail_to_magic_recipients_is_refused_as_mail_servers_do(
    call: Call, simulator: Simulator, digits: str, result: AttemptResult, kind: ResultClass, messages: int
) -> None:
    recipient = f"jo9000{digits}@example.org"
    answer = await call("smtp", Channel.EMAIL, recipient)
    assert (answer.result, answer.result_class) == (result, kind)
    assert answer.throttled is (digits == "21")
    assert len(simulator.world.inbox.find(recipient=recipient)) == messages
