"""Bird's errors: an HTTP status and a text for people are all that is documented; the ``code`` is made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from pipeline.simulator.answers import Answer

ERRORS: Final[Mapping[str, tuple[int, str, str]]] = {
    "400": (400, "BadRequest", "The request did not pass validation."),
    "401": (401, "Unauthorized", "The access key is missing, wrong or has no role for this."),
    "402": (402, "PaymentRequired", "There is not enough balance."),
    "403": (403, "Forbidden", "The access key may not do this."),
    "balance": (403, "Forbidden", "There is not enough balance for this."),
    "404": (404, "NotFound", "There is no such resource."),
    "409": (409, "Conflict", "The resource is in another state."),
    "413": (413, "PayloadTooLarge", "The request is too large."),
    "422": (422, "UnprocessableEntity", "The request did not pass validation."),
    "429": (429, "TooManyRequests", "There are too many requests."),
    "500": (500, "InternalServerError", "Something went wrong."),
    "503": (503, "ServiceUnavailable", "The service is not available."),
}
"""By the name a behaviour asks for one: status, code, text."""


def error_answer(name: str, message: str | None = None, *, retry_after_s: int | None = None) -> Answer:
    """The answer of one error; ``message`` says more about it."""
    status, code, text = ERRORS[name]
    headers = () if retry_after_s is None else ((b"retry-after", str(retry_after_s).encode()),)
    body = orjson.dumps({"code": code, "message": message or text})
    return Answer(status=status, body=body, headers=headers, said=f"{status} {code}")
