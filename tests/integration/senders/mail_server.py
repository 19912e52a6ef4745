"""A mail server that does as told at every step, and keeps what it read."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

CONTENT = "content"
GREETING = "greeting"
_GOOD = {
    GREETING: "220 mail.test ready",
    "EHLO": "250-mail.test\r\n250-SIZE 100000\r\n250 AUTH PLAIN LOGIN",
    "STARTTLS": "220 2.0.0 go on",
    "AUTH": "235 2.7.0 welcome",
    "DATA": "354 go on",
    CONTENT: "250 2.0.0 taken",
    "QUIT": "221 2.0.0 bye",
}


class Act(Enum):
    """Instead of a reply."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


Step = str | bytes | Act


@dataclass
class ScriptedServer:
    """``steps`` says what is answered by verb; of a list one after the other, the last for ever."""

    steps: dict[str, Step | list[Step]] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    """For STARTTLS, and for implicit TLS too when ``implicit``."""
    implicit: bool = False
    leaves: bool = False
    """Closes the connection after each message it took."""
    port: int = 0
    sessions: list[list[str]] = field(default_factory=list)
    """The command lines of each connection."""
    encrypted: list[str] = field(default_factory=list)
    """Verbs that came over TLS."""
    contents: list[bytes] = field(default_factory=list)
    """Every content whose end was read."""
    read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the end of a content was read."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection is over."""
    _given: dict[str, int] = field(default_factory=dict)

    def step(self, verb: str) -> Step:
        wished = self.steps.get(verb, _GOOD.get(verb, "250 2.0.0 fine"))
        if not isinstance(wished, list):
            return wished
        number = self._given.get(verb, 0)
        self._given[verb] = number + 1
        return wished[min(number, len(wished) - 1)]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: list[str] = []
        self.sessions.append(session)
        try:
            await self._converse(reader, writer, session)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()
            self.left.set()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, session: list[str]) -> None:
        if not await self._do(GREETING, writer):
            return
        while line := await reader.readline():
            session.append(line.decode().rstrip("\r\n"))
            verb = line.decode().partition(" ")[0].strip().upper()
            if writer.get_extra_info("sslcontext") is not None:
                self.encrypted.append(verb)
            if not await self._do(verb, writer) or verb == "QUIT":
                return
            if verb == "STARTTLS":
                assert self.tls is not None
                await writer.start_tls(self.tls)
            if verb == "DATA" and str(self.step(verb)).startswith("354"):
                self.contents.append(await reader.readuntil(b"\r\n.\r\n"))
                self.read.set()
                if not await self._do(CONTENT, writer) or self.leaves:
                    return

    async def _do(self, verb: str, writer: asyncio.StreamWriter) -> bool:
        step = self.step(verb)
        if step is Act.HANG:
            await asyncio.sleep(3_600)
        if step is Act.RESET:
            found = writer.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if isinstance(step, Act):
            return False
        writer.write(step if isinstance(step, bytes) else f"{step}\r\n".encode())
        await writer.drain()
        return True


@asynccontextmanager
async def serving(script: ScriptedServer) -> AsyncIterator[ScriptedServer]:
    server = await asyncio.start_server(
        script.handle, "127.0.0.1", 0, ssl=script.tls if script.implicit else None, limit=1_000_000
    )
    script.port = server.sockets[0].getsockname()[1]
    tasks_before = asyncio.all_tasks()
    try:
        yield script
    finally:
        server.close()
        for task in asyncio.all_tasks() - tasks_before:
            if task.get_coro().__qualname__.startswith("ScriptedServer"):  # type: ignore[union-attr]
                task.cancel()
        await asyncio.sleep(0)
