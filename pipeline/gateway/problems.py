"""Problem documents (RFC 9457): every error of the gateway has the same shape and a reason from the closed list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson
from starlette.responses import Response

from pipeline.errors import PipelineError
from pipeline.model.reasons import REPLY_SENTENCE, SENTENCE, ProblemReason, Reason, ReplyReason

MEDIA_TYPE: Final = "application/problem+json"

SENTENCES: Final[Mapping[ProblemReason, str]] = {
    ProblemReason.BAD_CURSOR: "The cursor is none that was given out for these filters; begin without one.",
    ProblemReason.BAD_SIGNATURE: "The signature is missing, wrong or too old.",
    ProblemReason.ID_CONFLICT: "The id belongs to another request; take a new one.",
    ProblemReason.IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key was used for another request; take a new one.",
    ProblemReason.INTERNAL_ERROR: "The gateway failed; the request id finds the cause in its logs.",
    ProblemReason.LOG_UNAVAILABLE: "Kafka did not take the record in time: send it again.",
    ProblemReason.MALFORMED: "The body is not what this provider documents.",
    ProblemReason.MALFORMED_JSON: "The body is no JSON object in UTF-8.",
    ProblemReason.METHOD_NOT_ALLOWED: "This address does not take this method.",
    ProblemReason.MISSING_SCOPE: "The API key may not do this.",
    ProblemReason.NOT_FOUND: "There is nothing at this address.",
    ProblemReason.NOT_READY: "The gateway starts, stops or cannot reach Kafka; `missing` says which.",
    ProblemReason.RATE_LIMITED: "The API key was used too often; `Retry-After` says when to come again.",
    ProblemReason.READMODEL_UNAVAILABLE: "The database of verifications does not answer: send it again.",
    ProblemReason.REPLY_TIMEOUT: "No answer came in time; ask again with the same Idempotency-Key.",
    ProblemReason.REQUEST_TIMEOUT: "The request did not arrive in full in time.",
    ProblemReason.TOO_LARGE: "The body, or the head, is too large.",
    ProblemReason.UNAUTHENTICATED: "Send a valid API key: `Authorization: Bearer KEY`.",
    ProblemReason.UNKNOWN_PROVIDER: "No provider of this name with webhooks is configured.",
    ProblemReason.UNSUPPORTED_ENCODING: "The body must come as it is, without a `Content-Encoding`.",
    ProblemReason.UNSUPPORTED_MEDIA_TYPE: "The body must be `application/json`.",
    ProblemReason.WEBHOOK_DISABLED: "No webhook secret is configured, and unsigned reports are never taken.",
}
"""What a person reads as ``detail``."""


class FieldError(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    """As the caller wrote it, such as ``steps[0].wait_s``."""
    reason: str
    detail: str


class HttpProblem(PipelineError):
    """Raised by a handler, answered as a problem document.

    ``detail`` holds neither a recipient nor a secret. ``members`` are further members of the document.
    """

    def __init__(
        self,
        status: HTTPStatus,
        reason: ProblemReason | Reason | ReplyReason,
        *,
        detail: str | None = None,
        errors: Sequence[FieldError] = (),
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status.value} {reason}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.errors = errors
        self.members = members or {}
        self.headers = headers

    def response(self) -> Response:
        """The answer."""
        members = dict(self.members)
        if self.errors:
            members["errors"] = [error._asdict() for error in self.errors]
        return problem(self.status, self.reason, detail=self.detail, members=members, headers=self.headers)


def problem(
    status: HTTPStatus,
    reason: ProblemReason | Reason | ReplyReason,
    *,
    detail: str | None = None,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error answer; ``detail`` holds neither a recipient nor a secret."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "reason": reason.value,
        "detail": detail or _sentence(reason),
        **(members or {}),
    }
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def _sentence(reason: ProblemReason | Reason | ReplyReason) -> str:
    # By type: some words are reasons of outcomes and of replies as well, and as keys of one table they would be equal.
    if isinstance(reason, ProblemReason):
        return SENTENCES[reason]
    return SENTENCE[reason] if isinstance(reason, Reason) else REPLY_SENTENCE[reason]
