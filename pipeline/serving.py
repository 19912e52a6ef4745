"""One ASGI application on one port inside the running loop (gateway, simulator); uvicorn does the work."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.errors import UsageError


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process that embeds it decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """An HTTP/1.1 server that lives in its caller's loop; port 0 picks a free one."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        protocol: type[HttpToolsProtocol] = HttpToolsProtocol,
        shutdown_s: float = 5.0,
        keep_alive_s: int = 30,
    ) -> None:
        """``shutdown_s`` bounds how long running requests may finish after :meth:`stop`."""
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=keep_alive_s,
                timeout_graceful_shutdown=max(1, round(shutdown_s)),
            )
        )
        self._running: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """Base URL without a trailing slash, once started."""
        return f"http://{authority(self._host, self._port)}"

    async def start(self) -> None:
        """Listen; raises UsageError when the address cannot be bound."""
        listener = bind(self._host, self._port)
        self._port = listener.getsockname()[1]
        self._running = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"http-{self._port}")
        while not self._server.started:
            if self._running.done():
                listener.close()
                await self._running
                raise UsageError(f"the HTTP server on {self.url} ended while it started")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept nothing new, let running requests finish within ``shutdown_s``, close."""
        if self._running is None:
            return
        self._server.should_exit = True
        await self._running
        self._running = None


def authority(host: str, port: int) -> str:
    """Host and port as they stand in an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address that a server can listen on; raises UsageError when it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"host {host!r} cannot be listened on: {error}") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {port} on {host} cannot be listened on ({error.strerror}): "
            "stop what uses it or configure another port"
        ) from error
    listener.setblocking(False)
    return listener
