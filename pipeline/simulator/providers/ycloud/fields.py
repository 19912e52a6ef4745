"""The fields of YCloud's requests and their limits, checked in the order the documentation lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.simulator.addresses import E164, EMAIL
from pipeline.simulator.times import rfc3339_ms

CHANNELS: Final[Mapping[str, str]] = {"sms": "sms", "voice": "voice", "email_code": "email", "whatsapp": "whatsapp"}
"""YCloud's channel names and ours."""

LANGUAGES: Final = frozenset(["ar", "de", "en", "es", "fr", "id", "it", "pt_BR", "ru", "tr", "vi", "zh_CN", "zh_HK"])

_CODE: Final = re.compile(r"\d+", re.ASCII)
_START_FIELDS: Final = frozenset({"channel", "to", "code", "senderId", "signature", "language", "externalId"})
_CHECK_FIELDS: Final = frozenset({"verificationId", "to", "code"})
_LIST_FIELDS: Final = frozenset(
    {"page", "limit", "includeTotal", "filter.createTime.gte", "filter.createTime.lte", "filter.id"}
)
_MAX_EXTERNAL_ID: Final = 255


class Wrong(Exception):
    """A field is wrong: the error code, the field and a sentence."""

    def __init__(self, code: str, target: str, message: str) -> None:
        super().__init__(f"{code} {target}")
        self.code = code
        self.target = target
        self.message = message


def _strings(body: Mapping[str, Any], known: frozenset[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in body.items():
        if name not in known:
            raise Wrong("PARAM_INVALID", name, f"The parameter {name!r} is unknown.")
        if value is None:
            continue
        if not isinstance(value, str):
            raise Wrong("PARAM_INVALID", name, f"The parameter {name!r} must be a string.")
        values[name] = value
    return values


def start(body: Mapping[str, Any]) -> dict[str, str]:
    """The checked fields of a start; raises Wrong."""
    values = _strings(body, _START_FIELDS)
    for name in ("channel", "to"):
        if not values.get(name):
            raise Wrong("PARAM_MISSING", name, f"The parameter {name!r} is required.")
    channel, to = values["channel"], values["to"]
    if channel not in CHANNELS:
        raise Wrong("PARAM_INVALID", "channel", "The channel must be sms, voice, email_code or whatsapp.")
    pattern, kind = (EMAIL, "an e-mail address") if channel == "email_code" else (E164, "in E.164 format")
    if not pattern.fullmatch(to):
        raise Wrong("PARAM_INVALID", "to", f"The recipient must be {kind}.")
    code = values.get("code")
    if code is not None:
        # The voice product reads out 4-6 digits; the documentation names no alphabet for the others, so digits.
        longest = 6 if channel == "voice" else 8
        if not 4 <= len(code) <= longest:
            raise Wrong("PARAM_INVALID_LENGTH", "code", f"The code must have 4 to {longest} characters.")
        if not _CODE.fullmatch(code):
            raise Wrong("PARAM_INVALID", "code", "The code must be digits.")
    language = values.setdefault("language", "en")
    if language not in LANGUAGES:
        raise Wrong("PARAM_INVALID", "language", f"The language must be one of {', '.join(sorted(LANGUAGES))}.")
    if values.get("senderId") is not None and channel != "sms":
        raise Wrong("PARAM_NOT_MATCH", "senderId", "Only SMS have a sender id.")
    if values.get("signature") is not None and channel != "sms":
        raise Wrong("PARAM_NOT_MATCH", "signature", "Only SMS have a signature.")
    if channel == "sms" and to.startswith("+86") and not values.get("signature"):
        raise Wrong("PARAM_MISSING", "signature", "SMS to mainland China need a signature.")
    if len(values.get("externalId", "")) > _MAX_EXTERNAL_ID:
        raise Wrong("PARAM_INVALID_LENGTH", "externalId", f"At most {_MAX_EXTERNAL_ID} characters.")
    return values


def check(body: Mapping[str, Any]) -> dict[str, str]:
    """The checked fields of a check; raises Wrong."""
    values = _strings(body, _CHECK_FIELDS)
    if not values.get("verificationId") and not values.get("to"):
        raise Wrong("PARAM_MISSING", "verificationId", "One of 'verificationId' and 'to' is required.")
    if not values.get("code"):
        raise Wrong("PARAM_MISSING", "code", "The parameter 'code' is required.")
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A page of messages."""

    page: int
    limit: int
    include_total: bool
    since_ms: int
    until_ms: int | None
    message_id: str | None


def list_query(query: Mapping[str, str], *, now_ms: int) -> ListQuery:
    """The checked parameters of a list; without ``gte`` it begins a day ago. Raises Wrong."""
    for name in query:
        if name not in _LIST_FIELDS:
            raise Wrong("PARAM_INVALID", name, f"The parameter {name!r} is unknown.")
    include_total = query.get("includeTotal", "false")
    if include_total not in ("true", "false"):
        raise Wrong("PARAM_INVALID", "includeTotal", "The value must be true or false.")
    since = _time(query, "filter.createTime.gte")
    return ListQuery(
        page=_count(query, "page", 1),
        limit=_count(query, "limit", 10),
        include_total=include_total == "true",
        since_ms=now_ms - 86_400_000 if since is None else since,
        until_ms=_time(query, "filter.createTime.lte"),
        message_id=query.get("filter.id"),
    )


def _count(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _CODE.fullmatch(text) or not 1 <= int(text[:6]) <= 100:
        raise Wrong("PARAM_INVALID", name, "The value must be a number from 1 to 100.")
    return int(text)


def _time(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    at_ms = rfc3339_ms(text)
    if at_ms is None:
        raise Wrong("PARAM_INVALID", name, "The value must be an RFC 3339 time with its offset.")
    return at_ms
