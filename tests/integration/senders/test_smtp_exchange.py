"""What is certain after each way in which a conversation with a mail server can end, on real sockets."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.senders.mail import Mail, MailProbe, MailReply, Stage
from pipeline.senders.smtp_connection import MailServer, SmtpConnection
from pipeline.senders.smtp_exchange import SmtpExchange
from tests.integration.senders.mail_server import CONTENT, GREETING, Act, ScriptedServer, serving

MAIL = Mail(
    envelope_from="verify@example.org",
    envelope_to="jo@example.net",
    content=b"Subject: hello\r\n\r\nYour code is 482913\r\n.hidden\r\n",
)
AS_RECEIVED = b"Subject: hello\r\n\r\nYour code is 482913\r\n..hidden\r\n.\r\n"
TAKEN = MailReply(stage=Stage.CONTENT, code=250, status="2.0.0")


class Hook:
    """Counts, and may refuse."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error

    def __call__(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def exchange(
    server: ScriptedServer,
    *,
    host: str = "127.0.0.1",
    max_connections: int = 5,
    timeout_s: float = 0.8,
    connect_timeout_s: float = 0.4,
    idle_s: float = 10.0,
    **options: Any,
) -> AsyncIterator[SmtpExchange]:
    at = MailServer(host=host, port=server.port, helo_name="verify.example.org", **({"starttls": False} | options))
    client = SmtpExchange(
        at,
        max_connections=max_connections,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        idle_s=idle_s,
    )
    yield client
    await client.aclose()


async def told(client: SmtpExchange, request: Mail | MailProbe = MAIL, hook: Hook | None = None) -> object:
    """The reply, or the kind of failure and its cause."""
    try:
        return await client.exchange(request, hook or Hook())
    except (NotSent, InDoubt) as failure:
        return type(failure), failure.cause


# One message -----------------------------------------------------------------------------------------------------


async def test_a_message_goes_over_with_its_envelope_and_its_dots_doubled() -> None:
    hook = Hook()
    async with serving(ScriptedServer()) as server, exchange(server) as client:
        assert await told(client, hook=hook) == TAKEN
    assert server.contents == [AS_RECEIVED]
    assert server.sessions == [
        [
            "EHLO verify.example.org",
            f"MAIL FROM:<verify@example.org> SIZE={len(MAIL.content)}",
            "RCPT TO:<jo@example.net>",
            "DATA",
            "QUIT",
        ]
    ]
    assert hook.calls == 1


BEFORE = [GREETING, "EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("verb", BEFORE)
@pytest.mark.parametrize(
    ("act", "causes"),
    [
        (Act.CLOSE, {"connection_lost", "unreachable"}),
        (Act.RESET, {"connection_lost", "unreachable"}),
        (Act.HANG, {"connect_timeout", "timeout"}),
    ],
)
async def test_whatever_breaks_before_the_content_proves_that_nothing_was_sent(
    verb: str, act: Act, causes: set[str]
) -> None:
    hook = Hook()
    async with serving(ScriptedServer({verb: act})) as server, exchange(server) as client:
        kind, cause = await told(client, hook=hook)  # type: ignore[misc]
    assert (kind, hook.calls, server.contents) == (NotSent, 0, [])
    assert cause in causes


@pytest.mark.parametrize(
    ("step", "cause"),
    [
        (Act.CLOSE, "connection_lost"),
        (Act.RESET, "connection_lost"),
        (Act.HANG, "timeout"),
        (b"25", "timeout"),
        (b"250-and more\r\n", "timeout"),
    ],
)
async def test_a_verdict_lost_after_the_content_is_in_doubt(step: Act | bytes, cause: str) -> None:
    hook = Hook()
    async with serving(ScriptedServer({CONTENT: step})) as server, exchange(server) as client:
        assert await told(client, hook=hook) == (InDoubt, cause)
    assert (hook.calls, server.contents) == (1, [AS_RECEIVED])
    assert len(server.sessions) == 1, "it must not be tried again"


REPLIES = {
    GREETING: ("554 no service for you", Stage.CONNECT, 554, ""),
    "EHLO": ("421 4.3.2 closing", Stage.HELLO, 421, "4.3.2"),
    "AUTH": ("535 5.7.8 wrong", Stage.AUTH, 535, "5.7.8"),
    "MAIL": ("550-5.7.1 Sender refused,\r\n550 5.7.1 really", Stage.MAIL, 550, "5.7.1"),
    "RCPT": ("450 4.2.0 Greylisted", Stage.RCPT, 450, "4.2.0"),
    "DATA": ("451 later", Stage.DATA, 451, ""),
    CONTENT: ("554 5.6.0 spam", Stage.CONTENT, 554, "5.6.0"),
}


@pytest.mark.parametrize(("verb", "row"), REPLIES.items(), ids=REPLIES)
async def test_a_refusal_at_any_stage_is_told_by_its_numbers_only(verb: str, row: tuple[str, Stage, int, str]) -> None:
    text, stage, code, status = row
    async with serving(ScriptedServer({verb: text})) as server, exchange(server, username="u", password="p") as client:
        assert await told(client) == MailReply(stage=stage, code=code, status=status)


@pytest.mark.parametrize("status", ["4.1.1", "5.1", "5.1.1x", "5.1.1111", "2.0.0", ""])
async def test_an_enhanced_status_of_another_class_or_form_is_none(status: str) -> None:
    async with serving(ScriptedServer({"RCPT": f"550 {status}"})) as server, exchange(server) as client:
        assert await told(client) == MailReply(stage=Stage.RCPT, code=550)


async def test_a_message_refused_after_its_content_was_refused_for_good_and_counts_as_begun() -> None:
    hook = Hook()
    async with serving(ScriptedServer({CONTENT: "451 4.3.0 later"})) as server, exchange(server) as client:
        assert await told(client, hook=hook) == MailReply(stage=Stage.CONTENT, code=451, status="4.3.0")
    assert hook.calls == 1


@pytest.mark.parametrize("garbage", [b"<html>\xff\xfe\r\n", b"\x00\r\n", b"x" * 40_000 + b"\r\n"])
@pytest.mark.parametrize(("verb", "stage"), [("RCPT", Stage.RCPT), (CONTENT, Stage.CONTENT)])
async def test_garbage_is_a_reply_without_a_code_and_ends_the_connection(
    verb: str, stage: Stage, garbage: bytes
) -> None:
    script = ScriptedServer({verb: [garbage, "250 2.0.0 taken"]})
    async with serving(script) as server, exchange(server) as client:
        assert await told(client) == MailReply(stage=stage)
        assert await told(client) == TAKEN
    assert len(server.sessions) == 2


async def test_a_good_reply_to_data_that_grants_no_content_gets_none() -> None:
    hook = Hook()
    async with serving(ScriptedServer({"DATA": "250 fine"})) as server, exchange(server) as client:
        assert await told(client, hook=hook) == MailReply(stage=Stage.DATA, code=250)
    assert (hook.calls, server.contents) == (0, [])


async def test_what_the_hook_raises_comes_out_and_the_content_stays_here() -> None:
    async with serving(ScriptedServer()) as server, exchange(server) as client:
        assert await told(client, hook=Hook(NotSent("late"))) == (NotSent, "late")
        assert await told(client) == TAKEN
    assert server.contents == [AS_RECEIVED]
    assert len(server.sessions) == 2, "a connection inside DATA takes no further command"


async def test_a_connection_lost_between_the_grant_and_the_content_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    ask, hook = SmtpConnection.ask, Hook()

    async def lost_after_the_grant(self: SmtpConnection, stage: Stage, *words: bytes, expects: int = 2) -> MailReply:
        reply = await ask(self, stage, *words, expects=expects)
        if stage is Stage.DATA:
            self.abort()
        return reply

    monkeypatch.setattr(SmtpConnection, "ask", lost_after_the_grant)
    async with serving(ScriptedServer()) as server, exchange(server) as client:
        assert await told(client, hook=hook) == (NotSent, "connection_lost")
    assert (hook.calls, server.contents) == (0, [])


async def test_nobody_there_is_not_sent() -> None:
    async with serving(ScriptedServer()) as server:
        pass
    async with exchange(server) as client:
        assert await told(client) == (NotSent, "unreachable")
    async with exchange(server, host="no-such-host.invalid") as client:
        assert await told(client) == (NotSent, "unresolved")


@pytest.mark.parametrize("address", ["jo@example.net> SIZE=1\r\nRSET", "jo@example.net\n"])
async def test_no_address_can_become_a_second_command(address: str) -> None:
    async with serving(ScriptedServer()) as server, exchange(server) as client:
        evil = Mail(envelope_from=MAIL.envelope_from, envelope_to=address, content=MAIL.content)
        assert await told(client, evil) == (NotSent, "bad_request")
    assert not any(line.startswith(("RCPT", "RSET")) for line in server.sessions[0])


# Extensions ------------------------------------------------------------------------------------------------------

UTF8_MAIL = Mail(
    envelope_from=MAIL.envelope_from,
    envelope_to="jö@example.net",
    content=MAIL.content,
    extensions=("SMTPUTF8", "8BITMIME"),
)


async def test_an_address_that_is_not_ascii_goes_to_a_server_that_offers_it() -> None:
    offer = "250-mail.test\r\n250-8BITMIME\r\n250 SMTPUTF8"
    async with serving(ScriptedServer({"EHLO": offer})) as server, exchange(server) as client:
        assert await told(client, UTF8_MAIL) == TAKEN
    assert "MAIL FROM:<verify@example.org> SMTPUTF8 BODY=8BITMIME" in server.sessions[0]
    assert "RCPT TO:<jö@example.net>" in server.sessions[0]


async def test_an_address_that_is_not_ascii_is_no_question_to_a_server_that_does_not_offer_it() -> None:
    async with serving(ScriptedServer()) as server, exchange(server) as client:
        assert await told(client, UTF8_MAIL) == MailReply(stage=Stage.MAIL, lacks="SMTPUTF8")
        assert await told(client) == TAKEN
    assert len(server.sessions) == 1
    assert [line[:4] for line in server.sessions[0]] == ["EHLO", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


# Connections -----------------------------------------------------------------------------------------------------


async def test_a_connection_serves_one_message_after_the_other() -> None:
    async with serving(ScriptedServer()) as server, exchange(server) as client:
        assert [await told(client) for _ in range(3)] == [TAKEN] * 3
    assert len(server.sessions) == 1
    assert [line[:4] for line in server.sessions[0]] == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"]


async def test_messages_at_one_time_have_a_connection_each_up_to_the_bound() -> None:
    async with serving(ScriptedServer()) as server, exchange(server, max_connections=3) as client:
        assert await asyncio.gather(*(told(client) for _ in range(9))) == [TAKEN] * 9
    assert len(server.sessions) == 3
    assert len(server.contents) == 9


async def test_after_a_refusal_the_connection_is_reset_and_goes_on() -> None:
    script = ScriptedServer({"RCPT": ["550 5.1.1 nobody", "250 fine"]})
    async with serving(script) as server, exchange(server) as client:
        assert await told(client) == MailReply(stage=Stage.RCPT, code=550, status="5.1.1")
        assert await told(client) == TAKEN
    assert [line[:4] for line in server.sessions[0]] == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


WORN: list[dict[str, Any]] = [
    {"MAIL": ["250 fine", Act.CLOSE, "250 fine"]},
    {"MAIL": ["250 fine", Act.RESET, "250 fine"]},
    {"MAIL": ["250 fine", "421 4.4.2 you were idle", "250 fine"]},
    {"MAIL": ["250 fine", Act.HANG, "250 fine"]},
    {"RCPT": ["250 fine", "421 4.7.0 too many on this connection", "250 fine"]},
]


@pytest.mark.parametrize("steps", WORN)
async def test_a_connection_that_broke_while_idle_is_replaced_before_anything_is_sent(steps: dict[str, Any]) -> None:
    hook = Hook()
    async with serving(ScriptedServer(steps)) as server, exchange(server, timeout_s=2.0) as client:
        assert await told(client) == TAKEN
        assert await told(client, hook=hook) == TAKEN
    assert (len(server.sessions), len(server.contents), hook.calls) == (2, 2, 1)


@pytest.mark.parametrize("mail", [MAIL, UTF8_MAIL], ids=["ascii", "utf8"])
async def test_a_connection_the_server_closed_meanwhile_is_replaced(mail: Mail) -> None:
    script = ScriptedServer({"EHLO": "250-mail.test\r\n250-8BITMIME\r\n250 SMTPUTF8"}, leaves=True)
    async with serving(script) as server, exchange(server) as client:
        assert await told(client, mail) == TAKEN
        await asyncio.wait_for(server.left.wait(), 2)
        await asyncio.sleep(0.05)
        assert await told(client, mail) == TAKEN
    assert len(server.sessions) == 2


async def test_a_server_that_cannot_reset_gets_a_new_connection() -> None:
    script = ScriptedServer({"RCPT": ["550 5.1.1 nobody", "250 fine"], "RSET": "502 5.5.1 what?"})
    async with serving(script) as server, exchange(server) as client:
        await told(client)
        assert await told(client) == TAKEN
    assert len(server.sessions) == 2


async def test_a_new_connection_is_not_replaced_again() -> None:
    script = ScriptedServer({"MAIL": ["250 fine", "421 4.7.0 enough"]})
    async with serving(script) as server, exchange(server) as client:
        await told(client)
        assert await told(client) == MailReply(stage=Stage.MAIL, code=421, status="4.7.0")
    assert len(server.sessions) == 2


async def test_a_content_on_a_kept_connection_is_handed_over_once_only() -> None:
    script = ScriptedServer({CONTENT: ["250 2.0.0 taken", Act.CLOSE, "250 2.0.0 taken"]})
    async with serving(script) as server, exchange(server) as client:
        assert await told(client) == TAKEN
        assert await told(client) == (InDoubt, "connection_lost")
    assert (len(server.sessions), len(server.contents)) == (1, 2)


async def test_an_idle_connection_is_left_with_a_goodbye() -> None:
    async with serving(ScriptedServer()) as server, exchange(server, idle_s=0.05) as client:
        await told(client)
        await asyncio.wait_for(server.left.wait(), 2)
        assert server.sessions[0][-1] == "QUIT"
        assert await told(client) == TAKEN
    assert len(server.sessions) == 2


async def test_a_call_takes_no_longer_than_it_may() -> None:
    async with serving(ScriptedServer({CONTENT: Act.HANG})) as server, exchange(server, timeout_s=0.3) as client:
        began = time.monotonic()
        assert await told(client) == (InDoubt, "timeout")
        assert time.monotonic() - began < 0.6


async def test_a_canceled_call_leaves_no_connection_behind() -> None:
    async with serving(ScriptedServer({CONTENT: Act.HANG})) as server, exchange(server, timeout_s=5) as client:
        call = asyncio.create_task(client.exchange(MAIL, Hook()))
        await asyncio.wait_for(server.read.wait(), 2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not client._idle


# Encryption and login --------------------------------------------------------------------------------------------

AUTHORITY = trustme.CA()
WITH_TLS = "250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"


def server_side(name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(name).configure_cert(context)
    return context


def client_side() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


async def test_with_starttls_nothing_but_the_wish_for_it_is_said_in_clear() -> None:
    script = ScriptedServer({"EHLO": WITH_TLS}, tls=server_side())
    async with (
        serving(script) as server,
        exchange(server, starttls=True, username="u", password="p", context=client_side()) as client,
    ):
        assert await told(client) == TAKEN
        assert await told(client) == TAKEN
    (session,) = server.sessions
    assert [line[:4] for line in session[:4]] == ["EHLO", "STAR", "EHLO", "AUTH"]
    assert server.encrypted[:4] == ["EHLO", "AUTH", "MAIL", "RCPT"]
    assert server.encrypted.count("DATA") == 2


async def test_without_the_servers_offer_of_starttls_nothing_is_said() -> None:
    async with (
        serving(ScriptedServer()) as server,
        exchange(server, starttls=True, username="u", password="secret", context=client_side()) as client,
    ):
        assert await told(client) == (NotSent, "no_starttls")
    assert [line[:4] for line in server.sessions[0]] == ["EHLO"]


async def test_a_refused_starttls_is_a_refusal() -> None:
    script = ScriptedServer({"EHLO": WITH_TLS, "STARTTLS": "454 4.7.0 not now"}, tls=server_side())
    async with serving(script) as server, exchange(server, starttls=True, context=client_side()) as client:
        assert await told(client) == MailReply(stage=Stage.TLS, code=454, status="4.7.0")
    assert not server.contents


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_certificate_that_proves_nothing_is_not_spoken_to(implicit: bool, wrong: str) -> None:
    script = ScriptedServer(
        {"EHLO": WITH_TLS}, tls=server_side("elsewhere.test" if wrong == "name" else "127.0.0.1"), implicit=implicit
    )
    context = client_side() if wrong == "name" else None
    async with (
        serving(script) as server,
        exchange(server, tls=implicit, starttls=not implicit, username="u", password="p", context=context) as client,
    ):
        assert await told(client) == (NotSent, "tls")
    assert "AUTH" not in server.encrypted


async def test_with_tls_everything_is_encrypted_from_the_first_byte() -> None:
    script = ScriptedServer(tls=server_side(), implicit=True)
    async with serving(script) as server, exchange(server, tls=True, context=client_side()) as client:
        assert await told(client) == TAKEN
    assert server.encrypted[0] == "EHLO"


async def test_a_wrong_password_is_tried_once() -> None:
    async with (
        serving(ScriptedServer({"AUTH": "535 5.7.8 no"})) as server,
        exchange(server, username="u", password="p") as client,
    ):
        assert await told(client) == MailReply(stage=Stage.AUTH, code=535, status="5.7.8")
    assert sum(line.startswith("AUTH") for line in server.sessions[0]) == 1


@pytest.mark.parametrize("offer", ["250 mail.test", "250-mail.test\r\n250 AUTH NTLM"])
async def test_a_server_without_a_login_we_know_is_told_nothing(offer: str) -> None:
    async with (
        serving(ScriptedServer({"EHLO": offer})) as server,
        exchange(server, username="u", password="p") as client,
    ):
        assert await told(client) == (NotSent, "no_auth")
    assert not any(line.startswith("MAIL") for line in server.sessions[0])


async def test_the_password_also_goes_by_the_older_way() -> None:
    steps: dict[str, Any] = {"EHLO": "250-mail.test\r\n250 AUTH LOGIN", "AUTH": "334 UGFzc3dvcmQ6", "CA==": "235 fine"}
    async with serving(ScriptedServer(steps)) as server, exchange(server, username="u", password="\b") as client:
        assert await told(client) == TAKEN
    assert server.sessions[0][1:3] == ["AUTH LOGIN dQ==", "CA=="]


# The probe -------------------------------------------------------------------------------------------------------


async def test_a_probe_logs_in_and_leaves() -> None:
    hook = Hook()
    async with serving(ScriptedServer()) as server, exchange(server, username="u", password="p") as client:
        assert await told(client, MailProbe(), hook) == MailReply(stage=Stage.NOOP, code=250, status="2.0.0")
    assert [line[:4] for line in server.sessions[0]] == ["EHLO", "AUTH", "NOOP", "QUIT"]
    assert hook.calls == 0


async def test_a_probe_tells_a_refused_login() -> None:
    async with (
        serving(ScriptedServer({"AUTH": "535 5.7.8 no"})) as server,
        exchange(server, username="u", password="p") as client,
    ):
        assert await told(client, MailProbe()) == MailReply(stage=Stage.AUTH, code=535, status="5.7.8")
