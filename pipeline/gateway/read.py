"""``GET /v1/verifications`` and ``GET /v1/verifications/{id}``, from the read model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from pipeline.errors import Refused
from pipeline.gateway.bodies import Time
from pipeline.gateway.caller import Caller
from pipeline.gateway.forms import invalid, invalid_fields
from pipeline.gateway.problems import FieldError, HttpProblem
from pipeline.model.fields import MAX_ECHO, VERIFICATION_ID
from pipeline.model.reasons import ProblemReason, ReplyReason
from pipeline.readmodel.ports import Filter, Verifications
from pipeline.records.types import VerificationState

DEFAULT_LIMIT: Final = 25
MAX_LIMIT: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_STATES: Final = {state.value: state for state in VerificationState if state is not VerificationState.UNKNOWN}


class Reads:
    """Looks verifications up, one or many."""

    def __init__(self, *, verifications: Verifications) -> None:
        self._verifications = verifications

    async def get(self, request: Request, caller: Caller) -> Response:
        """200 or 404; raises ReadModelUnavailable."""
        verification_id = request.path_params["id"]
        found = None
        if VERIFICATION_ID.fullmatch(verification_id):
            found = await self._verifications.get(caller.tenant, verification_id)
        if found is None:
            raise HttpProblem(HTTPStatus.NOT_FOUND, ReplyReason.UNKNOWN_VERIFICATION)
        return Response(found, media_type="application/json")

    async def list(self, request: Request, caller: Caller) -> Response:
        """200, 400 or 422; raises ReadModelUnavailable."""
        wanted = wanted_page(request.query_params, caller.tenant)
        try:
            page = await self._verifications.page(wanted)
        except Refused:
            raise HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.BAD_CURSOR) from None
        body = b'{"items":[' + b",".join(page.items) + b'],"next_cursor":' + orjson.dumps(page.next_cursor) + b"}"
        return Response(body, media_type="application/json")


def wanted_page(query: QueryParams, tenant: str) -> Filter:
    """The page that a query asks for; raises HttpProblem 422 that names every wrong parameter."""
    errors: list[FieldError] = []
    found: dict[str, Any] = {}
    for name in query:
        given = query.getlist(name)
        reader = _PARAMETERS.get(name)
        if reader is None:
            errors.append(invalid(name[:40], f"is no parameter; there are {' '.join(_PARAMETERS)}"))
        elif len(given) > 1:
            errors.append(invalid(name, "is there more than once; give one"))
        elif given[0]:  # without a value it counts as not given
            try:
                found[_FIELDS.get(name, name)] = reader(given[0])
            except ValueError as error:
                errors.append(invalid(name, str(error)))
    if errors:
        raise invalid_fields(errors)
    return Filter(tenant=tenant, **found)


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError(f"must be a whole number of 1-{MAX_LIMIT}")
    return int(text)


def _reverse(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _state(text: str) -> VerificationState:
    if text not in _STATES:
        raise ValueError(f"must be one of {' '.join(_STATES)}")
    return _STATES[text]


def _echoed(text: str) -> str:
    if len(text) > MAX_ECHO or "\x00" in text:
        raise ValueError(f"must be text of 1-{MAX_ECHO} characters")
    return text


def _at(text: str, *, end: bool) -> int:
    """Epoch milliseconds; of a date the beginning of its day in UTC, or with ``end`` that of the next."""
    try:
        if _DATE.fullmatch(text):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return (day - _EPOCH) // _MS + (86_400_000 if end else 0)
        # Rounded up: a moment within a millisecond is after all that was created at its beginning.
        return -((_EPOCH - msgspec.convert(text, Time)) // _MS)
    except ValueError:  # msgspec.ValidationError is one
        hint = "; write + in an address as %2B" if " " in text else ""
        raise ValueError(f"must be a date or a time in RFC 3339 with its offset{hint}") from None


_PARAMETERS: Final[Mapping[str, Callable[[str], object]]] = {
    "limit": _limit,
    "cursor": str,  # the read model knows its own, whatever the length; any other is 400
    "reverse": _reverse,
    "from": lambda text: _at(text, end=False),
    "to": lambda text: _at(text, end=True),
    "state": _state,
    "external_id": _echoed,
    "job_id": _echoed,
}
_FIELDS: Final = {"from": "from_at", "to": "to_at"}
