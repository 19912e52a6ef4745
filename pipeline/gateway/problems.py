"""Problem documents (RFC 9457): every error of the gateway has the same shape and a reason from the closed list."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.responses import Response

from pipeline.model.reasons import ProblemReason

MEDIA_TYPE: Final = "application/problem+json"

SENTENCES: Final[Mapping[ProblemReason, str]] = {
    ProblemReason.BAD_SIGNATURE: "The signature is missing, wrong or too old.",
    ProblemReason.INTERNAL_ERROR: "The gateway failed; the request id finds the cause in its logs.",
    ProblemReason.LOG_UNAVAILABLE: "Kafka did not take the record in time: send it again.",
    ProblemReason.MALFORMED: "The body is not what this provider documents.",
    ProblemReason.METHOD_NOT_ALLOWED: "This address does not take this method.",
    ProblemReason.NOT_FOUND: "There is nothing at this address.",
    ProblemReason.NOT_READY: "The gateway is starting or stopping.",
    ProblemReason.TOO_LARGE: "The body is too large.",
    ProblemReason.UNKNOWN_PROVIDER: "No provider of this name with webhooks is configured.",
    ProblemReason.WEBHOOK_DISABLED: "No webhook secret is configured, and unsigned reports are never taken.",
}
"""What a person reads as ``detail``."""


def problem(
    status: HTTPStatus, reason: ProblemReason, *, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error answer; ``detail`` holds neither a recipient nor a secret."""
    body = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "reason": reason.value,
        "detail": detail or SENTENCES[reason],
    }
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type=MEDIA_TYPE)
