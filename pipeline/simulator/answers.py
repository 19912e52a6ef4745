"""Answers of the providers, and what a fault makes of them on the wire."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from pipeline.simulator.behaviour import Fault
from pipeline.simulator.connection import connection_of

_DRIP_S: Final = 0.1
GARBAGE: Final = b'<html><head><title>502 Bad Gateway</title></head><body>\x00\xff\xfe{"id": \xc3\x28</body></html>'
"""Neither JSON nor text, with the status of a good answer: what a broken proxy sends."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """A whole answer as the provider would send it."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    said: str = ""
    """For the list of calls: the status and the provider's error code."""

    async def send(self, send: Send) -> None:
        """Put it on the wire."""
        await send({"type": "http.response.start", "status": self.status, "headers": self._headers(len(self.body))})
        await send({"type": "http.response.body", "body": self.body})

    def _headers(self, length: int) -> list[tuple[bytes, bytes]]:
        return [(b"content-type", b"application/json"), (b"content-length", str(length).encode()), *self.headers]

    async def send_truncated(self, send: Send) -> None:
        """Promise the whole length and send the first half."""
        await send({"type": "http.response.start", "status": self.status, "headers": self._headers(len(self.body))})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})

    async def send_dripping(self, send: Send) -> None:
        """Send byte after byte."""
        await send({"type": "http.response.start", "status": self.status, "headers": self._headers(len(self.body))})
        for at in range(len(self.body)):
            await asyncio.sleep(_DRIP_S)
            more = at + 1 < len(self.body)
            await send({"type": "http.response.body", "body": self.body[at : at + 1], "more_body": more})


async def deliver(
    answer: Answer, fault: Fault, *, scope: Scope, receive: Receive, send: Send, closing: asyncio.Event
) -> None:
    """Send an answer, or do to the connection what the fault says; returns when the connection shows it."""
    match fault:
        case Fault.NONE:
            await answer.send(send)
        case Fault.GARBAGE:
            garbage = Answer(status=answer.status, body=GARBAGE, headers=answer.headers)
            await garbage.send(send)
        case Fault.DRIP:
            await answer.send_dripping(send)
        case Fault.TRUNCATED:
            await answer.send_truncated(send)
            connection_of(scope).close()
            await _gone(receive)
        case Fault.CLOSE_AFTER_READING:
            connection_of(scope).close()
            await _gone(receive)
        case Fault.CLOSE_BEFORE_READING | Fault.RESET_AFTER_READING:
            connection_of(scope).reset()
            await _gone(receive)
        case Fault.NO_ANSWER:
            await _hang(scope, receive, closing)


async def _gone(receive: Receive) -> None:
    # Returning earlier would look like a forgotten answer to the server.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _hang(scope: Scope, receive: Receive, closing: asyncio.Event) -> None:
    """Wait until the client gives up, or the simulator ends."""
    connection = connection_of(scope)
    gone = asyncio.create_task(_gone(receive))
    ends = asyncio.create_task(closing.wait())
    await asyncio.wait({gone, ends}, return_when=asyncio.FIRST_COMPLETED)
    ends.cancel()
    connection.reset()
    await gone
