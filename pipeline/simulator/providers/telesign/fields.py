"""Telesign's parameters and their limits; form-encoded UTF-8."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

UCIDS: Final = frozenset(
    ["ATCK", "BACF", "BACS", "CHBK", "CLDR", "LEAD", "OTHR", "PWRT", "RESV", "RXPF", "SHIP", "TELF", "THEF", "TRVF"]
) | {"UNKN"}  # fmt: skip
PREFERENCES: Final[Mapping[str, str]] = {
    "call": "voice", "voice verify": "voice", "sms": "sms", "sms verify": "sms", "push": "sms",
}  # fmt: skip
"""What page and SDKs name, in lower case, and the channel meant; there is no push here."""
MAX_TEMPLATE: Final = 160
MAX_TTS: Final = 2_000

Rule = Callable[[str], bool]


class Wrong(Exception):
    """An error of the table; ``further`` goes into the body."""

    def __init__(self, code: str, description: str | None = None, *, http: int | None = None, **further: Any) -> None:
        super().__init__(code)
        self.code = code
        self.description = description
        self.http = http
        self.further = further


def _matches(pattern: str) -> Rule:
    whole = re.compile(pattern, re.ASCII)
    return lambda text: whole.fullmatch(text) is not None


def _one_of(*words: str) -> Rule:
    return frozenset(words).__contains__


def _up_to(longest: int) -> Rule:
    return lambda text: 0 < len(text) <= longest


def _with_code(longest: int) -> Rule:
    return lambda text: "$$CODE$$" in text and len(text) <= longest


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


_YES_OR_NO: Final = _one_of("true", "false")
_COMMON: Final[Mapping[str, Rule]] = {
    "phone_number": _matches(r"[1-9]\d{6,14}"),
    "ucid": UCIDS.__contains__,
    "originating_ip": _address,
    "language": _matches(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*"),
}
_OF_CALLS: Final[Mapping[str, Rule]] = {
    "verify_code": _matches(r"[1-9]\d{2,4}"),
    "tts_message": _with_code(MAX_TTS),
    "caller_id": _matches(r"\d{3,15}"),
}
_FIELDS: Final[Mapping[str, Mapping[str, Rule]]] = {
    "sms": {
        **_COMMON,
        "verify_code": _matches(r"\d{3,7}"),
        "template": _with_code(MAX_TEMPLATE),
        "sender_id": _up_to(20),
        "is_primary": _YES_OR_NO,
        "dlt_template_id": _up_to(40),
        "dlt_entity_id": _up_to(40),
        "transaction_amount": _up_to(40),
        "transaction_payee": _up_to(40),
        "sim_swap_check": _YES_OR_NO,
        "callback_url": _url,
    },
    "call": {
        **_COMMON,
        **_OF_CALLS,
        "prompt_message": _up_to(2_000),
        "prompt_digit": _matches(r"\d"),
        "pressx": _one_of("1"),
        "extension_type": _one_of("1", "2"),
        "extension_template": _matches(r"[\d,]{1,28}"),
        "call_forward_action": _one_of("block", "flag"),
        "redial": _YES_OR_NO,
        "callback_url": _url,
    },
    # The last four are in no current page, and sent by Telesign's SDK.
    "smart": {
        **_COMMON,
        **_OF_CALLS,
        "sms_message": _with_code(MAX_TEMPLATE),
        "preference": lambda text: text.lower() in PREFERENCES,
        "ignore_risk": _YES_OR_NO,
        "session_id": _up_to(200),
        "push_message": _up_to(200),
    },
}
_PAIRS: Final = (
    ("transaction_amount", "transaction_payee"),
    ("prompt_message", "prompt_digit"),
    ("extension_type", "extension_template"),
)
_PLACES: Final = (("$$AMOUNT$$", "transaction_amount"), ("$$PAYEE$$", "transaction_payee"))


def form(operation: str, content_type: str, raw: bytes) -> dict[str, str]:
    """The checked parameters of a request that sends; raises Wrong. Unknown ones are refused: a mistake of ours."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Wrong("-40006")
    if not raw:
        raise Wrong("-40007", "No Data Submitted", http=400)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise Wrong("-40006") from error
    values = dict(pairs)
    if "phone_number" not in values:
        raise Wrong("-10001", "Invalid Request: Missing Parameter: phone_number")
    known = _FIELDS[operation]
    for name, value in pairs:
        if name not in known or not known[name](value) or sum(name == other for other, _ in pairs) > 1:
            raise wrong(name)
    for pair in _PAIRS:
        if sum(name in values for name in pair) == 1:
            raise wrong(*(name for name in pair if name not in values))
    for place, name in _PLACES:
        if place in values.get("template", "") and name not in values:
            raise wrong(name)
    if "tts_message" in values and ("language" not in values or "pressx" in values):
        raise wrong("language" if "language" not in values else "pressx")
    return values


def query(values: Mapping[str, str]) -> str | None:
    """The code in the query of a status request; raises Wrong."""
    for name in values:
        if name != "verify_code":
            raise wrong(name)
    return values.get("verify_code")


def wrong(name: str) -> Wrong:
    """``PhoneNumber`` for ``phone_number``, as the descriptions spell it."""
    spelled = "".join(part.capitalize() for part in name.split("_"))
    return Wrong("-10001", f"Invalid Request: {spelled} Parameter")
