"""The bodies that the API takes, as ``schemas/openapi.yaml`` has them, and what they become."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from http import HTTPStatus
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from pipeline.gateway.forms import Form, invalid_fields
from pipeline.gateway.problems import FieldError, HttpProblem
from pipeline.http_body import ACCEPTED, encodings, read_body
from pipeline.model.reasons import ProblemReason, Reason
from pipeline.records.public import Step, VerificationRequest

REFUSED: Final = {
    "tenant": "comes from the API key; leave it out",
    "job_id": "is for bulk jobs; leave it out",
    "row": "is for bulk jobs; leave it out",
    "code_sealed": "is for producers on Kafka; give code here, it is sealed before it is written",
    "requested_at": "is when this request arrives; leave it out",
}
"""Fields of a VerificationRequest that no body may hold, and why."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
# RFC 9110 media type; the one parameter that JSON is sent with says what it always is.
_JSON: Final = re.compile(r'\s*application/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?', re.IGNORECASE | re.ASCII)

T = TypeVar("T", bound=msgspec.Struct)
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class StepBody(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step, and nothing beside it."""


def _start_fields() -> list[tuple[str, Any, Any]]:
    """Those of the record, so that none can be forgotten here: less what is refused, times as people write them."""
    own: dict[str, tuple[Any, Any]] = {
        "verification_id": (str | None, None),
        "steps": (list[StepBody], msgspec.field(default_factory=list)),
        "channel_defaults": (list[StepBody], msgspec.field(default_factory=list)),
        "send_before_at": (Time | None, None),
    }
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(VerificationRequest):
        if field.name in REFUSED:
            continue
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
        fields.append((field.name, *own.get(field.name, (field.type, default))))
    return fields


StartBody: Final[type[msgspec.Struct]] = msgspec.defstruct(
    "StartBody", _start_fields(), kw_only=True, frozen=True, forbid_unknown_fields=True
)
"""A VerificationRequest without the fields in :data:`REFUSED`, ``verification_id`` optional."""

_SAME: Final = tuple(name for name in StartBody.__struct_fields__ if name not in ("verification_id", "send_before_at"))
_same: Final[Callable[[Any], tuple[Any, ...]]] = attrgetter(*_SAME)

_START: Final = Form(StartBody, refused=REFUSED)


class Started(NamedTuple):
    """A body of a start, before it has a tenant and an id."""

    body: Any
    errors: list[FieldError]
    """Members of the wrong kind, which ``body`` is without; what the rest says is still worth telling."""

    @property
    def verification_id(self) -> str | None:
        """The caller's own."""
        found: str | None = self.body.verification_id
        return found

    @property
    def wrong(self) -> frozenset[str]:
        """The members of the object that something is wrong with."""
        return frozenset(root_of(error.field) for error in self.errors)

    def request(self, *, verification_id: str, tenant: str, requested_at: int) -> VerificationRequest:
        """The record; ``requested_at`` in epoch milliseconds."""
        before: datetime | None = self.body.send_before_at
        return VerificationRequest(
            **dict(zip(_SAME, _same(self.body), strict=True)),
            verification_id=verification_id,
            tenant=tenant,
            requested_at=requested_at,
            # Cut to the millisecond, so not later than was said.
            send_before_at=None if before is None else (before - _EPOCH) // _MS,
        )


def root_of(field: str) -> str:
    """The member of the whole object that a path such as ``steps[0].wait_s`` is in."""
    return field.partition(".")[0].partition("[")[0]


async def read_raw(request: Request, limit: int, *, optional: bool = False) -> bytes:
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
    if encodings(request):
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemReason.UNSUPPORTED_ENCODING, headers=ACCEPTED)
    if not _JSON.fullmatch(request.headers.get("content-type", "")):
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemReason.UNSUPPORTED_MEDIA_TYPE)
    return raw


def start_body(raw: bytes) -> Started:
    """Raises HttpProblem 400 for what is no JSON object, 422 for one with a number nobody can read."""
    body, errors = _START.read_part(raw)
    if body is None:
        raise invalid_fields(errors)
    return Started(body, errors)


@cache
def _form(struct: type[T]) -> Form[T]:
    return Form(struct)


def read_fields(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """A JSON object as what ``decoder`` makes of it; raises HttpProblem 400, or 422 with every field that is wrong."""
    form: Form[T] = _form(decoder.type)
    return form.read(raw)


def refused(field: str, detail: str, reason: Reason = Reason.INVALID_FIELD) -> HttpProblem:
    """422 for one field; ``detail`` does not repeat its value."""
    return invalid_fields([FieldError(field, reason, detail)])
