"""The transport to providers and its double under one contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

pytest.importorskip("pipeline.senders.transport", reason="the transport to providers is not part of this tree")

from pipeline.senders.transport import BEFORE_FIRST_BYTE, AiohttpTransport
from pipeline.testing.http import Answer, ScriptedTransport, Step, Unreachable
from tests.contract.http.faults import Fault

TIMEOUT_S = 0.3


class Line:
    """One transport, and a provider at its other end that plays the steps given."""

    transport: httpx.AsyncBaseTransport
    url: str

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @property
    def seen(self) -> list[bytes]:
        """Bodies of the requests that reached the provider."""
        raise NotImplementedError

    def breaks(self, fault: Fault) -> None:
        """The next call fails in this way."""
        raise NotImplementedError

    async def call(self, body: bytes = b"body", hook: Callable[[], None] | None = None) -> httpx.Response:
        """Hand one request straight to the transport, as senders do."""
        extensions = {} if hook is None else {BEFORE_FIRST_BYTE: hook}
        return await self.transport.handle_async_request(
            httpx.Request("POST", self.url, content=body, extensions=extensions)
        )


class DoubleLine(Line):
    def __init__(self) -> None:
        super().__init__()
        self.transport = self._double = ScriptedTransport(lambda _: self.steps.pop(0), timeout_s=TIMEOUT_S)
        self.url = "http://provider.test/send"

    def breaks(self, fault: Fault) -> None:
        self.steps = [fault.step]

    @property
    def seen(self) -> list[bytes]:
        return [received.content for received in self._double.received]


class RealLine(Line):
    """Our transport over real sockets to a server that plays the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.transport = AiohttpTransport(max_connections=10, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S)
        self._bodies: list[bytes] = []
        self._fault: Fault | None = None
        self._conversations: set[asyncio.Task[None] | None] = set()

    @property
    def seen(self) -> list[bytes]:
        return self._bodies

    def breaks(self, fault: Fault) -> None:
        self._fault = fault
        self.url = self.url.replace("http:", f"{fault.scheme}:")

    async def call(self, body: bytes = b"body", hook: Callable[[], None] | None = None) -> httpx.Response:
        if self.steps and isinstance(self.steps[0], Unreachable):
            self._server.close()
            await self._server.wait_closed()
        return await super().call(body, hook)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._provide, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/send"

    async def close(self) -> None:
        await self.transport.aclose()
        for conversation in self._conversations:
            assert conversation is not None
            conversation.cancel()
        self._server.close()
        await self._server.wait_closed()

    async def _provide(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._conversations.add(asyncio.current_task())
        try:
            if self._fault is not None and not self._fault.arrives:
                await self._fault.converse(reader, writer)
                return
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(row.split(b":")[1]) for row in head.lower().split(b"\r\n") if b"content-length:" in row)
            self._bodies.append(await reader.readexactly(length))
            if self._fault is not None:
                await self._fault.converse(reader, writer)
                return
            step = self.steps.pop(0)
            await asyncio.sleep(step.delay_s)
            if isinstance(step, Answer):
                rows = [f"HTTP/1.1 {step.status} Status", f"content-length: {len(step.content)}", "connection: close"]
                rows += [f"{name}: {value}" for name, value in step.headers.items()]
                writer.write("\r\n".join([*rows, "", ""]).encode() + step.content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller went away first, which is what some tests are about
        finally:
            self._conversations.discard(asyncio.current_task())
            writer.close()


@pytest.fixture(params=["double", "aiohttp"])
async def line(request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    if request.param == "double":
        yield DoubleLine()
        return
    real = RealLine()
    await real.open()
    yield real
    await real.close()
