"""Whether brokers on this machine can be used yet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pipeline.dev.properties import HOST

_PATIENCE_MS = 5_000


async def answers(port: int) -> bool:
    """Whether ApiVersions and Metadata are answered there, and the broker counts itself as alive."""
    # The client logs every refused connection as an error, so look for an open port before asking it.
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    with contextlib.suppress(KafkaError, OSError):
        async with _asked(f"{HOST}:{port}") as admin:
            cluster = await admin.describe_cluster()
            # While its registration is pending the broker answers with an empty list of brokers.
            return bool(cluster["brokers"])
    return False


async def in_sync(bootstrap_servers: str, brokers: int) -> bool:
    """Whether so many brokers are there, and every replica of every partition is in sync."""
    with contextlib.suppress(KafkaError, OSError):
        async with _asked(bootstrap_servers) as admin:
            if len((await admin.describe_cluster())["brokers"]) < brokers:
                return False
            partitions = [part for topic in await admin.describe_topics() for part in topic["partitions"]]
            return all(part["leader"] >= 0 and len(part["isr"]) == len(part["replicas"]) for part in partitions)
    return False


@contextlib.asynccontextmanager
async def _asked(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    # A filter of its own each time: several brokers are asked at once, and a level that is put back by each would stay
    # where the last one found it.
    client_log = logging.getLogger("aiokafka")

    def drop(_: logging.LogRecord) -> bool:
        return False

    client_log.addFilter(drop)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=_PATIENCE_MS)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
        client_log.removeFilter(drop)
