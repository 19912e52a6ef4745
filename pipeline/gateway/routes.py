"""Which address and method goes to which handler, and who may come in there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.gateway.caller import Scope
from pipeline.gateway.door import Endpoint, Handler
from pipeline.gateway.published import Published
from pipeline.gateway.read import Reads
from pipeline.gateway.start import Starts

VERIFICATIONS: Final = "/v1/verifications"
VERIFICATION: Final = "/v1/verifications/{id}"
Guard = Callable[[Scope, Handler], Endpoint]


class Operation(NamedTuple):
    """One entry of the contract."""

    method: str
    path: str
    endpoint: Endpoint


def operations(
    *,
    guard: Guard,
    starts: Starts,
    reads: Reads,
    check: Handler,
    resend: Handler,
    failover: Handler,
    cancel: Handler,
    published: Published,
    docs: bool,
) -> list[Operation]:
    """All of the contract but webhooks and health; ``guard`` is the door's, ``docs`` serves the contract itself."""
    found = [
        Operation("POST", VERIFICATIONS, guard("start", starts.start)),
        Operation("GET", VERIFICATIONS, guard("read", reads.list)),
        Operation("GET", VERIFICATION, guard("read", reads.get)),
        *questions(guard=guard, check=check, resend=resend, failover=failover, cancel=cancel),
        Operation("GET", "/v1/schemas/{fingerprint}", published.schema),
        Operation("GET", "/v1/keys/seal", published.key),
    ]
    if docs:
        found += [
            Operation("GET", "/openapi.json", published.openapi),
            Operation("GET", "/docs", published.docs),
        ]
    return found


def questions(*, guard: Guard, check: Handler, resend: Handler, failover: Handler, cancel: Handler) -> list[Operation]:
    """What is asked of a running verification."""
    return [
        Operation("POST", f"{VERIFICATION}/check", guard("check", check)),
        Operation("POST", f"{VERIFICATION}/resend", guard("manage", resend)),
        Operation("POST", f"{VERIFICATION}/failover", guard("manage", failover)),
        Operation("POST", f"{VERIFICATION}/cancel", guard("manage", cancel)),
    ]


def routes(found: Sequence[Operation]) -> list[Route]:
    """One route for each address, so that a 405 names all methods that it takes."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for operation in found:
        by_path.setdefault(operation.path, {})[operation.method] = operation.endpoint
    return [Route(path, _chosen(endpoints), methods=list(endpoints)) for path, endpoints in by_path.items()]


def _chosen(endpoints: dict[str, Endpoint]) -> Endpoint:
    if len(endpoints) == 1:
        return next(iter(endpoints.values()))

    async def endpoint(request: Request) -> Response:
        # A HEAD is routed wherever GET is.
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return endpoint
