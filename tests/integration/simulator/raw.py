"""A client that sees what HTTP libraries hide: how a connection ends."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import orjson


async def exchange(url: str, to: str, *, wait_s: float = 3.0) -> tuple[bytes, str]:
    """Send one YCloud start; all bytes that came back, and ``fin``, ``rst`` or ``silent``."""
    place = urlsplit(url)
    body = orjson.dumps({"channel": "sms", "to": to, "code": "482913"})
    head = (
        f"POST /ycloud/v2/verify/verifications HTTP/1.1\r\nHost: {place.netloc}\r\nX-API-Key: simulator\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    received = b""
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(wait_s):
            await writer.drain()
            while chunk := await reader.read(65_536):
                received += chunk
                if _whole(received):
                    return received, "open"
        return received, "fin"
    except ConnectionResetError:
        return received, "rst"
    except TimeoutError:
        return received, "silent"
    finally:
        writer.transport.abort()


def _whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if found and line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False
