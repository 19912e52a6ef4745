"""One connection's conversation: aiosmtpd reads and writes, the provider decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from pipeline.simulator.answers import GARBAGE
from pipeline.simulator.behaviour import Behaviour, Fault, sample_s
from pipeline.simulator.behaviours import Throttling
from pipeline.simulator.connection import reset
from pipeline.simulator.history import Call
from pipeline.simulator.providers.smtp.errors import RCPT, Reply
from pipeline.simulator.providers.smtp.messages import NoMail, read
from pipeline.simulator.providers.smtp.provider import SEND, Smtp
from pipeline.simulator.simulated import Asked
from pipeline.simulator.world import Account

_DRIP_S: Final = 0.1
_EIGHT_BITS: Final = frozenset({"BODY=8BITMIME", "SMTPUTF8"})


@dataclass(slots=True)
class Transaction:
    """One message, from MAIL to its end."""

    call: Call
    account: Account
    asked: Asked | None = None
    behaviour: Behaviour | None = None
    throttling: Throttling | None = None

    def end(self) -> None:
        """It is over, however."""
        if self.throttling is not None:
            self.throttling.leave()
            self.throttling = None


class Conversation(SMTP):
    """A connection that stands in ``open_ones`` while it lives, and ends its transaction with itself."""

    def __init__(self, handler: Handler, open_ones: set[Conversation]) -> None:
        super().__init__(
            handler,
            hostname="simulator.invalid",
            ident="simulated mail",
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=handler.authenticate,
            loop=asyncio.get_running_loop(),
        )
        self.transaction: Transaction | None = None
        self._open_ones = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open_ones.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.forget()
        self._open_ones.discard(self)
        super().connection_lost(error)

    def forget(self) -> None:
        """Let go of the message on its way."""
        if self.transaction is not None:
            self.transaction.end()
            self.transaction = None

    @property
    def wire(self) -> asyncio.Transport:
        """Below the replies."""
        return cast(asyncio.Transport, self.transport)


class Handler:
    """What aiosmtpd asks at each command; without state of its own."""

    def __init__(self, provider: Smtp) -> None:
        self._provider = provider
        self._world = provider.world

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        """AUTH PLAIN and LOGIN; only failures stand in the list of calls."""
        account = self._provider.login(given.login, given.password) if isinstance(given, LoginPassword) else None
        if account is None:
            self._begin("login").answered = "535 5.7.8"
        return AuthResult(success=account is not None, handled=False, auth_data=account)

    async def handle_MAIL(
        self, server: Conversation, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        server.forget()
        call = self._begin(SEND)
        account = session.auth_data or self._provider.open_account()
        if account is None:
            call.answered = "530 5.7.0"
            return "530 5.7.0 Authentication required"
        server.transaction = Transaction(call, account)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(
        self, server: Conversation, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        transaction = server.transaction
        assert transaction is not None, "MAIL comes first"
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time: a code is for one person"
        if not address.isascii() and "SMTPUTF8" not in envelope.mail_options:
            transaction.call.answered = "553 5.6.7"
            return "553 5.6.7 Address needs SMTPUTF8"
        asked = self._provider.asked(transaction.account, address)
        transaction.asked = asked
        transaction.call.channel, transaction.call.recipient = asked.channel, asked.recipient
        throttling, wait_s = self._provider.begun(asked)
        if wait_s is not None:
            return await self._refuse(server, transaction, self._provider.throttled(round(wait_s), asked))
        transaction.throttling = throttling
        transaction.behaviour = self._provider.chosen(asked)
        refused = self._provider.refused(asked, transaction.behaviour)
        if refused is not None and refused.stage == RCPT:
            await self._delay(transaction.behaviour)
            return await self._refuse(server, transaction, refused)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Recipient OK"

    async def handle_DATA(self, server: Conversation, session: Session, envelope: Envelope) -> str | bytes:
        transaction = server.transaction
        assert transaction is not None, "RCPT comes first"
        assert transaction.asked is not None
        assert transaction.behaviour is not None
        call, asked, behaviour = transaction.call, transaction.asked, transaction.behaviour
        try:
            eight_bits = not _EIGHT_BITS.isdisjoint(envelope.mail_options)
            mail = read(bytes(envelope.original_content or b""), eight_bits=eight_bits)
        except NoMail as problem:
            call.answered = "554 5.6.0"
            server.forget()
            return f"554 5.6.0 {problem}"
        asked.values["mail"] = mail
        asked.code, asked.reference = mail.code, mail.reference
        call.code, call.reference = mail.code, mail.reference
        reply = self._provider.effects(asked, behaviour, call)
        await self._delay(behaviour)
        call.answered = reply.said if behaviour.fault is Fault.NONE else behaviour.fault.value
        # The transaction ends with what is returned, or with the connection.
        said = await self._deliver(server, reply, behaviour.fault)
        server.forget()
        return said

    async def handle_RSET(self, server: Conversation, session: Session, envelope: Envelope) -> str:
        server.forget()
        return "250 2.0.0 Forgotten"

    def _begin(self, operation: str) -> Call:
        return self._world.calls.begin(at=self._world.clock.now_ms(), provider=self._provider.name, operation=operation)

    async def _delay(self, behaviour: Behaviour) -> None:
        delay_s = sample_s(behaviour.delay_ms, self._provider.behaviours.rng)
        if delay_s > 0:
            await self._provider.pause(delay_s)

    async def _refuse(self, server: Conversation, transaction: Transaction, reply: Reply) -> str:
        transaction.call.answered = reply.said
        transaction.end()
        if reply.code.startswith("421"):
            await self._last_words(server, reply.line.encode() + b"\r\n")
        return reply.line

    async def _deliver(self, server: Conversation, reply: Reply, fault: Fault) -> str | bytes:
        """What to answer the content with; does not return when the connection shows the fault instead."""
        line = reply.line.encode()
        match fault:
            case Fault.GARBAGE:
                return GARBAGE
            case Fault.DRIP:
                for at in range(len(line)):
                    server.wire.write(line[at : at + 1])
                    await asyncio.sleep(_DRIP_S)
                return b""
            case Fault.TRUNCATED:
                await self._last_words(server, line[: len(line) // 2])
            case Fault.CLOSE_AFTER_READING:
                await self._last_words(server, b"")
            case Fault.CLOSE_BEFORE_READING | Fault.RESET_AFTER_READING:
                reset(server.wire)
                await _gone()
            case Fault.NO_ANSWER:
                await self._world.closing.wait()
                reset(server.wire)
                await _gone()
            case Fault.NONE if reply.code.startswith("421"):
                await self._last_words(server, line + b"\r\n")
        return reply.line

    async def _last_words(self, server: Conversation, words: bytes) -> None:
        server.wire.write(words)
        server.wire.close()
        await _gone()


async def _gone() -> None:
    """Wait for the end of the connection, which cancels whoever waits here."""
    await asyncio.get_running_loop().create_future()
