"""The bodies that the API takes, as ``schemas/openapi.yaml`` has them, and what they become."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from starlette.requests import ClientDisconnect, Request

from pipeline.gateway.forms import Form, Read
from pipeline.gateway.problems import FieldError, HttpProblem
from pipeline.http_body import read_body
from pipeline.model.reasons import ProblemReason
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
_JSON: Final = re.compile(r'application/json[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE | re.ASCII)

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class StepBody(Step, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step, and nothing beside it."""


class CheckBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code as typed."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = ""


class StepIndexBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to resend or fail over to."""

    step_index: Annotated[int, msgspec.Meta(ge=0, le=2_147_483_647)] | None = None


class CancelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


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
_CHECK: Final = Form(CheckBody, required=("code",))
_STEP: Final = Form(StepIndexBody)
_CANCEL: Final = Form(CancelBody)


class Started(NamedTuple):
    """A body of a start, before it has a tenant and an id."""

    read: Read[Any]

    @property
    def verification_id(self) -> str | None:
        """The caller's own."""
        found: str | None = self.read.value.verification_id
        return found

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """Members of the wrong kind; what the rest says is still worth telling."""
        return self.read.errors

    def request(self, *, verification_id: str, tenant: str, requested_at: int) -> VerificationRequest:
        """The record; ``requested_at`` in epoch milliseconds."""
        body = self.read.value
        before: datetime | None = body.send_before_at
        return VerificationRequest(
            **dict(zip(_SAME, _same(body), strict=True)),
            verification_id=verification_id,
            tenant=tenant,
            requested_at=requested_at,
            # Cut to the millisecond, so not later than was said.
            send_before_at=None if before is None else (before - _EPOCH) // _MS,
        )


async def read_json(request: Request, *, max_bytes: int, optional: bool = False) -> bytes:
    """The raw body of a request with JSON; raises HttpProblem 413, 415, or 400 when it was cut off.

    Where it is ``optional``, an empty body needs no content type.
    """
    given = request.headers.get("content-type")
    if not (optional if given is None else _JSON.fullmatch(given)):
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemReason.UNSUPPORTED_MEDIA_TYPE)
    try:
        body = await read_body(request, max_bytes)
    except ClientDisconnect:
        raise HttpProblem(HTTPStatus.BAD_REQUEST, ProblemReason.MALFORMED_JSON) from None
    if body is None:
        # The rest of the body stays unread, so the connection cannot be used again.
        raise HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ProblemReason.TOO_LARGE, headers={"Connection": "close"})
    if body and given is None:
        raise HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ProblemReason.UNSUPPORTED_MEDIA_TYPE)
    return body


def start_body(body: bytes) -> Started:
    """Raises HttpProblem 400 or 422 for what is no JSON object."""
    return Started(_START.read(body))


def checked_code(body: bytes) -> str:
    """The code of a check, as typed; raises HttpProblem 400 or 422."""
    return _CHECK.whole(body).code


def step_index(body: bytes) -> int | None:
    """The step of a resend or failover; raises HttpProblem 400 or 422."""
    return _STEP.whole(body).step_index if body.strip() else None


def nothing(body: bytes) -> None:
    """The body of a cancel; raises HttpProblem 400 or 422 when it says anything."""
    if body.strip():
        _CANCEL.whole(body)
