"""What one connection to the real server may send, and how long it may take."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from starlette.types import ASGIApp

from pipeline.gateway import connection
from pipeline.gateway.connection import MAX_HEAD_BYTES, MAX_HEADERS, bounded
from pipeline.gateway.server import GatewayServer
from pipeline.serving import HttpServer
from pipeline.settings import GatewaySettings
from tests.unit.gateway.entrance import SHOP_KEY, Entrance
from tests.unit.gateway.fakes import FakeEncoder, FakeLog, FakeMeasures, FakeWebhooks

TIMEOUT_S = 0.4
GRACE_S = 0.3
KEY = f"Authorization: Bearer {SHOP_KEY}\r\n".encode()
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """A gateway's door on a port, and what it counted."""

    def __init__(self, entrance: Entrance, port: int) -> None:
        self.entrance = entrance
        self.port = port

    def counted(self, status: int) -> float:
        return self.entrance.measures.counters.get(("http_requests_total", "other", str(status)), 0)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Client:
    """Bytes on a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self, within_s: float = 5.0) -> bytes:
        """All that comes until the server ends the connection."""
        got = b""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(ConnectionResetError):
                while data := await self.reader.read(65_536):
                    got += data
        return got

    async def answer(self) -> tuple[int, bytes]:
        """The next one: status and body."""
        async with asyncio.timeout(5):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return int(head.split(b" ")[1]), await self.reader.readexactly(length)


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, entrance: Entrance, *, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Server]:
    server = HttpServer(
        app,
        host="127.0.0.1",
        port=0,
        protocol=bounded(timeout_s=timeout_s, measures=entrance.measures),
        shutdown_s=1,
        keep_alive_s=30,
    )
    await server.start()
    try:
        yield Server(entrance, server.port)
    finally:
        await server.stop()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(connection, "GRACE_S", GRACE_S)
    entrance = Entrance(body_timeout_s=TIMEOUT_S)
    async with serving(entrance.app, entrance) as started:
        yield started


def assert_refused(got: bytes, status: int, reason: bytes) -> None:
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    assert b"x-content-type-options: nosniff" in head.lower()
    assert b'"reason":"%b"' % reason in body


async def test_a_head_of_usual_size_is_served_and_the_connection_used_again(server: Server) -> None:
    async with server.client() as client:
        for _ in range(3):
            await client.send(
                b"GET /v1/things HTTP/1.1\r\nHost: x\r\nX-Much: " + b"x" * 16_000 + b"\r\n" + KEY + b"\r\n"
            )
            assert (await client.answer())[0] == 200


@pytest.mark.parametrize("pieces", [1, 50])
@pytest.mark.parametrize("where", ["value", "name", "target", "many"])
async def test_a_head_that_is_too_large_is_431_however_it_is_cut(server: Server, where: str, pieces: int) -> None:
    long = b"x" * (MAX_HEAD_BYTES + 10)
    head = {
        "value": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + long + b"\r\n\r\n",
        "name": b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + long + b": a\r\n\r\n",
        "target": b"GET /" + long + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "many": b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * MAX_HEADERS + b"\r\n",
    }[where]
    async with server.client() as client:
        size = -(-len(head) // pieces)
        for start in range(0, len(head), size):
            await client.send(head[start : start + size])
            await asyncio.sleep(0.001)
        assert_refused(await client.rest(), 431, b"too_large")
    assert server.counted(431) == 1


async def test_a_head_without_end_is_refused_before_it_is_remembered(server: Server) -> None:
    async with server.client() as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nA: ")
        for _ in range(10):
            await client.send(b"x" * 8_000)
        assert_refused(await client.rest(), 431, b"too_large")


NO_REQUESTS = {
    "words": b"hello there\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: x\r\n more\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bad length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
    "a bad chunk": b"POST /v1/things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + KEY + b"\r\nzz\r\n",
    "a path that is no ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("what", NO_REQUESTS)
async def test_what_is_no_request_is_400(server: Server, what: str) -> None:
    async with server.client() as client:
        await client.send(NO_REQUESTS[what])
        assert_refused(await client.rest(), 400, b"malformed")
    assert server.entrance.callers == [] or what == "a bad chunk"


async def test_a_slow_head_is_408_although_a_byte_comes_now_and_then(server: Server) -> None:
    async with server.client() as client:
        began_s = time.monotonic()
        sending = asyncio.create_task(drip(client, b"GET /healthz HTTP/1.1\r\nHost: " + b"x" * 1_000))
        assert_refused(await client.rest(), 408, b"request_timeout")
        sending.cancel()
        assert TIMEOUT_S <= time.monotonic() - began_s < 2
    assert server.counted(408) == 1


async def test_a_connection_that_says_nothing_is_ended(server: Server) -> None:
    async with server.client() as client:
        assert await client.rest() == b""
    assert server.counted(408) == 0


async def test_a_slow_body_is_408(server: Server) -> None:
    async with server.client() as client:
        await client.send(b"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n" + KEY + b"\r\n")
        sending = asyncio.create_task(drip(client, b"x" * 1_000))
        assert_refused(await client.rest(), 408, b"request_timeout")
        sending.cancel()


async def test_a_body_that_nobody_waits_for_is_not_read_for_ever(server: Server) -> None:
    async with server.client() as client:
        began_s = time.monotonic()
        await client.send(b"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        sending = asyncio.create_task(drip(client, b"x" * 100_000))
        got = await client.rest()
        sending.cancel()
        assert got.startswith(b"HTTP/1.1 401 ")
        assert got.count(b"HTTP/1.1") == 1
        assert time.monotonic() - began_s < 3


async def test_line_ends_do_not_keep_a_connection(server: Server) -> None:
    async with server.client() as client:
        await client.send(GET)
        assert (await client.answer())[0] == 200
        await client.send(b"\r\n")
        began_s = time.monotonic()
        await client.rest()
        assert time.monotonic() - began_s < 3


async def test_a_connection_between_two_requests_may_wait(server: Server) -> None:
    async with server.client() as client:
        await client.send(GET)
        assert (await client.answer())[0] == 200
        await asyncio.sleep(3 * (TIMEOUT_S + GRACE_S))
        await client.send(GET)
        assert (await client.answer())[0] == 200


async def test_many_requests_at_once_are_answered_in_order(server: Server) -> None:
    post = b"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" + KEY + b"\r\n%b"
    async with server.client() as client:
        await client.send(b"".join(post % (size, b"x" * size) for size in (1, 2, 3)) + GET * 5)
        answers = [await client.answer() for _ in range(8)]
        assert [body for _, body in answers[:3]] == [b'{"size":%d}' % size for size in (1, 2, 3)]
        assert [status for status, _ in answers] == [200] * 8


async def test_large_bodies_in_one_stream_are_no_large_heads(server: Server) -> None:
    post = b"POST /v1/webhooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n" + b"x" * 40_000
    async with server.client() as client:
        await client.send(post * 3 + GET)
        assert [(await client.answer())[0] for _ in range(4)] == [404, 404, 404, 200]
        # Nor is one counted for the head that begins behind it.
        await client.send(post + GET[:10])
        assert (await client.answer())[0] == 404
        await client.send(GET[10:])
        assert (await client.answer())[0] == 200


async def test_nonsense_behind_a_request_does_not_take_the_place_of_its_answer(server: Server) -> None:
    async with server.client() as client:
        await client.send(GET + b"nonsense\r\n\r\n")
        got = await client.rest()
        assert got.startswith(b"HTTP/1.1 200 ")
        assert got.count(b"HTTP/1.1") == 1


async def test_an_answer_that_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GRACE_S", GRACE_S)
    entrance = Entrance()

    async def slow(scope: object, receive: object, send: object) -> None:
        await asyncio.sleep(3 * (TIMEOUT_S + GRACE_S))
        await entrance.app(scope, receive, send)  # type: ignore[arg-type]

    async with serving(slow, entrance) as server, server.client() as client:
        # The beginning of a second request must not cost the first its answer.
        await client.send(GET + GET[:10])
        assert (await client.answer())[0] == 200
        # The time for the second one counts from the first one's answer.
        await asyncio.sleep(TIMEOUT_S)
        await client.send(GET[10:])
        assert (await client.answer())[0] == 200


async def test_an_answer_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def talkative(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        for _ in range(1_000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]
        ended.set()

    async with serving(talkative, Entrance()) as server, server.client() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(GET)
        async with asyncio.timeout(5):
            await ended.wait()


OFFERS = {
    "Java's client": b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAA\r\nUpgrade: h2c\r\n",
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
}


@pytest.mark.parametrize("pieces", [1, 40])
@pytest.mark.parametrize("offer", OFFERS)
async def test_a_client_that_offers_another_protocol_loses_neither_its_body_nor_its_connection(
    server: Server, offer: str, pieces: int
) -> None:
    head = b"POST /v1/things HTTP/1.1\r\nHost: x\r\n" + OFFERS[offer] + KEY
    length = head + b'Content-Length: 11\r\n\r\n{"a":"bcde"'
    chunks = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    data = length + chunks + GET
    async with server.client() as client:
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0.001)
        assert await client.answer() == (200, b'{"size":11}')
        assert await client.answer() == (200, b'{"size":2}')
        assert (await client.answer())[0] == 200


async def test_an_offer_is_no_way_around_a_key_and_close_is_still_meant(server: Server) -> None:
    async with server.client() as client:
        await client.send(
            b"POST /v1/things HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
        got = await client.rest()
        assert got.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close" in got


async def test_a_key_is_not_asked_for_its_body(server: Server) -> None:
    """A caller that waits for 100 Continue learns that its key is wrong before it sends anything."""
    async with server.client() as client:
        head = b"POST /v1/things HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
        await client.send(head + b"\r\n")
        assert (await client.answer())[0] == 401


async def test_the_gateway_has_these_bounds_and_says_https_where_its_callers_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "GRACE_S", GRACE_S)
    gateway = GatewayServer(
        settings=GatewaySettings(port=0, body_timeout_s=TIMEOUT_S, public_url="https://verify.example.org"),
        log=FakeLog(),
        encoder=FakeEncoder(),
        measures=FakeMeasures(),
        webhooks={"ycloud": FakeWebhooks()},
        recipient_key=lambda text: text,
    )
    await gateway.start()
    try:
        server = Server(Entrance(), int(gateway.url.rpartition(":")[2]))
        async with server.client() as client:
            await client.send(b"POST /v1/webhooks/ycloud HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
            got = await client.rest()
            assert_refused(got, 408, b"request_timeout")
            assert b"strict-transport-security: max-age=31536000\r\n" in got.lower()
        async with server.client() as client:
            await client.send(b"GET /" + b"x" * MAX_HEAD_BYTES)
            assert_refused(await client.rest(), 431, b"too_large")
    finally:
        await gateway.stop()


async def drip(client: Client, data: bytes) -> None:
    for byte in data:
        await client.send(bytes([byte]))
        await asyncio.sleep(0.02)


CHUNKED = b"POST /v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
"""A head without its end."""


async def test_a_trailer_is_no_header(server: Server) -> None:
    async with server.client() as client:
        await client.send(CHUNKED + b"\r\n2\r\n{}\r\n0\r\n" + KEY + b"\r\n" + GET)
        assert [(await client.answer())[0] for _ in range(2)] == [401, 200]
        await client.send(CHUNKED + KEY + b"\r\n2\r\n{}\r\n0\r\n" + KEY + b"Idempotency-Key: k\r\n\r\n" + GET)
        assert [(await client.answer())[0] for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("key", [KEY, b""], ids=["known", "answered 401 before it ends"])
@pytest.mark.parametrize(
    "endless",
    [b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 200, b"y" * 8_192],
    ids=["trailers", "one trailer"],
)
async def test_trailers_without_end_are_refused_before_they_are_remembered(
    server: Server, key: bytes, endless: bytes
) -> None:
    async with server.client() as client:
        await client.send(CHUNKED + key + b"\r\n2\r\n{}\r\n0\r\nx: ")
        began_s = time.monotonic()
        sent = 0
        while not client.reader.at_eof() and sent < 64 * MAX_HEAD_BYTES and not client.writer.is_closing():
            await client.send(endless)
            await asyncio.sleep(0)
            sent += len(endless)
        assert sent < 64 * MAX_HEAD_BYTES
        assert time.monotonic() - began_s < TIMEOUT_S
        got = await client.rest()
    assert got.count(b"HTTP/1.1 ") <= 1


async def test_a_body_in_the_smallest_chunks_is_taken(server: Server) -> None:
    body = b"{" + b" " * 12_000 + b"}"
    async with server.client() as client:
        await client.send(CHUNKED + KEY + b"\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert (await client.answer())[0] == 200
