"""Capabilities in words for people, for the reference and the command line alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities
from pipeline.model.messages.wording import TAGS

NOTHING: Final = "–"
"""What stands where a channel cannot do something."""


def own_code(able: ChannelCapabilities) -> str:
    """Which codes of ours or the caller's it carries."""
    if not able.own_code:
        return NOTHING
    signs = "digits" if able.code_digits_only else "letters or digits"
    return f"{_span(able.code_min, able.code_max)} {signs}{'' if able.code_leading_zero else ', no leading zero'}"


def made_code(able: ChannelCapabilities) -> str:
    """Which codes it makes itself."""
    if able.provider_code is None:
        return NOTHING
    return f"{_span(*able.provider_code)}, " + ("asked for a verdict" if able.check else "told in the answer")


def _languages(able: ChannelCapabilities) -> str:
    if able.languages is None:
        return f"{len(TAGS)}, else {TAGS[0]}" if able.always_text else "any"
    return f"{len(set(able.languages.values()))}, else {able.default_language or 'as the provider chooses'}"


def _sender(able: ChannelCapabilities) -> str:
    if not able.sender:
        return NOTHING
    return "yes" if able.sender_rule is None else able.sender_rule.says.removeprefix("must be ")


def _times(seconds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seconds)) + " s" if seconds else NOTHING


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _yes(attribute: str) -> Callable[[ChannelCapabilities], str]:
    return lambda able: "yes" if getattr(able, attribute) else NOTHING


def _optional(text: str | None) -> str:
    return text or NOTHING


ABILITIES: Final[tuple[tuple[str, Callable[[ChannelCapabilities], str]], ...]] = (
    ("our code or the caller's", own_code),
    ("makes codes itself", made_code),
    ("languages", _languages),
    ("texts of ours", _yes("text")),
    ("subject", _yes("subject")),
    ("sender", _sender),
    (
        "signature",
        lambda able: "needed for " + ", ".join(sorted(able.needs_signature)) if able.needs_signature else NOTHING,
    ),
    ("voice flow", _yes("flow_id")),
    ("brand", _yes("brand")),
    ("use case", _yes("use_case")),
    ("the person's IP address", _yes("end_user_ip")),
    ("amount and payee", _yes("amount")),
    ("ttl", lambda able: NOTHING if able.ttl is None else f"{_span(*able.ttl)} s"),
    ("least validity", lambda able: f"{able.min_validity_s} s" if able.min_validity_s else NOTHING),
    ("options", lambda able: _optional(" ".join(f"`{name}`" for name in able.options))),
    ("countries", lambda able: NOTHING if able.countries is None else _optional(" ".join(sorted(able.countries)))),
    ("delivery reports", lambda able: f"found by {able.correlation.value}" if able.receipts else NOTHING),
    ("status asked for after", lambda able: _times(able.lookups_s)),
    ("lost answers looked for after", lambda able: _times(able.finds_lost_s)),
    ("told of success", _yes("report")),
    ("can be stopped", _yes("cancel")),
    (
        "walks on by itself to",
        lambda able: NOTHING if able.walk is None else ", ".join(sorted(each.value for each in able.walk.channels)),
    ),
    ("sends again when asked", _yes("resends")),
    ("goes on when asked to", lambda able: ", ".join(sorted(each.value for each in able.goes_on)) or NOTHING),
    ("tells the cost", _yes("cost")),
)
"""What a channel can do: a name and how to say it; a provider that can do none of it needs no row."""
