"""The platform's HTTP statuses, in the words of the framework it is made with; its own texts are not published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from pipeline.simulator.answers import Answer

ERRORS: Final[Mapping[str, tuple[int, str, str | None]]] = {
    "400": (400, "The request is malformed.", None),
    "401": (401, "Unauthenticated.", None),
    "403": (403, "This action is unauthorized.", None),
    "404": (404, "The resource cannot be found.", None),
    "405": (405, "The method is not supported for this route.", None),
    "409": (409, "The resource is being updated.", None),
    "413": (413, "The request is too large.", None),
    "422": (422, "The payload.template field is invalid.", "payload.template"),
    "429": (429, "Too Many Attempts.", None),
    "500": (500, "Server Error", None),
    "503": (503, "Service Unavailable", None),
    "recipient": (422, "The channels.0.recipient.to field must be a valid number.", "channels.0.recipient.to"),
    "credit": (400, "Insufficient balance.", None),
}
"""By name: HTTP status, message, and the field it is about. The status of a missing balance is not published."""


def error_answer(code: str) -> Answer:
    """The answer for one line of the table."""
    status, message, field = ERRORS[code]
    return failed(status, message, field, said=f"{status}" if code == str(status) else f"{status} {code}")


def invalid(field: str, message: str) -> Answer:
    """The answer to a field that is wrong."""
    return failed(422, message, field, said=f"422 {field}")


def failed(status: int, message: str, field: str | None, *, said: str) -> Answer:
    """Any error. Those of the framework have a message alone, those of the platform repeat the status."""
    body: dict[str, object] = {"message": message}
    if field is not None:
        body["errors"] = {field: [message]}
    elif status not in (401, 429):
        body = {"status": "error", "code": status, **body}
    return Answer(status=status, body=orjson.dumps(body), said=said)
