"""One connection to a mail server: opened to where messages are taken, asked command by command.

aiosmtplib does the reading and writing, TLS and logging in. Its own ``data()`` sends DATA and the content in one go, so
that a connection lost before the server's 354 would look like one lost after the content; here they are two steps, the
second by the write and read of its protocol class.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass
from typing import Final, cast

from aiosmtplib import SMTP, SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol

from pipeline.senders.exchange import NotSent
from pipeline.senders.mail import MailReply, Stage

_STATUS: Final = re.compile(r"([245])\.(\d{1,3}\.\d{1,3})(?=\s|$)", re.ASCII)
_LINE_START: Final = re.compile(rb"^\.", re.MULTILINE)
_FAREWELL_S: Final = 1.0

if not (hasattr(SMTPProtocol, "write") and hasattr(SMTPProtocol, "read_response")):
    # Found at the first message, it would leave that one in doubt.
    raise RuntimeError("this aiosmtplib has no SMTPProtocol.write and read_response; pin aiosmtplib to 5.x")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MailServer:
    """Where a mail server is and how it is spoken to."""

    host: str
    port: int
    helo_name: str
    tls: bool = False
    """Encrypted from the first byte."""
    starttls: bool = True
    """Encrypted before anything else is said; without the server's offer nothing is."""
    username: str = ""
    password: str = ""
    context: ssl.SSLContext | None = None
    """What certificates are trusted; None trusts those of the system."""


class ServerRefused(Exception):
    """The server's reply ended the conversation."""

    def __init__(self, reply: MailReply) -> None:
        super().__init__(reply.stage, reply.code)
        self.reply = reply

    @property
    def leaves_connection(self) -> bool:
        """Whether further messages can go over the same connection."""
        return self.reply.lacks is not None or (400 <= self.reply.code <= 599 and self.reply.code != 421)


class SmtpConnection:
    """Exclusive to its user; nothing is shared between two messages but the connection."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._client = SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=server.helo_name,
            use_tls=server.tls,
            start_tls=False,
            tls_context=server.context,
            timeout=None,
        )
        self.uses = 0
        """Messages that were begun."""
        self.unfinished = False
        """The last message was refused on its way; RSET comes before the next."""

    @property
    def is_open(self) -> bool:
        """As far as we were told."""
        return self._client.is_connected

    async def open(self) -> None:
        """Greeting, encryption, login. Raises ServerRefused or NotSent, or what aiosmtplib and the system raise."""
        client, server = self._client, self._server
        stage = Stage.CONNECT
        try:
            await client.connect()
            stage = Stage.HELLO
            await client.ehlo()
            if server.starttls and not server.tls:
                if not client.supports_extension("starttls"):
                    raise NotSent("no_starttls")
                stage = Stage.TLS
                await client.starttls()
                # What was said in clear may have been said by anybody (RFC 3207, 4.2).
                stage = Stage.HELLO
                await client.ehlo()
            if server.username:
                stage = Stage.AUTH
                await self._login()
        except SMTPResponseException as error:
            self.abort()
            raise ServerRefused(_reply(stage, error.code, error.message)) from None
        except BaseException:
            self.abort()
            raise

    async def _login(self) -> None:
        # One method only: trying them all counts as several failures of one wrong password.
        client = self._client
        methods = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
        for name, method in methods.items():
            if name in client.server_auth_methods:
                await method(self._server.username, self._server.password)
                return
        raise NotSent("no_auth")

    def lacks(self, extensions: tuple[str, ...]) -> str | None:
        """The first of these that the server does not offer."""
        return next((name for name in extensions if not self._client.supports_extension(name)), None)

    def offers_size(self) -> bool:
        """Whether the server wants to be told the size (RFC 1870)."""
        return self._client.supports_extension("SIZE")

    async def ask(self, stage: Stage, *words: bytes, expects: int = 2) -> MailReply:
        """One command and its reply. Raises ServerRefused when the first digit is another one than expected."""
        try:
            response = await self._client.execute_command(*words)
        except SMTPResponseException as error:
            raise ServerRefused(_reply(stage, error.code, error.message)) from None
        return _expected(_reply(stage, response.code, response.message), expects)

    async def reset(self) -> None:
        """Have the server forget a message refused on its way. Raises SMTPServerDisconnected if it will not."""
        try:
            await self.ask(Stage.MAIL, b"RSET")
        except ServerRefused:
            raise SMTPServerDisconnected("") from None
        self.unfinished = False

    async def hand_over(self, content: bytes) -> MailReply:
        """The content after DATA was granted, and the server's verdict on it.

        Raises ServerRefused for a bad one, SMTPServerDisconnected without one.
        """
        protocol = self._client.protocol
        if protocol is None:
            raise SMTPServerDisconnected("")
        try:
            protocol.write(_LINE_START.sub(b"..", content) + b".\r\n")
            response = await protocol.read_response()
        except SMTPResponseException as error:
            raise ServerRefused(_reply(Stage.CONTENT, error.code, error.message)) from None
        return _expected(_reply(Stage.CONTENT, response.code, response.message), 2)

    async def end(self) -> None:
        """Say goodbye and close."""
        with contextlib.suppress(SMTPException, OSError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._client.quit()
        self.abort()

    def abort(self) -> None:
        """Close at once. What was written and has not left yet never leaves: what is in doubt must not go on."""
        transport = self._client.transport
        if transport is not None:
            cast(asyncio.WriteTransport, transport).abort()
        self._client.close()


def _reply(stage: Stage, code: int, text: str) -> MailReply:
    found = _STATUS.match(text)
    status = found.group() if found is not None and found[1] == str(code)[0] else ""
    return MailReply(stage=stage, code=max(code, 0), status=status)


def _expected(reply: MailReply, first_digit: int) -> MailReply:
    if reply.code // 100 != first_digit:
        raise ServerRefused(reply)
    return reply
