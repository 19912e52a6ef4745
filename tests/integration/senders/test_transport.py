"""What the transport says happened is proven against what a real server saw."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import traceback
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.senders.transport import BEFORE_FIRST_BYTE, AiohttpTransport
from tests.integration.senders.provider_server import (
    Behaviour,
    ProviderServer,
    answer,
    free_port,
    provider_server,
    reset,
)

METHODS = ["POST", "GET"]


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    client = AiohttpTransport(max_connections=10, timeout_s=0.6, connect_timeout_s=0.3, max_answer_bytes=1_000)
    yield client
    await client.aclose()


def request(url: str, method: str = "POST", hook: Callable[[], None] | None = None) -> httpx.Request:
    body = b'{"to":"+491511234567"}' if method == "POST" else None
    extensions = {BEFORE_FIRST_BYTE: hook} if hook else {}
    return httpx.Request(method, url, content=body, headers={"X-API-Key": "k"}, extensions=extensions)


async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    while True:
        await server.read_request(reader)
        writer.write(answer(b'{"id":"1"}'))


async def reset_before_reading(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer
) -> None:
    reset(writer)


async def reset_after_reading(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer
) -> None:
    await server.read_request(reader)
    reset(writer)


async def close_after_reading(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer
) -> None:
    await server.read_request(reader)


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    await asyncio.sleep(30)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    writer.write(b"\x00\xffnothing like HTTP\r\n\r\n")
    await writer.drain()


async def truncated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    writer.write(answer(b'{"id":"1","status":"pending"}')[:-9])
    await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    for byte in answer(b"x" * 200):
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
    await writer.drain()


async def inflated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    writer.write(answer(b"\x1f\x8b broken", headers=b"Content-Encoding: gzip\r\n"))
    await writer.drain()


async def half_then_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await asyncio.sleep(30)


LOST = {
    reset_after_reading: "connection_lost",
    close_after_reading: "connection_lost",
    hang: "timeout",
    garbage: "bad_answer",
    truncated: "connection_lost",
    drip: "timeout",
    endless: "answer_too_long",
    inflated: "bad_answer",
    half_then_silence: "timeout",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("behaviour", "cause"), LOST.items(), ids=lambda value: getattr(value, "__name__", value))
async def test_a_request_without_a_full_answer_is_in_doubt_and_was_sent_once(
    transport: AiohttpTransport, behaviour: Behaviour, cause: str, method: str
) -> None:
    async with provider_server(behaviour) as server:
        with pytest.raises(InDoubt) as failure:
            await transport.handle_async_request(request(server.url, method))
        await asyncio.sleep(0.05)
        assert (failure.value.cause, len(server.requests)) == (cause, 1)


@pytest.mark.parametrize("method", METHODS)
async def test_a_connection_reset_before_reading_is_in_doubt_as_nobody_can_know(
    transport: AiohttpTransport, method: str
) -> None:
    async with provider_server(reset_before_reading) as server:
        with pytest.raises((InDoubt, NotSent)) as failure:
            await transport.handle_async_request(request(server.url, method))
        await asyncio.sleep(0.05)
        assert server.requests == []
        assert not isinstance(failure.value, NotSent) or failure.value.cause == "unreachable"


@pytest.mark.parametrize("method", METHODS)
async def test_a_refused_connection_is_not_sent(transport: AiohttpTransport, method: str) -> None:
    with pytest.raises(NotSent, match="unreachable"):
        await transport.handle_async_request(request(f"http://127.0.0.1:{free_port()}/", method))


async def test_a_name_that_does_not_resolve_is_not_sent(transport: AiohttpTransport) -> None:
    with pytest.raises(NotSent, match="unresolved"):
        await transport.handle_async_request(request("http://nobody.invalid/"))


async def test_a_server_that_does_not_speak_tls_is_not_sent(transport: AiohttpTransport) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
        writer.write(answer(b"{}", status="400 Bad Request"))
        await writer.drain()

    async with provider_server(plain) as server:
        with pytest.raises(NotSent) as failure:
            await transport.handle_async_request(request(server.url.replace("http:", "https:")))
        assert (failure.value.cause, server.requests) == ("tls", [])


async def test_a_server_that_accepts_but_never_finishes_tls_is_not_sent(transport: AiohttpTransport) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
        await asyncio.sleep(30)

    async with provider_server(silent) as server:
        with pytest.raises(NotSent, match="connect_timeout"):
            await transport.handle_async_request(request(server.url.replace("http:", "https:")))


async def test_waiting_for_a_place_in_the_pool_in_vain_is_not_sent() -> None:
    client = AiohttpTransport(max_connections=1, timeout_s=1.0, connect_timeout_s=0.2)
    async with provider_server(hang) as server:
        first = asyncio.create_task(client.handle_async_request(request(server.url)))
        await asyncio.sleep(0.05)
        with pytest.raises(NotSent, match="connect_timeout"):
            await client.handle_async_request(request(server.url))
        with pytest.raises(InDoubt, match="timeout"):
            await first
        assert len(server.requests) == 1
    await client.aclose()


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "400 Bad Request", "429 Slow Down", "500 Oops"])
async def test_a_full_answer_of_any_status_is_a_response(transport: AiohttpTransport, status: str) -> None:
    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
        await server.read_request(reader)
        location = f"Location: {server.url}\r\nRetry-After: 7\r\n".encode()
        writer.write(answer(b"{}", status=status, headers=location))

    async with provider_server(behaviour) as server:
        response = await transport.handle_async_request(request(server.url))
        assert (response.status_code, response.content, len(server.requests)) == (int(status[:3]), b"{}", 1)
        assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize("method", METHODS)
async def test_a_kept_alive_connection_that_breaks_is_not_used_for_a_second_send(
    transport: AiohttpTransport, method: str
) -> None:
    """aiohttp itself sends GET again over a fresh connection; without the gate this counts three requests."""

    async def one_answer_then_gone(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer
    ) -> None:
        await server.read_request(reader)
        writer.write(answer(b"{}"))
        await server.read_request(reader)
        reset(writer)

    async with provider_server(one_answer_then_gone) as server:
        await transport.handle_async_request(request(server.url, method))
        with pytest.raises(InDoubt, match="connection_lost"):
            await transport.handle_async_request(request(server.url, method))
        await asyncio.sleep(0.05)
        assert len(server.requests) == 2


async def test_connections_are_reused_and_let_go_before_the_provider_closes_them() -> None:
    client = AiohttpTransport(max_connections=10, timeout_s=1.0, connect_timeout_s=0.3, keepalive_s=0.1)
    async with provider_server(ok) as server:
        await client.handle_async_request(request(server.url))
        await client.handle_async_request(request(server.url))
        assert server.connections == 1
        await asyncio.sleep(0.2)
        await client.handle_async_request(request(server.url))
        assert server.connections == 2
    await client.aclose()


class Frozen(Exception):
    pass


@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "kept-alive connection"])
async def test_what_the_hook_before_the_first_byte_raises_leaves_nothing_sent_and_no_connection_open(
    transport: AiohttpTransport, warm: bool
) -> None:
    def refuse() -> None:
        raise NotSent("stale")

    gone = asyncio.Event()

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await ok(reader, writer, server)
        gone.set()

    async with provider_server(behaviour) as server:
        if warm:
            await transport.handle_async_request(request(server.url))
        with pytest.raises(NotSent, match="stale"):
            await transport.handle_async_request(request(server.url, hook=refuse))
        await asyncio.wait_for(gone.wait(), 1)
        assert len(server.requests) == (1 if warm else 0)


async def test_the_hook_is_called_once_per_call_after_connecting(transport: AiohttpTransport) -> None:
    calls: list[int] = []
    async with provider_server(ok) as server:
        await transport.handle_async_request(request(server.url, hook=lambda: calls.append(server.connections)))
        with pytest.raises(NotSent):
            await transport.handle_async_request(
                request(f"http://127.0.0.1:{free_port()}/", hook=lambda: calls.append(-1))
            )
    assert len(calls) == 1


async def test_an_unforeseen_error_of_the_hook_is_not_disguised(transport: AiohttpTransport) -> None:
    def broken() -> None:
        raise Frozen

    async with provider_server(ok) as server:
        with pytest.raises(Frozen):
            await transport.handle_async_request(request(server.url, hook=broken))
        assert server.requests == []


async def test_the_server_reads_exactly_what_the_request_names(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    async with provider_server(ok) as server:
        await transport.handle_async_request(request(server.url + "?a=%2B1"))
        assert server.requests == [
            b"POST /send?a=%2B1 HTTP/1.1\r\n"
            + f"Host: 127.0.0.1:{server.port}\r\n".encode()
            + b'X-API-Key: k\r\nContent-Length: 22\r\n\r\n{"to":"+491511234567"}'
        ]


async def test_cookies_are_neither_kept_nor_sent(transport: AiohttpTransport) -> None:
    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
        while True:
            await server.read_request(reader)
            writer.write(answer(b"{}", headers=b"Set-Cookie: route=a; Path=/\r\n"))

    async with provider_server(behaviour) as server:
        await transport.handle_async_request(request(server.url))
        await transport.handle_async_request(request(server.url))
        assert len(server.requests) == 2
        assert not any(b"ookie" in each for each in server.requests)


async def test_certificates_are_checked(transport: AiohttpTransport) -> None:
    assert AiohttpTransport(max_connections=1, timeout_s=1, connect_timeout_s=1)._connector_options["ssl"] is True
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("value", ["SECR\nET", "SECR\rET", "SECR\0ET", "SECR\x1bET", "SECR\x7fET"], ids=ascii)
@pytest.mark.parametrize("warm", [False, True], ids=["new connection", "kept-alive connection"])
async def test_a_header_that_cannot_be_written_is_not_sent(transport: AiohttpTransport, warm: bool, value: str) -> None:
    ran: list[bool] = []
    async with provider_server(ok) as server:
        if warm:
            await transport.handle_async_request(request(server.url))
        broken = request(server.url, hook=lambda: ran.append(True))
        broken.headers["X-API-Key"] = value
        with pytest.raises(NotSent) as failure:
            await transport.handle_async_request(broken)
        await asyncio.sleep(0.02)
        assert (failure.value.cause, ran, len(server.requests)) == ("bad_request", [], 1 if warm else 0)
    assert "SECR" not in "".join(traceback.format_exception(failure.value))


async def test_a_canceled_call_is_no_answer(transport: AiohttpTransport) -> None:
    async with provider_server(hang) as server:
        call = asyncio.create_task(transport.handle_async_request(request(server.url)))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(server.requests) == 1
