"""Whether a broker on this machine can be used yet."""

from __future__ import annotations

import asyncio
import contextlib
import logging

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
    client_log = logging.getLogger("aiokafka")
    level = client_log.level
    client_log.setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=f"{HOST}:{port}", request_timeout_ms=_PATIENCE_MS)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        # While its registration is pending the broker answers with an empty list of brokers.
        return bool(cluster["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
        client_log.setLevel(level)
