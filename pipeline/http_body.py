"""Request bodies, read no further than they may be long."""

from __future__ import annotations

from starlette.requests import Request


async def read_body(request: Request, limit: int) -> bytes | None:
    """The exact bytes received, or None when there are more than ``limit``; then the rest stays unread.

    The connection cannot be used again after None: answer with ``Connection: close``. Raises ClientDisconnect.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > limit):
        return None
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
