"""``Idempotency-Key``: one request is carried out once, however often and at whichever gateway it is sent.

The key is what the caller may repeat; whether it comes with the same request is told by a hash of method, path and
body. Both are kept as keyed hashes only, as either may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import Final

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from pipeline.clock import Clock, Seldom
from pipeline.errors import ReadModelUnavailable, Refused
from pipeline.gateway.caller import Caller
from pipeline.gateway.problems import MEDIA_TYPE, FieldError, HttpProblem
from pipeline.model.fields import check_echo
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import ProblemReason, Reason
from pipeline.readmodel.ports import Begun, Kept, Known, Ledger

HEADER: Final = "Idempotency-Key"
_RAW_NAME: Final = HEADER.lower().encode()
_FORM: Final = re.compile(r"[ -~]{1,128}", re.ASCII)

_log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """The key of one request."""

    key: str
    """As it was sent; becomes the check or command id."""
    tenant: str
    method: str
    path: str
    ring: KeyRing

    @property
    def verification_id(self) -> str:
        """The id of a verification started with this key and without an id: 32 hex digits, the same each time."""
        return self.ring.fingerprint("verification-id", self.tenant.encode(), self.key.encode())

    def begun(self, body: bytes) -> Begun:
        """The key with its request; ``body`` is as received: a JSON object, or empty where it may be.

        Raises HttpProblem 400 for what is no JSON.
        """
        return Begun(
            self.ring.fingerprint("idempotency-key", self.tenant.encode(), self.key.encode()),
            self.ring.fingerprint("idempotency-body", self.method.encode(), self.path.encode(), canonical(body)),
        )


def read_key(request: Request, caller: Caller, ring: KeyRing) -> IdempotencyKey | None:
    """The key of a request, None when it has none; raises HttpProblem 422 for one that cannot be taken."""
    given = [value for name, value in request.scope["headers"] if name == _RAW_NAME]
    if not given:
        return None
    if len(given) > 1:
        raise _invalid("is there more than once; send one")
    key = given[0].decode("latin-1").strip(" \t")
    if not _FORM.fullmatch(key):
        raise _invalid("must be 1-128 printable ASCII characters, such as a UUID")
    try:
        # It is published as the id of a check or command.
        check_echo(key, HEADER)
    except Refused as error:
        raise _invalid(error.detail.removeprefix(f"{HEADER}: ")) from None
    return IdempotencyKey(key=key, tenant=caller.tenant, method=request.method, path=request.scope["path"], ring=ring)


def canonical(body: bytes) -> bytes:
    """The one form of a JSON text: no spaces, members by name; nothing at all is as an object without members."""
    if not body.strip():
        return b"{}"
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except ValueError:
        raise HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED_JSON) from None


class Once:
    """Carries out checks and commands once for each Idempotency-Key."""

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seldom = Seldom()

    async def run(self, begun: Begun | None, work: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of ``work``, or the one it gave to the same request before.

        ``work`` must be harmless when it runs again with the same ids: it does when its first answer was none to keep,
        when that could not be written down, and when two of the same come at once. Only definite answers are kept: 2xx,
        404, 409. Raises HttpProblem 422 for another request with this key, ReadModelUnavailable, and what ``work``
        raises.
        """
        if begun is None:
            return await work()
        kept = await self._ledger.begin(begun, created_at=self._clock.now_ms())
        if kept.known is Known.KEY_REUSED:
            raise HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, ProblemReason.IDEMPOTENCY_KEY_REUSED)
        if kept.status is not None:
            return self._again(kept.status, kept)
        try:
            response = await work()
        except HttpProblem as refusal:
            response = refusal.response()
        if is_definite(response.status_code):
            await self._keep(begun, response)
        return response

    async def _keep(self, begun: Begun, response: Response) -> None:
        try:
            await self._ledger.answered(begun, status=response.status_code, answer=bytes(response.body))
        except ReadModelUnavailable as error:
            # It has happened, and who asks again asks for the same check or command, which is answered the same.
            if (left_out := self._seldom.passes(self._clock.monotonic_s())) is not None:
                _log.warning("answer_not_kept", cause=str(error), left_out=left_out)

    def _again(self, status: int, kept: Kept) -> Response:
        media_type = MEDIA_TYPE if status >= 400 else "application/json"
        response = Response(kept.answer, status_code=status, media_type=media_type)
        if status == HTTPStatus.CONFLICT and (retry_at := _retry_at(kept.answer)) is not None:
            response.headers["Retry-After"] = str(retry_after_s(retry_at, self._clock.now_ms()))
        return response


def is_definite(status: int) -> bool:
    """Whether an answer stays the answer; a refusal for the moment, or a failure of ours, does not."""
    return 200 <= status < 300 or status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


def retry_after_s(retry_at: int, now_ms: int) -> int:
    """``Retry-After`` for a moment (epoch milliseconds): whole seconds, rounded up, at least 1."""
    return max(1, ceil((retry_at - now_ms) / 1_000))


def _retry_at(answer: bytes) -> int | None:
    """``retry_at`` of a kept answer in epoch milliseconds: the header that was made of it has aged since."""
    told = orjson.loads(answer).get("retry_at")
    return None if told is None else round(datetime.fromisoformat(told).timestamp() * 1_000)


def _invalid(problem: str) -> HttpProblem:
    error = FieldError(HEADER, Reason.INVALID_FIELD, f"{HEADER}: {problem}")
    return HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, Reason.INVALID_FIELD, errors=[error])
