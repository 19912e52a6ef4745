"""A client that closes its connection while it waits, at the real server."""

from __future__ import annotations

import asyncio

import pytest

from pipeline import topics
from pipeline.model.reasons import ReplyReason
from pipeline.serving import HttpServer
from tests.unit.gateway.asks_bench import AsksBench, Gateway

REQUEST = (
    b"POST /v1/verifications/v/check HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer shop\r\n"
    b"Content-Type: application/json\r\nContent-Length: 17\r\n\r\n"
    b'{"code":"493817"}'
)


async def waiting(gateway: Gateway, count: int) -> None:
    async with asyncio.timeout(1):
        while gateway.asking.waiting != count:  # noqa: ASYNC110 - what is awaited has no event to offer
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("how", ["closed", "reset", "half closed"])
async def test_a_connection_that_ends_is_waited_for_no_longer(how: str) -> None:
    bench = AsksBench()
    async with bench.open() as gateway:
        server = HttpServer(gateway.app, host="127.0.0.1", port=0)
        await server.start()
        _, leaving = await asyncio.open_connection("127.0.0.1", server.port)
        reader, patient = await asyncio.open_connection("127.0.0.1", server.port)
        for writer in (leaving, patient):
            writer.write(REQUEST)
            await waiting(gateway, 1 if writer is leaving else 2)
        if how == "reset":
            leaving.transport.abort()
        elif how == "half closed":
            leaving.write_eof()
        else:
            leaving.close()
        # Far sooner than the five seconds that the reply may take.
        await waiting(gateway, 1)
        await bench.asked(topics.CHECKS, 2)
        await bench.reply("made-1", ReplyReason.VALID)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        patient.close()
        leaving.close()
        await server.stop()
