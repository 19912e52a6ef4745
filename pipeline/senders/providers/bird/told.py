"""What Bird tells of people and failures, read leniently: much of it is documented by example only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.errors import Refused
from pipeline.model.reasons import Reason
from pipeline.model.recipient import canonical
from pipeline.senders.providers.bird.tables import FAILURE_CLASSES, FAILURE_SOURCES, FAILURES

_ADDRESS_FIELDS: Final = ("identifierValue", "phonenumber", "emailaddress")


def section(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within an object; empty where it is missing or something else."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def recipients(value: object) -> frozenset[str]:
    """The canonical recipients in an identifier or a receiver, in any of the shapes Bird shows one in."""
    return frozenset(found for text in _addresses(value) if (found := _canonical(text)) is not None)


def _addresses(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _addresses(each)
    elif isinstance(value, dict):
        for name in (*_ADDRESS_FIELDS, "contact", "contacts"):
            yield from _addresses(value.get(name))


def _canonical(text: str) -> str | None:
    try:
        return canonical(f"+{text}" if text.isascii() and text.isdigit() else text).canonical
    except Refused:
        return None


def failure_code(payload: Mapping[str, Any]) -> int | None:
    """``failure.code`` of a message, a number or its digits; that of its source is the platform's own."""
    code = section(payload, "failure").get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) <= 5:
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 99_999 else None


def failure_reason(payload: Mapping[str, Any]) -> Reason:
    """Why a message failed: by its code, else by what failed, else by the class of the code."""
    code = failure_code(payload) or 0
    source = section(section(payload, "failure"), "source").get("name")
    by_source = FAILURE_SOURCES.get(source) if isinstance(source, str) else None
    return FAILURES.get(code) or by_source or FAILURE_CLASSES.get(code // 1_000, Reason.UNDELIVERED)
