"""JSON bodies of small requests, read into a type: size, media type, form, fields."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, Never, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from pipeline.gateway.problems import FieldError, HttpProblem
from pipeline.http_body import read_body
from pipeline.model.reasons import ProblemReason, Reason

T = TypeVar("T", bound=msgspec.Struct)

_JSON: Final = re.compile(r'\s*application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE | re.ASCII)
_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_NAMED: Final = re.compile(r"Object (contains unknown|missing required) field `(.*)`", re.DOTALL)


async def read_raw(request: Request, limit: int, *, optional: bool) -> bytes:
    """The bytes of a JSON body; none at all are an empty object where it is ``optional``.

    Raises HttpProblem 400 (cut off), 413, 415.
    """
    try:
        raw = await read_body(request, limit)
    except ClientDisconnect:
        raise HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED_JSON) from None
    if raw is None:
        # The rest of the body stays unread, so the connection cannot be used again.
        raise HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemReason.TOO_LARGE, headers={"Connection": "close"})
    if optional and not raw:
        return b"{}"
    if not _JSON.fullmatch(request.headers.get("content-type", "")):
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemReason.UNSUPPORTED_MEDIA_TYPE)
    return raw


def read_fields(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The fields of a JSON object; raises HttpProblem 400 (no JSON object), 422 (a field)."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        _refuse(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED_JSON) from None


def refused(field: str, detail: str, reason: Reason = Reason.INVALID_FIELD) -> HttpProblem:
    """422 for one field; ``detail`` does not repeat its value."""
    error = FieldError(field, reason, detail)
    return HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, reason, detail=detail, errors=[error])


def _refuse(told: str) -> Never:
    """What the decoder says names fields and types, never values."""
    place = _PLACE.search(told)
    field, problem = ("", told) if place is None else (place[1], told[: place.start()])
    named = _NAMED.fullmatch(problem)
    if named is None and not field:
        raise HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED_JSON)
    if named is None:
        raise refused(field, f"{field}: {problem[:1].lower()}{problem[1:]}")
    if named[1] == "missing required":
        raise refused(named[2], f"{named[2]}: is missing", Reason.MISSING_FIELD)
    # A name of any length may hold anything; the caller knows what it sent.
    raise refused(named[2][:40], f"{named[2][:40]}: there is no such field here")
