"""Looking whether brokers can be used yet."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pipeline.dev.readiness import answers


async def deaf(seconds: float) -> asyncio.Server:
    """A port where every connection is closed after so long, without an answer."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.close()

    return await asyncio.start_server(close, "127.0.0.1", 0)


async def test_brokers_that_are_asked_at_once_leave_the_clients_log_as_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client_log = logging.getLogger("aiokafka")
    servers = [await deaf(seconds) for seconds in (0.05, 0.3)]
    found = await asyncio.gather(*(answers(server.sockets[0].getsockname()[1]) for server in servers))
    for server in servers:
        server.close()
    assert found == [False, False]
    assert caplog.text == ""
    client_log.error("later")
    assert caplog.messages == ["later"]
