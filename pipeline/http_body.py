"""Request bodies, read no further than they may be long."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request


async def read_body(request: Request, limit: int) -> bytes | None:
    """The exact bytes received, or None when there are more than ``limit``; then the rest stays unread.

    The connection cannot be used again after None: answer with ``Connection: close``. Raises ClientDisconnect.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 15 or int(announced) > limit):
        return None
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        # Not request.stream(): an asynchronous generator costs more than all the rest of this.
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
