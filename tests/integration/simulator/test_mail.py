"""The simulated mail server as any mail client meets it: strict, with an inbox, and as faulty as it is told to be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiosmtplib
import httpx
import pytest

from pipeline.errors import UsageError
from pipeline.settings import SimulatorSettings
from pipeline.simulator.providers.smtp.errors import CONTENT, ERRORS, RCPT
from pipeline.simulator.server import Simulator
from pipeline.simulator.world import Account

FROM, TO = "shop@example.com", "jo@example.org"
MAIL = (
    b"From: Shop <shop@example.com>\r\nTo: jo@example.org\r\nSubject: Hello\r\n"
    b"Date: Thu, 02 Jan 2025 03:04:05 +0000\r\nMessage-ID: <job_42_1_abcdef@example.com>\r\n\r\n"
    b"Shop 2000: your code is 482913\r\n.\r\n"
)


class Line:
    """A client that says what it likes and hears every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, line: bytes) -> bytes:
        """Send one line or content; the whole reply, or what came until the end of the connection."""
        self.writer.write(line)
        return await self.hear()

    async def hear(self) -> bytes:
        heard = b""
        async with asyncio.timeout(3):
            while part := await self.reader.readline():
                heard += part
                if part[3:4] != b"-":
                    break
        return heard

    async def until_content(self, recipient: str = TO, content: bytes = MAIL) -> None:
        """Hand over a message up to its end, and hear nothing yet."""
        assert (await self.say(f"MAIL FROM:<{FROM}>\r\n".encode())).startswith(b"250")
        assert (await self.say(f"RCPT TO:<{recipient}>\r\n".encode())).startswith(b"250")
        assert (await self.say(b"DATA\r\n")).startswith(b"354")
        self.writer.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")


@asynccontextmanager
async def line(simulator: Simulator, credentials: str = "simulator") -> AsyncIterator[Line]:
    section = simulator.section("smtp")
    reader, writer = await asyncio.open_connection(section["host"], section["port"])
    made = Line(reader, writer)
    assert (await made.hear()).startswith(b"220 ")
    await made.say(b"EHLO test\r\n")
    if credentials:
        plain = base64.b64encode(f"\0{credentials}\0{credentials}".encode())
        assert (await made.say(b"AUTH PLAIN " + plain + b"\r\n")).startswith(b"235 ")
    try:
        yield made
    finally:
        writer.transport.abort()


async def behave(http: httpx.AsyncClient, **behaviour: object) -> None:
    (await http.put("/behaviour/smtp", json=behaviour)).raise_for_status()


async def calls(http: httpx.AsyncClient) -> list[dict[str, object]]:
    return [httpx.Response(200, content=row).json() for row in (await http.get("/calls")).content.splitlines()]


@pytest.mark.parametrize("method", ["auth_plain", "auth_login"])
async def test_a_mail_client_logs_in_and_its_mail_is_in_the_inbox(
    simulator: Simulator, http: httpx.AsyncClient, method: str
) -> None:
    section = simulator.section("smtp")
    async with aiosmtplib.SMTP(hostname=section["host"], port=section["port"], start_tls=False) as client:
        await client.ehlo()
        await getattr(client, method)("simulator", "simulator")
        await client.sendmail(FROM, [TO.upper()], MAIL)
    (message,) = (await http.get("/inbox", params={"recipient": "JO@example.org"})).json()
    assert (message["channel"], message["provider"], message["code"]) == ("email", "smtp", "482913")
    assert message["text"] == "Shop 2000: your code is 482913\n."
    (call,) = await calls(http)
    assert (call["operation"], call["recipient"], call["channel"]) == ("send", "JO@example.org", "email")
    assert (call["reference"], call["code"]) == ("job_42_1_abcdef", "482913")
    assert (call["answered"], call["sent"]) == ("250 2.0.0", True)


async def test_wrong_credentials_and_none_open_no_door(simulator: Simulator, http: httpx.AsyncClient) -> None:
    async with line(simulator, credentials="") as client:
        wrong = base64.b64encode(b"\0simulator\0wrong")
        assert await client.say(b"AUTH PLAIN " + wrong + b"\r\n") == b"535 5.7.8 Authentication credentials invalid\r\n"
        assert (await client.say(b"MAIL FROM:<a@example.com>\r\n")).startswith(b"530 5.7.0 ")
    assert [(call["operation"], call["answered"]) for call in await calls(http)] == [
        ("login", "535 5.7.8"),
        ("send", "530 5.7.0"),
    ]


async def test_an_account_without_a_user_needs_no_login() -> None:
    account = Account(kind="smtp", instance="relay", credentials={"username": "", "password": ""})
    simulator = Simulator(SimulatorSettings(port=0, smtp_port=0), accounts=[account])
    await simulator.start()
    try:
        async with line(simulator, credentials="") as client:
            await client.until_content()
            assert (await client.hear()).startswith(b"250 ")
    finally:
        await simulator.stop()


STRICT = {
    "no From": MAIL.replace(b"From:", b"X-From:"),
    "two From": b"From: a@example.com\r\n" + MAIL,
    "two Subject": b"Subject: b\r\n" + MAIL,
    "no Date": MAIL.replace(b"Date:", b"X-Date:"),
    "no Message-ID": MAIL.replace(b"Message-ID:", b"X-Id:"),
    "an odd Message-ID": MAIL.replace(b"<job_42_1_abcdef@example.com>", b"job_42"),
    "a bare line feed": MAIL.replace(b"2000", b"2000\n"),
    "a bare carriage return": MAIL.replace(b"2000", b"20\r00"),
    "eight bits unannounced": MAIL.replace(b"Hello", "Grüße".encode()),
    "a part without an end": b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n' + MAIL,
}


@pytest.mark.parametrize("content", STRICT.values(), ids=STRICT)
async def test_what_another_server_might_refuse_is_refused_here(
    simulator: Simulator, http: httpx.AsyncClient, content: bytes
) -> None:
    async with line(simulator) as client:
        await client.until_content(content=content)
        assert (await client.hear()).startswith(b"554 5.6.0 ")
    assert (await http.get("/inbox")).json() == []
    (call,) = await calls(http)
    assert (call["answered"], call["sent"]) == ("554 5.6.0", False)


async def test_a_code_is_for_one_person_and_an_address_with_other_letters_is_announced(simulator: Simulator) -> None:
    async with line(simulator) as client:
        await client.say(b"MAIL FROM:<a@example.com>\r\n")
        assert (await client.say("RCPT TO:<jö@example.org>\r\n".encode())).startswith(b"553 5.6.7 ")
        await client.say(b"RSET\r\n")
        await client.say(b"MAIL FROM:<a@example.com> SMTPUTF8\r\n")
        assert (await client.say("RCPT TO:<jö@example.org>\r\n".encode())).startswith(b"250 ")
        assert (await client.say(b"RCPT TO:<x@example.org>\r\n")).startswith(b"452 4.5.3 ")


@pytest.mark.parametrize("code", ERRORS)
async def test_every_refusal_of_the_table_comes_at_its_stage(
    simulator: Simulator, http: httpx.AsyncClient, code: str
) -> None:
    await behave(http, default={"error": code, "delay_ms": 0})
    async with line(simulator) as client:
        if ERRORS[code].stage == RCPT:
            await client.say(b"MAIL FROM:<a@example.com>\r\n")
            reply = await client.say(b"RCPT TO:<jo@example.org>\r\n")
        else:
            assert ERRORS[code].stage == CONTENT
            await client.until_content()
            reply = await client.hear()
        assert reply == f"{code} {ERRORS[code].text}\r\n".encode()
        assert (await client.hear() == b"") if code.startswith("421") else (await client.say(b"NOOP\r\n"))[:3] == b"250"
    assert (await http.get("/inbox")).json() == []
    assert [call["answered"] for call in await calls(http)] == [code]


FAULTS = {
    "close_before_reading": (ConnectionResetError, b"", 0),
    "reset_after_reading": (ConnectionResetError, b"", 1),
    "close_after_reading": (None, b"", 1),
    "truncated": (None, b"250 2.0.", 1),
    "garbage": (None, b"<html>", 1),
    "no_answer": (TimeoutError, b"", 1),
    "drip": (None, b"250 2.0.0 Queued\r\n", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_as_the_client_meets_it(simulator: Simulator, http: httpx.AsyncClient, fault: str) -> None:
    error, begins, messages = FAULTS[fault]
    await behave(http, default={"fault": fault, "delay_ms": 0})
    async with line(simulator) as client:
        await client.until_content()
        if error is None:
            assert (await client.hear()).startswith(begins)
        else:
            with pytest.raises(error):
                await client.hear()
    assert len((await http.get("/inbox")).json()) == messages
    (call,) = await calls(http)
    assert (call["answered"], call["sent"]) == (fault, messages == 1)


async def test_limits_throttle_and_a_connection_that_ends_gives_its_place_back(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    await behave(http, default={"delay_ms": 0}, limits={"concurrency": 1})
    async with line(simulator) as first, line(simulator) as second:
        for client in (first, second):
            await client.say(b"MAIL FROM:<a@example.com>\r\n")
        assert (await first.say(b"RCPT TO:<jo@example.org>\r\n")).startswith(b"250 ")
        assert (await second.say(b"RCPT TO:<jo@example.org>\r\n")).startswith(b"450 4.7.1 ")
        await first.say(b"QUIT\r\n")
        await first.hear()
        for command in (b"RSET\r\n", b"MAIL FROM:<a@example.com>\r\n", b"RCPT TO:<jo@example.org>\r\n"):
            assert (await second.say(command)).startswith(b"250 ")


async def test_what_a_mail_server_cannot_do_is_refused_with_what_it_can(http: httpx.AsyncClient) -> None:
    refused = await http.put("/behaviour/smtp", json={"default": {"error": "999", "refusal": None}})
    assert refused.status_code == 422
    assert "550 5.1.1" in refused.json()["errors"][0]["problem"]
    assert (await http.put("/behaviour/smtp", json={"default": {"refusal": "credit"}})).status_code == 422
    assert (await http.put("/behaviour/smtp", json={"default": {"receipt": {}}})).status_code == 422


async def test_the_index_says_where_mail_is_taken(simulator: Simulator, http: httpx.AsyncClient) -> None:
    port = simulator.section("smtp")["port"]
    assert (await http.get("/")).json()["providers"]["smtp"] == f"smtp://127.0.0.1:{port}"
    assert simulator.mail_address == f"smtp://127.0.0.1:{port}"


async def test_a_port_that_is_taken_is_told(simulator: Simulator) -> None:
    port = simulator.section("smtp")["port"]
    with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 cannot be listened on"):
        await Simulator(SimulatorSettings(port=0, smtp_port=port)).start()


async def test_stopping_ends_conversations_and_hung_answers(http: httpx.AsyncClient, simulator: Simulator) -> None:
    await behave(http, default={"fault": "no_answer", "delay_ms": 0})
    async with line(simulator) as idle, line(simulator) as hung:
        await hung.until_content()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(3):
            await simulator.stop()
        for client in (idle, hung):
            with contextlib.suppress(ConnectionResetError):
                assert await client.reader.read() == b""
