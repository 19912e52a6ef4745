"""What a provider can do on a channel, as data; the router plans with it and the senders are held to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pipeline.model.options import OptionRule
from pipeline.records.types import Channel


class Correlation(Enum):
    """By what a receipt says which attempt it is about."""

    REFERENCE = "our reference"
    """Echoed, or part of an address made for the attempt: no correlator needed."""
    MESSAGE_ID = "the provider's message id"
    RECIPIENT = "recipient and channel"
    """The provider names neither; two attempts for one recipient and channel cannot be told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How a provider goes on to further channels by itself within one call.

    The code of such a call must fit every channel it may end on, so it has bounds of its own.
    """

    channels: frozenset[Channel]
    """Channels it can go on to from this one."""
    any_plan: bool = False
    """Takes the caller's own steps too, each with its recipient and wait; else automatic plans only."""
    own_code: bool = True
    code_min: int = 4
    code_max: int = 12
    provider_code: tuple[int, int] | None = None
    length_told: bool = True
    sender: bool = True
    """Carries a sender id."""
    options: frozenset[str] | None = None
    """Options of the channel that go along; None: all."""
    keeps_first: bool = True
    """Begins on this channel, or is told that it is preferred; else it picks one by itself."""
    only_options: frozenset[str] = frozenset()
    """Options of the channel that mean something on a walk alone."""


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
    provider_code: tuple[int, int] | None = None
    """Shortest and longest code it makes itself; None: it makes none, or none that anybody could check."""
    length_told: bool = True
    """Whether it is told the length of a code it makes; else any within ``provider_code`` may come."""
    check: bool = False
    """Tells whether a typed code is the one it made."""
    languages: Mapping[str, str] | None = None
    """Lower-case BCP-47 tag or primary language → the provider's own tag; None takes any tag."""
    default_language: str | None = None
    """What the provider uses when the wished language is not in ``languages``."""
    sender: bool = False
    sender_rule: OptionRule | None = None
    """What a sender has to look like, where that is known: a call shows a number, a mail comes from an address."""
    signature: bool = False
    text: bool = False
    """Takes a text of ours: a step's own, a template's or the catalogue's."""
    always_text: bool = False
    """Never says a code in words of its own: where a step has no text, the catalogue's goes along."""
    subject: bool = False
    flow_id: bool = False
    needs_flow_id: bool = False
    """The account names none itself, so a step has to."""
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
    """Reports deliveries by itself, so that a missing report says something."""
    correlation: Correlation = Correlation.REFERENCE
    lookups_s: tuple[int, ...] = ()
    """Seconds after the call at which the status of an accepted message is asked for while nothing final is known;
    empty: it cannot be asked, or need not be."""
    finds_lost_s: tuple[int, ...] = ()
    """Seconds after the call at which a message whose answer was lost is looked for; empty: it cannot be found without
    the id that the lost answer held."""
    not_found_after_s: int | None = None
    """A message not found this long after the end of its call was never sent; None: absence proves nothing."""
    report: bool = False
    """Wants to be told when the person verified."""
    cancel: bool = False
    """A message that was taken can be withdrawn, or what is to follow it stopped."""
    cost: bool = False
    """Answers or receipts say what the message cost."""
    walk: Walk | None = None
    """None where it is switched off or impossible."""
    resends: bool = False
    """When asked, it sends a message that it took once more, with the same code."""
    goes_on: frozenset[Channel] = frozenset()
    """Channels that it is told of with the message, and goes on to when asked, with the same code."""
    min_validity_s: int = 0

    def takes_sender(self, sender: str) -> bool:
        """Whether it carries this very sender."""
        return self.sender and (self.sender_rule is None or self.sender_rule.takes(sender))


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
