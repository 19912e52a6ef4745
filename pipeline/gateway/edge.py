"""What every request of the gateway gets: an id, security headers, measurements, and an answer when a handler fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.errors import where
from pipeline.gateway.problems import problem
from pipeline.model.reasons import ProblemReason
from pipeline.runtime.api import Measure

OTHER_ROUTE: Final = "other"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = structlog.get_logger("gateway")


class Measures(Protocol):
    """Where measurements go (``pipeline.metrics.Metrics``)."""

    def apply(self, measures: Iterable[Measure]) -> None:
        """Count, set or observe."""


class Edge:
    """The outermost ASGI layer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        measures: Measures,
        clock: Clock,
        new_id: Callable[[], str],
        route_of: Callable[[str], str],
    ) -> None:
        """``route_of`` gives the route template of a path, from a closed list; ``new_id`` makes request ids."""
        self._app = app
        self._measures = measures
        self._clock = clock
        self._new_id = new_id
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else self._new_id()
        began_s = self._clock.monotonic_s()
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception as error:
            _log.error(
                "request_failed",
                request_id=request_id,
                route=self._route_of(scope["path"]),
                error=type(error).__name__,
                where=where(error),
            )
            if not status:
                answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, ProblemReason.INTERNAL_ERROR)
                await answer(scope, receive, send_on)
        finally:
            route = self._route_of(scope["path"])
            elapsed_s = self._clock.monotonic_s() - began_s
            # 499 is what nginx made customary for a client that left before the answer.
            self._measures.apply(
                [
                    ("http_requests_total", 1.0, {"route": route, "status": str(status or 499)}),
                    ("http_request_seconds", elapsed_s, {"route": route}),
                ]
            )
