"""The fields of Bird's requests and their limits; what Bird does not know is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import phonenumbers

from pipeline.simulator.addresses import E164, EMAIL
from pipeline.simulator.times import rfc3339_ms

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_COUNT: Final = re.compile(r"\d{1,3}", re.ASCII)
_CREATE: Final = frozenset({"identifier", "steps", "locale", "maxAttempts", "timeout", "codeLength"})
_IDENTIFIERS: Final = {"phonenumber": E164, "emailaddress": EMAIL}
_STEP: Final = frozenset({"channelId", "navigatorId", "identifier", "template"})
_TEMPLATE: Final = frozenset({"name", "projectId", "version", "locale", "attachments"})
_LIST: Final = frozenset({"limit", "pageToken", "reverse", "startAt", "endAt"})
_MAX_LIST: Final = 100

_LOCALES: Final[Mapping[str, str]] = {
    "ZA": "af-ZA", "SA": "ar-SA", "DE": "de-DE", "AT": "de-AT", "GB": "en-GB", "ES": "es-ES", "FR": "fr-FR",
    "IT": "it-IT", "NL": "nl-NL", "PL": "pl-PL", "BR": "pt-BR", "PT": "pt-PT", "RU": "ru-RU", "TR": "tr-TR",
}  # fmt: skip
_DEFAULT_LOCALE: Final = "en-US"


class Wrong(Exception):
    """A request is wrong: the status to answer and a sentence."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def json_object(content_type: str, raw: bytes) -> Mapping[str, Any]:
    """The JSON object of a body; raises Wrong."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Wrong("400", "The content type must be application/json.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Wrong("400", "The body must be a JSON object.")
    return body


def create(body: Mapping[str, Any]) -> dict[str, Any]:
    """The checked fields of a create with their defaults; raises Wrong."""
    _known(body, _CREATE, "the body")
    identifier = _identifier(body.get("identifier"), "identifier")
    steps = body.get("steps")
    if not isinstance(steps, list) or not steps:
        raise Wrong("422", "steps must be a list of at least one step.")
    locale = body.get("locale")
    if locale is not None and not (isinstance(locale, str) and _LOCALE.fullmatch(locale)):
        raise Wrong("422", "locale must be a BCP-47 tag.")
    return {
        "identifier": identifier,
        "steps": [_step(step, f"steps[{place}]") for place, step in enumerate(steps)],
        "locale": locale or _locale_of(identifier.get("phonenumber")),
        "maxAttempts": _number(body, "maxAttempts", 1, 10, default=3),
        "timeout": _number(body, "timeout", 30, 3_600, default=600),
        "codeLength": _number(body, "codeLength", 6, 12, default=6),
    }


def check(body: Mapping[str, Any]) -> str:
    """The code of a check; raises Wrong."""
    _known(body, frozenset({"code"}), "the body")
    if not isinstance(body.get("code"), str) or not body["code"]:
        raise Wrong("422", "code must be text.")
    code: str = body["code"]
    return code


def step_index(raw: bytes, content_type: str) -> int | None:
    """The step of a resend or failover; a missing body, an empty one and null name none. Raises Wrong."""
    body = json_object(content_type, raw) if raw else {}
    _known(body, frozenset({"stepIndex"}), "the body")
    index = body.get("stepIndex")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
        raise Wrong("422", "stepIndex must be the number of a step.")
    return index


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A page of verifications."""

    limit: int
    page_token: str | None
    reverse: bool
    start_ms: int
    end_ms: int | None


def list_query(query: Mapping[str, str]) -> ListQuery:
    """The checked parameters of a list; raises Wrong."""
    _known(query, _LIST, "the query")
    limit = query.get("limit", "25")
    if not _COUNT.fullmatch(limit) or not 1 <= int(limit) <= _MAX_LIST:
        raise Wrong("422", f"limit must be a number from 1 to {_MAX_LIST}.")
    if query.get("reverse", "false") not in ("true", "false"):
        raise Wrong("422", "reverse must be true or false.")
    return ListQuery(
        limit=int(limit),
        page_token=query.get("pageToken"),
        reverse=query.get("reverse") == "true",
        start_ms=_time(query, "startAt") or 0,
        end_ms=_time(query, "endAt"),
    )


def _known(values: Mapping[str, Any], names: frozenset[str], where: str) -> None:
    for name in values:
        if name not in names:
            raise Wrong("422", f"Additional property {name!r} is not allowed in {where}.")


def _identifier(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict) or not value:
        raise Wrong("422", f"{where} must have one of phonenumber and emailaddress.")
    _known(value, frozenset(_IDENTIFIERS), where)
    for name, text in value.items():
        if not isinstance(text, str) or not _IDENTIFIERS[name].fullmatch(text):
            raise Wrong("422", f"{where}.{name} is no such address.")
    return value


def _step(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong("422", f"{where} must be an object.")
    _known(value, _STEP, where)
    if ("channelId" in value) == ("navigatorId" in value):
        raise Wrong("422", f"{where} must have one of channelId and navigatorId.")
    _uuid(value, "channelId" if "channelId" in value else "navigatorId", where)
    if "identifier" in value:
        _identifier(value["identifier"], f"{where}.identifier")
    if "template" in value:
        _template(value["template"], f"{where}.template")
    return value


def _template(value: object, where: str) -> None:
    if not isinstance(value, dict):
        raise Wrong("422", f"{where} must be an object.")
    _known(value, _TEMPLATE, where)
    _uuid(value, "projectId", where)
    _uuid(value, "version", where)
    locale = value.get("locale", "en")
    if not isinstance(locale, str) or not _LOCALE.fullmatch(locale):
        raise Wrong("422", f"{where}.locale must be a BCP-47 tag.")


def _uuid(value: Mapping[str, Any], name: str, where: str) -> None:
    if not isinstance(value.get(name), str) or not _UUID.fullmatch(value[name]):
        raise Wrong("422", f"{where}.{name} must be a UUID.")


def _number(body: Mapping[str, Any], name: str, low: int, high: int, *, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Wrong("422", f"{name} must be a whole number from {low} to {high}.")
    return value


def _time(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    at_ms = rfc3339_ms(text)
    if at_ms is None:
        raise Wrong("422", f"{name} must be an RFC 3339 time with its offset.")
    return at_ms


def _locale_of(phone: str | None) -> str:
    """The language of a number's country, as far as Bird writes it."""
    if phone is None:
        return _DEFAULT_LOCALE
    try:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(phone))
    except phonenumbers.NumberParseException:
        return _DEFAULT_LOCALE
    return _LOCALES.get(region or "", _DEFAULT_LOCALE)
