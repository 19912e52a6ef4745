"""The fields of ``verify/send`` and their limits; a field nobody documents is refused, to find our mistakes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

CHANNELS: Final[Mapping[str, str]] = {
    "whatsapp": "whatsapp",
    "sms": "sms",
    "voice": "voice",
    "tts": "voice",
    "viber": "viber",
    "rcs": "rcs",
}
"""The platform's names and ours; ``tts`` is the older spelling of voice."""
DEFAULT_WAIT_S: Final = 30
DEFAULT_LENGTH: Final = 6
DEFAULT_TIMEOUT_S: Final = 120

_NUMBER: Final = re.compile(r"[1-9]\d{6,14}", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,9}", re.ASCII)
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_([A-Z]{2}|\d{3}))?", re.ASCII)
_CHANNEL_FIELDS: Final = frozenset({"name", "from", "recipient", "order", "wait", "flow_id", "language", "ttl", "meta"})
_PAYLOAD_FIELDS: Final = frozenset({"length", "timeout", "token", "ip_address", "template", "foreign_id"})


class Wrong(Exception):
    """A field is wrong: its path and a sentence."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field)
        self.field = field
        self.message = f"The {field} field {problem}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One entry of ``channels``."""

    name: str
    """Ours."""
    to: str
    """Digits."""
    sender: str
    order: int
    wait_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A whole request."""

    channels: list[Channel]
    """In the order in which they are triggered."""
    length: int
    timeout_s: int
    token: str | None
    template: str | None
    foreign_id: str | None


def start(body: Mapping[str, Any]) -> Start:
    """The checked request; raises Wrong."""
    _known(body, {"channels", "payload", "foreign_id"}, "")
    listed = body.get("channels")
    if not isinstance(listed, list) or not listed:
        raise Wrong("channels", "is required" if not listed else "must be an array")
    payload = _object(body.get("payload"), "payload")
    _known(payload, _PAYLOAD_FIELDS, "payload.")
    foreign_ids = [body.get("foreign_id"), payload.get("foreign_id")]
    channels = [_channel(entry, place, foreign_ids) for place, entry in enumerate(listed)]
    length = _number(payload, "length", "payload.", low=4, high=10, default=DEFAULT_LENGTH)
    token = _text(payload, "token", "payload.")
    if token is not None and (len(token) != length or not token.isdecimal() or not token.isascii()):
        raise Wrong("payload.token", f"must have {length} digits")
    template = _text(payload, "template", "payload.")
    if template is not None and "{token}" not in template:
        raise Wrong("payload.template", "must contain {token}")
    _address(_text(payload, "ip_address", "payload."))
    return Start(
        channels=sorted(channels, key=lambda channel: channel.order),
        length=length,
        timeout_s=_number(payload, "timeout", "payload.", low=1, high=999_999_999, default=DEFAULT_TIMEOUT_S),
        token=token,
        template=template,
        # Where it belongs is not published: taken wherever it is.
        foreign_id=next((each for each in foreign_ids if isinstance(each, str)), None),
    )


def _channel(entry: object, place: int, foreign_ids: list[object]) -> Channel:
    where = f"channels.{place}."
    channel = _object(entry, where[:-1])
    _known(channel, _CHANNEL_FIELDS, where)
    name = _text(channel, "name", where)
    if name is None or name not in CHANNELS:
        raise Wrong(f"{where}name", "is required" if name is None else "is invalid")
    recipient = _object(channel.get("recipient"), f"{where}recipient")
    _known(recipient, {"to"}, f"{where}recipient.")
    to = recipient.get("to")
    to = str(to) if isinstance(to, int) and not isinstance(to, bool) else to
    if not isinstance(to, str) or not _NUMBER.fullmatch(to):
        raise Wrong(f"{where}recipient.to", "is required" if to is None else "must be a country code and a number")
    ours = CHANNELS[name]
    if ours == "voice" and not channel.get("flow_id"):
        raise Wrong(f"{where}flow_id", "is required")
    _text(channel, "flow_id", where)
    language = _text(channel, "language", where)
    if language is not None and not _LANGUAGE.fullmatch(language):
        raise Wrong(f"{where}language", "is invalid")
    if "ttl" in channel and ours != "viber":
        raise Wrong(f"{where}ttl", "is prohibited")
    _number(channel, "ttl", where, low=30, high=1_209_600, default=30)
    if "meta" in channel:
        meta = _object(channel["meta"], f"{where}meta")
        _known(meta, {"foreign_id"}, f"{where}meta.")
        foreign_ids.append(meta.get("foreign_id"))
    return Channel(
        name=ours,
        to=to,
        sender=_text(channel, "from", where) or "VERIFY",
        order=_number(channel, "order", where, low=0, high=1_000, default=place),
        wait_s=_number(channel, "wait", where, low=0, high=86_400, default=DEFAULT_WAIT_S),
    )


def _known(fields: Mapping[str, Any], names: Collection[str], where: str) -> None:
    for name in fields:
        if name not in names:
            raise Wrong(f"{where}{name}", "is unknown")


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise Wrong(field, "is required" if not value else "must be an object")
    return value


def _text(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise Wrong(f"{where}{name}", "must be a string")
    return value


def _number(fields: Mapping[str, Any], name: str, where: str, *, low: int, high: int, default: int) -> int:
    value = fields.get(name, default)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)  # the documentation calls ``length`` a string and writes it as a number
    if not isinstance(value, int) or isinstance(value, bool):
        raise Wrong(f"{where}{name}", "must be an integer")
    if not low <= value <= high:
        raise Wrong(f"{where}{name}", f"must be between {low} and {high}")
    return value


def _address(text: str | None) -> None:
    try:
        if text is not None:
            ipaddress.ip_address(text)
    except ValueError:
        raise Wrong("payload.ip_address", "must be a valid IP address") from None
