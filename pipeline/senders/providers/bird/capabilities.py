"""What Bird can do, and what of it an account with given settings can."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities, Correlation, ProviderCapabilities
from pipeline.records.types import Channel
from pipeline.settings import BirdSettings

SHORTEST_S: Final = 30
LONGEST_S: Final = 3_600
"""Bounds of ``timeout``."""
CODE_LENGTHS: Final = (6, 12)

SMS_LANGUAGES: Final = MappingProxyType(
    {tag: tag for tag in ("af", "ar", "de", "en", "es", "fr", "it", "nl", "pl", "pt", "ru", "tr")}
)
"""Languages of the SMS that Bird writes itself, by primary subtag: all 12 that its page names."""

_CHANNEL: Final = ChannelCapabilities(
    own_code=False,
    provider_code=CODE_LENGTHS,
    check=True,
    receipts=True,
    correlation=Correlation.RECIPIENT,
    min_validity_s=SHORTEST_S,
)

CAPABILITIES: Final = ProviderCapabilities(
    kind="bird",
    channels=MappingProxyType(
        {
            # A language it lacks is left to Bird, which goes by the number's country; it names no other default.
            Channel.SMS: replace(_CHANNEL, languages=SMS_LANGUAGES),
            Channel.WHATSAPP: _CHANNEL,
            Channel.EMAIL: _CHANNEL,
        }
    ),
)

_BY_PHONE: Final = frozenset({Channel.SMS, Channel.WHATSAPP})
"""Only these share the identifier of a verification; that a step may have its own is not documented for certain."""

LOOKUPS_S: Final = (30, 90)
"""A look-up tells the end of a verification, not of its message, so two of them are enough."""
FOUND_AFTER_S: Final = 10
"""After the end of the longest call: before, the list may not hold what is still on its way."""
FOUND_AT_LAST_S: Final = 90


def able(settings: BirdSettings, capabilities: ProviderCapabilities) -> ProviderCapabilities:
    """What the requests that are switched on, and the templates, make possible."""
    # The person's code cannot be judged until the message is found, so not later than need be.
    finds_lost_s = (math.ceil(settings.timeout_s) + FOUND_AFTER_S, FOUND_AT_LAST_S)
    channels = {
        channel: replace(
            each,
            lookups_s=LOOKUPS_S if settings.get_path else (),
            finds_lost_s=finds_lost_s if settings.list_path else (),
            resends=bool(settings.resend_path),
            goes_on=_others(channel, capabilities) if settings.failover_path else frozenset(),
        )
        for channel, each in capabilities.channels.items()
    }
    for name, template in settings.templates.items():
        channel = Channel(name)
        if channel in channels:
            # A template speaks the language it was written in, or has translations that only its author knows.
            fixed = None if template.locale is None else {template.locale.replace("_", "-").lower(): template.locale}
            channels[channel] = replace(channels[channel], languages=fixed, default_language=template.locale)
    return replace(capabilities, channels=MappingProxyType(channels))


def _others(channel: Channel, capabilities: ProviderCapabilities) -> frozenset[Channel]:
    return (_BY_PHONE & capabilities.channels.keys()) - {channel} if channel in _BY_PHONE else frozenset()
