"""What a provider can do on a channel, as data; the router plans with it and the senders are held to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.model.options import OptionRule
from pipeline.records.types import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCapabilities:
    """One provider on one channel. Lengths count characters, ttl and validity are seconds."""

    own_code: bool
    """Takes a code of ours or the caller's."""
    code_min: int = 4
    code_max: int = 12
    code_digits_only: bool = True
    code_leading_zero: bool = False
    """Whether a code may start with 0 (integers and spoken numbers lose it)."""
    provider_code: bool = False
    """Can make the code itself and tell whether a typed one is right (or tell us the code)."""
    languages: Mapping[str, str] | None = None
    """Lower-case BCP-47 tag or primary language → the provider's own tag; None takes any tag."""
    default_language: str | None = None
    """What the provider uses when the wished language is not in ``languages``."""
    sender: bool = False
    signature: bool = False
    template: bool = False
    text: bool = False
    subject: bool = False
    flow_id: bool = False
    amount: bool = False
    ttl: tuple[int, int] | None = None
    use_case: bool = False
    end_user_ip: bool = False
    brand: bool = False
    options: Mapping[str, OptionRule] = field(default_factory=dict)
    """What a step's ``options`` may name, and the values each takes."""
    needs_signature: frozenset[str] = frozenset()
    """Countries (ISO-2) where this channel is only possible with a signature."""
    countries: frozenset[str] | None = None
    """None serves all."""
    receipts: bool = True
    echoes_reference: bool = True
    """Receipts carry our reference, so they need no correlation."""
    lookup: bool = False
    report: bool = False
    cancel: bool = False
    min_validity_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCapabilities:
    """Everything the router needs to know about one kind of provider."""

    kind: str
    channels: Mapping[Channel, ChannelCapabilities] = field(default_factory=dict)


def provider_language(capabilities: ChannelCapabilities, wished: str | None) -> tuple[str | None, bool]:
    """The provider's tag for a wished BCP-47 language, and whether the wish was honoured.

    Tries the full tag, then ever shorter prefixes, then the provider's default.
    """
    if capabilities.languages is None:
        return wished, True
    if wished is None:
        return capabilities.default_language, True
    tag = wished.replace("_", "-").lower()
    while tag:
        found = capabilities.languages.get(tag)
        if found is not None:
            return found, True
        tag = tag.rpartition("-")[0]
    return capabilities.default_language, False
