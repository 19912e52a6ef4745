"""Who may come in, and how often: what stands before every handler of the API."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response

from pipeline.clock import Clock, Seldom
from pipeline.errors import ReadModelUnavailable
from pipeline.gateway.caller import Caller, Scope
from pipeline.gateway.limits import Limits, Taken
from pipeline.gateway.problems import HttpProblem, problem
from pipeline.model.reasons import ProblemReason
from pipeline.settings import LONGEST_API_KEY

Handler = Callable[[Request, Caller], Awaitable[Response]]
"""May raise HttpProblem, and ReadModelUnavailable, which becomes a 503."""
Endpoint = Callable[[Request], Awaitable[Response]]
"""What a route of Starlette calls."""

ANSWER_HEADERS: Final = "pipeline.answer_headers"
"""In the scope of a request: what its answer tells of the limit, for who answers when a handler fails."""
RETRY_AFTER_S: Final = "5"
"""What who asked is told when a part that we need is away."""
# The scheme in any case, at least one space, the key as visible ASCII. The bound comes before any hashing.
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] {1,8}([!-~]{1,%d})" % LONGEST_API_KEY)

_log = structlog.get_logger("gateway")


class Holder(NamedTuple):
    """Whoever has an API key."""

    caller: Caller
    digest: bytes
    """SHA-256 of the key."""
    rate_per_s: float


class Keys(Protocol):
    """The keys that open the door (``pipeline.gateway.keys``)."""

    @property
    def complete(self) -> bool:
        """Whether a key that is not found is certainly none of ours; not while the database cannot be asked."""

    def find(self, key: bytes) -> Holder | None:
        """Whose key this is; constant time in the key."""


class Door:
    """Authenticates, limits and tells the limits."""

    def __init__(self, *, keys: Keys, limits: Limits, clock: Clock) -> None:
        self._keys = keys
        self._limits = limits
        self._clock = clock
        self._seldom = Seldom()

    def guard(self, scope: Scope, handler: Handler) -> Endpoint:
        """An endpoint that calls ``handler`` for keys with ``scope``.

        Each answer to a key that is known tells its limit, also a refusal. One to an unknown key cannot.
        """

        async def endpoint(request: Request) -> Response:
            try:
                holder = self._holder(request.scope["headers"])
            except HttpProblem as refusal:
                return refusal.response()
            # Before the scope is looked at: what a key may not do costs it as much as what it may.
            taken = self._limits.take(holder.digest, holder.rate_per_s)
            told = request.scope[ANSWER_HEADERS] = {
                "RateLimit-Limit": str(taken.limit),
                "RateLimit-Remaining": str(taken.remaining),
                "RateLimit-Reset": str(taken.reset_s),
            }
            try:
                _admit(holder, scope, taken)
                response = await handler(request, holder.caller)
            except HttpProblem as refusal:
                response = refusal.response()
            except ReadModelUnavailable as error:
                self._tell("readmodel_unavailable", cause=str(error))
                response = unavailable(ProblemReason.READMODEL_UNAVAILABLE)
            # Added as they are: no handler sets any of these, and looking for each among the others costs more.
            response.raw_headers += [(name.lower().encode(), value.encode()) for name, value in told.items()]
            return response

        return endpoint

    def _holder(self, headers: Iterable[tuple[bytes, bytes]]) -> Holder:
        """Whose request this is; raises HttpProblem 401, or 503 when nobody can say."""
        given = [value for name, value in headers if name == b"authorization"]
        # Of several a proxy before us may have looked at another one than we would.
        found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            raise self._refused("missing" if not given else "malformed")
        holder = self._keys.find(found[1])
        if holder is not None:
            return holder
        if not self._keys.complete:
            # A 401 would tell the holder of a good key to give up.
            self._tell("api_key_not_judged")
            raise HttpProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                ProblemReason.READMODEL_UNAVAILABLE,
                headers={"Retry-After": RETRY_AFTER_S},
            )
        raise self._refused("unknown")

    def _refused(self, cause: str) -> HttpProblem:
        self._tell("api_key_refused", cause=cause)
        return HttpProblem(
            HTTPStatus.UNAUTHORIZED, ProblemReason.UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"}
        )

    def _tell(self, action: str, **fields: str) -> None:
        left_out = self._seldom.passes(self._clock.monotonic_s(), action, fields.get("cause"))
        if left_out is not None:
            _log.warning(action, **fields, left_out=left_out)


def _admit(holder: Holder, scope: Scope, taken: Taken) -> None:
    """Raises HttpProblem 429 or 403."""
    if not taken.granted:
        raise HttpProblem(
            HTTPStatus.TOO_MANY_REQUESTS,
            ProblemReason.RATE_LIMITED,
            headers={"Retry-After": str(taken.retry_after_s)},
        )
    if scope not in holder.caller.scopes:
        raise HttpProblem(
            HTTPStatus.FORBIDDEN,
            ProblemReason.MISSING_SCOPE,
            detail=f"The API key may not do this: it lacks the scope `{scope}`.",
            members={"scope": scope},
        )


def unavailable(reason: ProblemReason) -> Response:
    """503: the same request may be answered in some seconds."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, headers={"Retry-After": RETRY_AFTER_S})
