"""The way of the busiest requests past the framework: a look at method and path, and the endpoint is called.

Between an application of Starlette and an endpoint lie seven calls and three handlers of exceptions, which cost as much
as reading and checking a start; what they do is done here in a few lines, or by the layer around (``edge.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.gateway.door import Endpoint
from pipeline.gateway.problems import HttpProblem


class Direct:
    """Calls the endpoint of a method and a path without parameters; everything else goes on to ``otherwise``."""

    def __init__(self, endpoints: Mapping[tuple[str, str], Endpoint], otherwise: ASGIApp) -> None:
        self._endpoints = endpoints
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._otherwise(scope, receive, send)
            return
        try:
            response = await endpoint(Request(scope, receive, send))
        except HttpProblem as problem:
            response = problem.response()
        await response(scope, receive, send)
