"""``/metrics``, ``/healthz`` and ``/readyz`` of one process, served by the loop that does its work.

The same loop on purpose: when it is blocked, ``/healthz`` does not answer, which is what a liveness probe is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.serving import HttpServer

Missing = Callable[[], Sequence[str]]
"""What keeps a process from being ready, in words for people; nothing when it is."""

_STOP_S: Final = 2.0
_NO_STORE: Final = {"cache-control": "no-store"}


def status_routes(registry: CollectorRegistry, missing: Missing) -> list[Route]:
    """The three routes, also for processes that serve more than these (the gateway)."""

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


class StatusServer:
    """The status routes on the metrics port of a stage process; an asynchronous context manager, too.

    ``port`` 0 picks a free one; :attr:`url` tells it once started. Signals stay the process's own: its handler drains
    the stage first and stops this server last.
    """

    def __init__(self, *, host: str, port: int, registry: CollectorRegistry, missing: Missing) -> None:
        app = Starlette(routes=status_routes(registry, missing))
        self._server = HttpServer(app, host=host, port=port, shutdown_s=_STOP_S)

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._server.port

    @property
    def url(self) -> str:
        """Base address without a slash at the end, once started."""
        return self._server.url

    async def start(self) -> None:
        """Listen and answer from now on. Raises UsageError when the address cannot be used."""
        await self._server.start()

    async def stop(self) -> None:
        """Answer running requests, at most two seconds long, and close; may be called twice."""
        await self._server.stop()

    async def __aenter__(self) -> StatusServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
