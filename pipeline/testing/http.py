"""A provider's end of the line without a network: it answers, dawdles or fails as a script says.

It keeps the promise of :class:`pipeline.senders.transport.AiohttpTransport` that everything else rests on: whether the
request may have left is certain from the error, and the hook before the first byte runs just before it may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.senders.transport import BEFORE_FIRST_BYTE, HttpExchange


@dataclass(frozen=True, slots=True)
class Answer:
    """The provider got the request and answers after ``delay_s``; later than the transport's timeout is in doubt."""

    status: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0

    @classmethod
    def json(cls, document: object, *, status: int = 200, delay_s: float = 0.0) -> Answer:
        """An answer with a JSON document."""
        return cls(status, orjson.dumps(document), {"content-type": "application/json"}, delay_s)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connection after ``delay_s``; ``cause`` is the transport's word for it. The provider sees nothing."""

    cause: str = "unreachable"
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Lost:
    """The provider got the request, and the connection broke ``delay_s`` later before a full answer."""

    cause: str = "connection_lost"
    delay_s: float = 0.0


Step = Answer | Unreachable | Lost
Script = Iterable[Step] | Callable[[httpx.Request], Step]


class ScriptedTransport(HttpExchange):
    """Plays one step per request: the next of a list, or what a function of the request says.

    ``sleep`` passes the delays (asyncio's own runs in virtual time where the loop does); ``timeout_s`` bounds a call
    like the real transport's. A request the list has no step for fails the test that made it.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        timeout_s: float = 10.0,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.received: list[httpx.Request] = []
        """Requests the provider may have seen, in order of their first byte."""
        self.unsent: list[httpx.Request] = []
        """Requests of which no byte left, in the order they failed."""
        self.running = 0
        self.most_running = 0
        """How many calls there were at most at the same moment."""
        self._next: Callable[[httpx.Request], Step] = script if callable(script) else _in_order(iter(script))
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._closed = False
        self._closing = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make the call once. Raises NotSent or InDoubt, or what the hook raised (then nothing was sent)."""
        if self._closed:
            raise RuntimeError("the transport is closed")
        step = self._next(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._play(step, request)
        finally:
            self.running -= 1

    async def aclose(self) -> None:
        """Calls still running end in doubt, and every later one is a RuntimeError."""
        self._closed = True
        self._closing.set()

    async def _play(self, step: Step, request: httpx.Request) -> httpx.Response:
        if isinstance(step, Unreachable):
            self.unsent.append(request)
            await self._sleep(step.delay_s)
            raise NotSent(step.cause)
        # A connection takes at least one turn of the loop, and others may act in it.
        await asyncio.sleep(0)
        before_first_byte = request.extensions.get(BEFORE_FIRST_BYTE)
        if before_first_byte is not None:
            try:
                before_first_byte()
            except BaseException:
                self.unsent.append(request)
                raise
        self.received.append(request)
        if step.delay_s >= self._timeout_s:
            await self._under_way(self._timeout_s)
            raise InDoubt("timeout")
        await self._under_way(step.delay_s)
        if isinstance(step, Lost):
            raise InDoubt(step.cause)
        return httpx.Response(step.status, headers=step.headers, content=step.content, request=request)

    async def _under_way(self, seconds: float) -> None:
        """Let time pass in which the provider has the request; whoever closes the transport cuts it short."""
        passing = asyncio.ensure_future(self._sleep(seconds))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({passing, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not passing.done():
                raise InDoubt("connection_lost")
            passing.result()
        finally:
            passing.cancel()
            closing.cancel()


def _in_order(steps: Iterator[Step]) -> Callable[[httpx.Request], Step]:
    def following(request: httpx.Request) -> Step:
        step = next(steps, None)
        if step is None:
            raise AssertionError(f"no step is scripted for this {request.method} {request.url.path}")
        return step

    return following
