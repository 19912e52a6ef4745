"""What every request of the gateway gets: an id, security headers, measurements, a deadline for its body, and an answer
when a handler fails.
"""

from __future__ import annotations

import asyncio
import logging
import re
import types
from collections.abc import Callable, Generator, Iterable
from http import HTTPStatus
from typing import Any, Final, Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.errors import where
from pipeline.gateway.problems import HttpProblem, problem
from pipeline.model.reasons import ProblemReason
from pipeline.runtime.api import Measure

OTHER_ROUTE: Final = "other"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_NUMBER: Final = re.compile(r"[._-]*(?:[0-9][._-]*){7,15}", re.ASCII)
"""What could be a phone number: as an id it would stand in logs."""
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Unless a handler sets another value. No CORS: a key in a browser is a key in everybody's hands."""
_HTTPS_ONLY: Final = {"Strict-Transport-Security": "max-age=31536000"}

_log = structlog.get_logger("gateway")
_LEVEL: Final = logging.getLogger("gateway")


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
        body_timeout_s: float,
        https: bool,
    ) -> None:
        """``route_of`` gives the route template of a path, from a closed list; ``new_id`` makes request ids.

        ``https`` tells browsers to come by https only. That is for who ends TLS to say, so it is set where the public
        address says that somebody does; over http a browser must ignore it (RFC 6797).
        """
        self._app = app
        self._measures = measures
        self._clock = clock
        self._new_id = new_id
        self._route_of = route_of
        self._body_timeout_s = body_timeout_s
        wanted = SECURITY_HEADERS | (_HTTPS_ONLY if https else {})
        self._security_headers = [(name.lower().encode(), value.encode()) for name, value in wanted.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = self._request_id(given.decode("latin-1"))
        began_s = self._clock.monotonic_s()
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = [*message.get("headers", ())]
                there = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode()))
                headers += [each for each in self._security_headers if each[0] not in there]
            await send(message)

        # For whatever is logged while this request is worked on, in any module.
        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, in_time(receive, self._body_timeout_s), send_on)
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
            structlog.contextvars.reset_contextvars(**bound)
            self._told(scope, request_id, status, self._clock.monotonic_s() - began_s)

    def _request_id(self, given: str) -> str:
        return given if _REQUEST_ID.fullmatch(given) and not _NUMBER.fullmatch(given) else self._new_id()

    def _told(self, scope: Scope, request_id: str, status: int, elapsed_s: float) -> None:
        route = self._route_of(scope["path"])
        # 499 is what nginx made customary for a client that left before the answer.
        self._measures.apply(
            [
                ("http_requests_total", 1.0, {"route": route, "status": str(status or 499)}),
                ("http_request_seconds", elapsed_s, {"route": route}),
            ]
        )
        # Asked of the standard library's logger, which has the level too and answers in no time.
        if _LEVEL.isEnabledFor(logging.DEBUG):
            _log.debug("request_answered", request_id=request_id, method=scope["method"], route=route, status=status)


def in_time(receive: Receive, timeout_s: float) -> Receive:
    """``receive`` for a body that must be there ``timeout_s`` after it was first asked for; then HttpProblem 408.

    Without it a caller that sends a byte now and then keeps a handler and its memory for as long as it likes.
    """
    deadline_s: float | None = None
    complete = False

    async def receive_in_time() -> Message:
        nonlocal deadline_s, complete
        if complete:
            # What comes now is the end of the connection, whenever that is.
            return await receive()
        waiting: Any = receive()  # a coroutine, as every server's
        try:
            first = waiting.send(None)
        except StopIteration as at_hand:
            # As nearly always, and a timer costs as much as reading and judging most bodies.
            message: Message = at_hand.value
            complete = not message.get("more_body", False)
            return message
        if deadline_s is None:
            deadline_s = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                message = await _going_on(waiting, first)
        except TimeoutError:
            # The rest is on its way, so the connection cannot be used again.
            raise HttpProblem(
                HTTPStatus.REQUEST_TIMEOUT, ProblemReason.REQUEST_TIMEOUT, headers={"Connection": "close"}
            ) from None
        complete = not message.get("more_body", False)
        return message

    return receive_in_time


@types.coroutine
def _going_on(begun: Any, first: object) -> Generator[Any, Any, Message]:
    """The rest of a coroutine that was begun by hand and waits for ``first``."""
    try:
        yield first
    except BaseException:
        begun.close()
        raise
    found: Message = yield from begun
    return found
