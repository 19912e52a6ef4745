"""Mail to one server, and an exact answer to "was anything sent?".

============================================  ==========================================================
name resolution, refused, TLS, place, login   :class:`NotSent`
anything before the content without a reply   :class:`NotSent`: a server forgets what has no content
the hook before the first byte raises         its exception; the connection is closed inside DATA
the content was written, no full reply        :class:`InDoubt`
a full reply at any stage                     :class:`MailReply`
============================================  ==========================================================

A server must not deliver a message whose end it has not seen (RFC 5321, 4.1.1.4), so the first byte that could become a
message is the content's first.

Connections are kept for some seconds, as encryption and login take most of a message's time. One that turns out to be
worn (closed while idle, or answered 421) before the content is replaced by a new one, once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiosmtplib import SMTPException, SMTPServerDisconnected

from pipeline.senders.exchange import CallFailed, InDoubt, NotSent
from pipeline.senders.mail import Mail, MailProbe, MailReply, Stage
from pipeline.senders.smtp_connection import MailServer, ServerRefused, SmtpConnection

_MOST_USES: Final = 100
"""Messages over one connection; many servers close one after so many."""
_OPTIONS: Final = {"SMTPUTF8": b"SMTPUTF8", "8BITMIME": b"BODY=8BITMIME"}
"""What MAIL says of an extension that a message needs."""


@dataclass(slots=True)
class _Call:
    """One message on its way."""

    mail: Mail
    before_first_byte: Callable[[], None]
    may_be_sent: bool = False


class SmtpExchange:
    """A client of its own for one mail server.

    ``timeout_s`` bounds the whole call, ``connect_timeout_s`` opening a connection with TLS and login, and whatever a
    kept one takes to show that it still works.
    """

    def __init__(
        self,
        server: MailServer,
        *,
        max_connections: int,
        timeout_s: float,
        connect_timeout_s: float,
        idle_s: float = 10.0,
    ) -> None:
        self.server = server
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._idle_s = idle_s
        self._places = asyncio.Semaphore(max_connections)
        self._idle: dict[SmtpConnection, asyncio.TimerHandle] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def exchange(self, request: Mail | MailProbe, before_first_byte: Callable[[], None]) -> MailReply:
        """Hand over one message, or probe; the hook is never called for a probe, which sends nothing.

        Raises NotSent or InDoubt, or what the hook raised (then nothing was sent).
        """
        call = None if isinstance(request, MailProbe) else _Call(request, before_first_byte)
        try:
            async with asyncio.timeout(self._timeout_s), self._places:
                return await (self._probe() if call is None else self._send(call))
        except ServerRefused as refused:
            return refused.reply
        except CallFailed:
            raise
        except (SMTPException, OSError, ValueError) as error:
            sent = call is not None and call.may_be_sent
            # Without the error itself: replies and addresses are quoted in it.
            raise (InDoubt if sent else NotSent)(_cause(error)) from None

    async def _send(self, call: _Call) -> MailReply:
        kept = self._kept()
        if kept is not None:
            try:
                return await self._transaction(kept, call)
            except ServerRefused as refused:
                if refused.leaves_connection or call.may_be_sent:
                    raise
            except (SMTPException, OSError):
                if call.may_be_sent:
                    raise
        return await self._transaction(await self._opened(), call)

    async def _transaction(self, connection: SmtpConnection, call: _Call) -> MailReply:
        mail = call.mail
        with self._lent(connection):
            async with asyncio.timeout(self._connect_timeout_s):
                if connection.unfinished:
                    await connection.reset()
                await self._begin(connection, mail)
            await connection.ask(Stage.RCPT, b"RCPT", b"TO:" + _path(mail.envelope_to))
            await connection.ask(Stage.DATA, b"DATA", expects=3)
            if not connection.is_open:
                raise NotSent("connection_lost")
            call.before_first_byte()
            call.may_be_sent = True
            return await connection.hand_over(mail.content)

    async def _begin(self, connection: SmtpConnection, mail: Mail) -> None:
        connection.uses += 1
        if not connection.is_open:
            # Closed while idle: what the server offered is forgotten with it.
            raise SMTPServerDisconnected("")
        missing = connection.lacks(mail.extensions)
        if missing is not None:
            raise ServerRefused(MailReply(stage=Stage.MAIL, lacks=missing))
        options = [_OPTIONS[name] for name in mail.extensions]
        if connection.offers_size():
            options.append(b"SIZE=%d" % len(mail.content))
        await connection.ask(Stage.MAIL, b"MAIL", b"FROM:" + _path(mail.envelope_from), *options)

    async def _probe(self) -> MailReply:
        connection = await self._opened()
        try:
            return await connection.ask(Stage.NOOP, b"NOOP")
        finally:
            await connection.end()

    # Connections -------------------------------------------------------------------------------------------------

    async def _opened(self) -> SmtpConnection:
        connection = SmtpConnection(self.server)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await connection.open()
        except TimeoutError:
            raise NotSent("connect_timeout") from None
        return connection

    def _kept(self) -> SmtpConnection | None:
        if not self._idle:
            return None
        connection, timer = self._idle.popitem()
        timer.cancel()
        return connection

    @contextmanager
    def _lent(self, connection: SmtpConnection) -> Iterator[None]:
        """Keeps the connection after a message, or closes it after anything that leaves its state unknown."""
        try:
            yield
        except ServerRefused as refused:
            if not refused.leaves_connection:
                connection.abort()
                raise
            connection.unfinished = True
            self._keep(connection)
            raise
        except BaseException:
            connection.abort()
            raise
        self._keep(connection)

    def _keep(self, connection: SmtpConnection) -> None:
        if connection.uses >= _MOST_USES:
            self._leave(connection)
        else:
            later = asyncio.get_running_loop().call_later
            self._idle[connection] = later(self._idle_s, self._idled, connection)

    def _idled(self, connection: SmtpConnection) -> None:
        del self._idle[connection]
        self._leave(connection)

    def _leave(self, connection: SmtpConnection) -> None:
        task = asyncio.get_running_loop().create_task(connection.end())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """Close all idle connections; calls still running close theirs."""
        for connection, timer in self._idle.items():
            timer.cancel()
            self._leave(connection)
        self._idle.clear()
        await asyncio.gather(*self._leaving)


def _path(address: str) -> bytes:
    return b"<" + address.encode() + b">"


def _cause(error: Exception) -> str:
    """One word for what happened; the error's own text may hold addresses and replies."""
    errors = (error, error.__cause__)
    if any(isinstance(each, ssl.SSLError) for each in errors):
        return "tls"
    if any(isinstance(each, socket.gaierror) for each in errors):
        return "unresolved"
    if any(isinstance(each, TimeoutError) for each in errors):
        return "timeout"
    if isinstance(error, SMTPServerDisconnected):
        return "connection_lost"
    if any(isinstance(each, OSError) for each in errors):
        return "unreachable"
    return "bad_request"
