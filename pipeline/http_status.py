"""``/metrics``, ``/healthz`` and ``/readyz`` of one process, served by the loop that does its work.

The same loop on purpose: when it is blocked, ``/healthz`` does not answer, which is what a liveness probe is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.errors import Misconfigured

Missing = Callable[[], Sequence[str]]
"""What keeps a process from being ready, in words for people; nothing when it is."""

_STOP_S: Final = 2.0
_NO_STORE: Final = {"cache-control": "no-store"}


def status_app(registry: CollectorRegistry, missing: Missing) -> Starlette:
    """The three routes as an application, also for processes that serve more than these (the gateway)."""
    return Starlette(routes=status_routes(registry, missing))


def status_routes(registry: CollectorRegistry, missing: Missing) -> list[Route]:
    """The three routes on their own."""

    async def metrics(request: Request) -> Response:
        # The Accept header decides between Prometheus text and OpenMetrics. In a thread, because thousands of series
        # take tens of milliseconds, in which the loop would commit nothing.
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(await asyncio.to_thread(encode, registry), headers={"content-type": content_type})

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers=_NO_STORE)

    async def readyz(_: Request) -> Response:
        what = list(missing())
        body = {"status": "ready" if not what else "not ready", "missing": what}
        return JSONResponse(body, status_code=503 if what else 200, headers=_NO_STORE)

    return [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]


class HttpServer:
    """Any ASGI application inside the running loop: start, serve, clean stop; signals stay the process's own.

    ``port`` 0 picks a free one; :attr:`port` tells it after :meth:`start`.
    """

    def __init__(self, app: Starlette, *, host: str, port: int, name: str = "http", stop_s: float = _STOP_S) -> None:
        self.host = host
        self.port = port
        self._name = name
        self._app = app
        self._stop_s = stop_s
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Base address without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen and answer from now on. Raises Misconfigured when the address cannot be used."""
        # Bound here and not by uvicorn, which would end the whole process when the port is taken.
        listener = _bind(self.host, self.port, self._name)
        self.port = listener.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=max(1, round(self._stop_s)),
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"{self._name}-server")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise Misconfigured(f"the {self._name} server on {self.url} ended while starting")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Answer running requests, at most ``stop_s`` seconds, and close; may be called twice."""
        server, task = self._server, self._task
        self._server = self._task = None
        if server is None or task is None:
            return
        server.should_exit = True
        await task

    async def __aenter__(self) -> HttpServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class StatusServer(HttpServer):
    """The status routes on the metrics port of a stage process."""

    def __init__(self, *, host: str, port: int, registry: CollectorRegistry, missing: Missing) -> None:
        super().__init__(status_app(registry, missing), host=host, port=port, name="metrics")


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave SIGTERM to the process: its handler drains the stage first and stops this server last."""
        yield


def _bind(host: str, port: int, name: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        fix = "set another port, or 0 for a free one" if port else "set another host"
        raise Misconfigured(f"cannot listen on {host}:{port} for {name}: {error.strerror or error}; {fix}") from None
