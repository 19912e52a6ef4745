"""Every way a call can fail: how a server does it, and what it is called in the double's script."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.senders.exchange import CallFailed, InDoubt, NotSent
from pipeline.testing.http import Answer, Lost, Step, Unreachable

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """``converse`` is the server's part once the request is there, or from the beginning where it never comes."""

    failure: type[CallFailed]
    cause: str
    step: Step
    converse: Conversation
    scheme: str = "http"

    @property
    def arrives(self) -> bool:
        """Whether the provider may have got the request."""
        return self.failure is InDoubt


def says(text: bytes, *, then_waits: bool = False) -> Conversation:
    """Answer with these bytes and close, or hang."""

    async def converse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        if then_waits:
            await asyncio.Event().wait()

    return converse


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Cut the connection as a firewall does: RST in place of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


OK = b"HTTP/1.1 200 OK\r\n"
CONNECTION_LOST, TIMEOUT = Lost("connection_lost"), Answer(delay_s=60.0)

FAULTS = {
    "no TLS where it is wanted": Fault(NotSent, "tls", Unreachable("tls"), says(b"what?\r\n\r\n"), "https"),
    "a TLS handshake without end": Fault(
        NotSent, "connect_timeout", Unreachable("connect_timeout"), says(b"", then_waits=True), "https"
    ),
    "closed before the answer": Fault(InDoubt, "connection_lost", CONNECTION_LOST, says(b"")),
    "reset before the answer": Fault(InDoubt, "connection_lost", CONNECTION_LOST, resets),
    "closed in the head": Fault(InDoubt, "connection_lost", CONNECTION_LOST, says(OK + b"content-le")),
    "closed in the body": Fault(
        InDoubt, "connection_lost", CONNECTION_LOST, says(OK + b"content-length: 10\r\n\r\nhalf")
    ),
    "closed between chunks": Fault(
        InDoubt, "connection_lost", CONNECTION_LOST, says(OK + b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    ),
    "no answer": Fault(InDoubt, "timeout", TIMEOUT, says(b"", then_waits=True)),
    "half a head": Fault(InDoubt, "timeout", TIMEOUT, says(OK + b"content-le", then_waits=True)),
    "half a body": Fault(InDoubt, "timeout", TIMEOUT, says(OK + b"content-length: 10\r\n\r\nhalf", then_waits=True)),
    "no HTTP": Fault(InDoubt, "bad_answer", Lost("bad_answer"), says(b"220 mail.example.org ESMTP\r\n\r\n")),
    "an answer packed unasked": Fault(
        InDoubt,
        "bad_answer",
        Lost("bad_answer"),
        says(OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"),
    ),
    "an answer without end": Fault(
        InDoubt,
        "answer_too_long",
        Lost("answer_too_long"),
        says(OK + b"content-length: 100000\r\n\r\n" + b"x" * 100_000),
    ),
}
