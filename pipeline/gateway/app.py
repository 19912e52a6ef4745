"""The gateway as one ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.clock import Clock
from pipeline.gateway.door import ANSWER_HEADERS, Endpoint
from pipeline.gateway.edge import OTHER_ROUTE, Edge, Measures
from pipeline.gateway.problems import HttpProblem, problem
from pipeline.gateway.webhooks import WebhookReceiver
from pipeline.model.reasons import ProblemReason

WEBHOOKS: Final = "/v1/webhooks/{provider}"
WEBHOOKS_OF_A_MESSAGE: Final = "/v1/webhooks/{provider}/{token}"
"""For a provider that is told an address with each message."""
HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"

_REASONS: Final = {404: ProblemReason.NOT_FOUND, 405: ProblemReason.METHOD_NOT_ALLOWED}


def create_app(
    *,
    webhooks: WebhookReceiver,
    missing: Callable[[], Sequence[str]],
    measures: Measures,
    clock: Clock,
    new_id: Callable[[], str],
    api: Sequence[Route] = (),
    body_timeout_s: float = 10.0,
    https: bool = False,
) -> ASGIApp:
    """All routes below the layer that gives ids, security headers and measurements; ``api`` are those of the REST API.

    ``missing`` tells what keeps the gateway from being ready. A handler may raise HttpProblem. A body has
    ``body_timeout_s`` to arrive. ``https`` says that callers reach us so.
    """

    async def healthz(request: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(request: Request) -> Response:
        what = list(missing())
        if not what:
            return _json({"status": "ready"})
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            ProblemReason.NOT_READY,
            members={"missing": what},
            headers={"Retry-After": "1"},
        )

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # The framework names the methods of the first route of this path only.
            path = request.scope["path"]
            methods = {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}
            headers["Allow"] = ", ".join(sorted(methods))
        reason = _REASONS.get(error.status_code, ProblemReason.MALFORMED)
        return problem(HTTPStatus(error.status_code), reason, headers=headers)

    routes = [
        *api,
        Route(WEBHOOKS, webhooks.receive, methods=["POST"]),
        Route(WEBHOOKS_OF_A_MESSAGE, webhooks.receive, methods=["POST"]),
        Route(HEALTHZ, healthz, methods=["GET"]),
        Route(READYZ, readyz, methods=["GET"]),
    ]
    inner = Starlette(
        routes=routes,
        exception_handlers={HttpProblem: _problem, HTTPException: refused, Exception: _failed},
    )
    # A provider's path with a slash too many is a mistake to see, not a redirect that would lose the signed body.
    inner.router.redirect_slashes = False
    return Edge(
        _Shortcut(inner, api),
        measures=measures,
        clock=clock,
        new_id=new_id,
        route_of=_templates(routes),
        body_timeout_s=body_timeout_s,
        https=https,
    )


class _Shortcut:
    """Straight to the handler where the address is a whole one, as that of a start is.

    What the framework does on the way (two layers that catch errors, a look at each route, and a layer around each
    message of the answer) costs a fifth of a start, and none of it does anything for such an address.
    """

    def __init__(self, framework: ASGIApp, routes: Sequence[Route]) -> None:
        self._framework = framework
        self._endpoints: dict[tuple[str, str], Endpoint] = {
            (method, route.path): route.endpoint
            for route in routes
            for method in route.methods or ()
            if "{" not in route.path
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._framework(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await endpoint(request)
        except HttpProblem as refusal:
            response = refusal.response()
        except Exception as error:
            response = await _failed(request, error)
            await response(scope, receive, send)
            raise
        await response(scope, receive, send)


def _templates(routes: Sequence[Route]) -> Callable[[str], str]:
    """The route template of a path, for labels and logs: a token is as good as a signature and stands in neither."""
    whole = {route.path: route.path for route in routes if "{" not in route.path}
    known = [(route.path_regex, route.path) for route in routes if "{" in route.path]

    def route_of(path: str) -> str:
        return whole.get(path) or next((template for form, template in known if form.match(path)), OTHER_ROUTE)

    return route_of


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpProblem)
    return error.response()


async def _failed(request: Request, error: Exception) -> Response:
    # The error is raised again after this answer, and the outermost layer writes it down.
    told = request.scope.get(ANSWER_HEADERS)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, ProblemReason.INTERNAL_ERROR, headers=told)


def _json(value: object) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")
