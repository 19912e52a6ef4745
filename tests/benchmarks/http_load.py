"""Many callers over HTTP at once, with as little of a client as can be: it shares the cores with what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import orjson

from tests.benchmarks.whole_pipeline import HOST, KEY

TIMEOUT_S = 300.0
"""For all of them together."""


def post(path: str, body: object) -> bytes:
    """A request as it goes over the line."""
    content = orjson.dumps(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def in_parallel(port: int, requests: Sequence[bytes], connections: int, *, status: int = 202) -> list[bytes]:
    """Send all over some connections that are kept open, each after its answer; the bodies of the answers."""
    waiting = iter(requests)
    answers: list[bytes] = []
    loop = asyncio.get_running_loop()
    callers = [_Caller(waiting, answers, status, loop.create_future()) for _ in range(connections)]
    await asyncio.gather(*(loop.create_connection(lambda caller=caller: caller, HOST, port) for caller in callers))
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(caller.done for caller in callers))
    return answers


class _Caller(asyncio.Protocol):
    """One connection, and who asks over it until nothing is left."""

    def __init__(self, waiting: Iterator[bytes], answers: list[bytes], status: int, done: asyncio.Future[None]) -> None:
        self._waiting = waiting
        self._answers = answers
        self._begin = b"HTTP/1.1 %d " % status
        self._got = b""
        self.done = done

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < content_length(head):
            return
        if not head.startswith(self._begin):
            self.done.set_exception(AssertionError(self._got))
            self._transport.close()
            return
        self._answers.append(body)
        self._got = b""
        self._ask()

    def _ask(self) -> None:
        request = next(self._waiting, None)
        if request is not None:
            self._transport.write(request)
            return
        self.done.set_result(None)
        self._transport.close()


def content_length(head: bytes) -> int:
    """Bytes of the body behind this head."""
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0])
