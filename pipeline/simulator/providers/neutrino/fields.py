"""Neutrino's parameters: form or JSON, kebab or snake names, from query and body."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
import phonenumbers
from starlette.requests import Request

LANGUAGES: Final = frozenset(["de", "en", "es", "fr", "it", "pt", "ru"])
CASES: Final = frozenset({"kebab", "camel", "snake"})
_INT32: Final = 2**31 - 1
_INTEGER: Final = re.compile(r"\d{1,18}", re.ASCII)
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)


class Wrong(Exception):
    """An ``api-error`` of the table."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def parameters(request: Request, raw: bytes) -> dict[str, str]:
    """All parameters by their kebab-case names; raises Wrong for a body that cannot be read."""
    values = {_kebab(name): value for name, value in request.query_params.items()}
    if not raw:
        return values
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/json":
        values |= {_kebab(name): _text(value) for name, value in _object(raw).items()}
    elif content_type == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError as error:
            raise Wrong("1") from error
        values |= {_kebab(name): value for name, value in pairs}
    else:
        raise Wrong("1")
    return values


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Wrong("9") from error
    if not isinstance(body, dict):
        raise Wrong("9")
    return body


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise Wrong("1")


def _integer(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: _INTEGER.fullmatch(text) is not None and low <= int(text) <= high


def _any(text: str) -> bool:
    return bool(text)


_TELEPHONY: Final[Mapping[str, Callable[[str], bool]]] = {
    "number": _any,
    "code-length": _integer(4, 12),
    "security-code": _integer(0, _INT32),
    "country-code": lambda text: not text or _COUNTRY.fullmatch(text.upper()) is not None,
    "language-code": LANGUAGES.__contains__,
    "limit": _integer(1, 1_000_000),
    "limit-ttl": _integer(1, 365),
}
_LOOKUP: Final[Mapping[str, Callable[[str], bool]]] = {
    "number": _any,
    "country-code": _TELEPHONY["country-code"],
}
_FIELDS: Final[Mapping[str, Mapping[str, Callable[[str], bool]]]] = {
    "sms-verify": {**_TELEPHONY, "brand-name": _any},
    "phone-verify": {**_TELEPHONY, "playback-delay": _integer(0, 60_000)},
    "verify-security-code": {"security-code": _any, "limit-by": _any},
    "phone-validate": {**_LOOKUP, "ip": _any},
    "hlr-lookup": _LOOKUP,
}
_REQUIRED: Final = {"verify-security-code": "security-code"}
_ALWAYS: Final[Mapping[str, Callable[[str], bool]]] = {
    "user-id": _any,
    "api-key": _any,
    "output-case": CASES.__contains__,
    "output-format": lambda text: text.upper() == "JSON",
}


def check(operation: str, values: Mapping[str, str]) -> None:
    """Refuse unknown, missing and impossible parameters; raises Wrong."""
    known = _FIELDS[operation]
    if not values.get(_REQUIRED.get(operation, "number")):
        raise Wrong("1")
    for name, value in values.items():
        rule = known.get(name) or _ALWAYS.get(name)
        if rule is None or not rule(value):
            raise Wrong("1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A phone number as Neutrino reads it."""

    valid: bool
    e164: str
    """``+`` and digits, also when it is not valid."""
    country: str
    parsed: phonenumbers.PhoneNumber | None


def number(text: str, country: str) -> Number:
    """Read a number: national of ``country`` (ISO-2), international without one, with or without ``+``."""
    digits = re.sub(r"[^\d+]", "", text)
    as_typed = digits if country or digits.startswith("+") else f"+{digits}"
    try:
        parsed = phonenumbers.parse(as_typed, country.upper() or None)
    except phonenumbers.NumberParseException:
        return Number(valid=False, e164=as_typed, country=country.upper(), parsed=None)
    return Number(
        valid=phonenumbers.is_valid_number(parsed),
        e164=phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164),
        country=phonenumbers.region_code_for_number(parsed) or country.upper(),
        parsed=parsed,
    )
