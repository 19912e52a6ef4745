"""What ThunderSMS can do, and what of it an account's settings switch on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities, Correlation, ProviderCapabilities, Walk
from pipeline.model.messages.catalogue import LANGUAGES
from pipeline.records.types import Channel
from pipeline.settings import ThunderSmsSettings

CODE_LENGTHS: Final = (4, 10)
MIN_TTL_S: Final = 30
MAX_TTL_S: Final = 1_209_600
_LOOKUPS_S: Final = (5, 15, 30, 60, 120, 300, 600)
"""Polling is the only documented way to learn what became of a message. 7 look-ups for each message stay below the
published 1000 GET requests a minute up to 140 messages a minute; beyond, the rate limit of the sender spreads them."""

_CHANNEL: Final = ChannelCapabilities(
    own_code=True,
    # The alphabet is not published and the check calls the code an integer: digits, and none that starts with 0.
    code_min=CODE_LENGTHS[0],
    code_max=CODE_LENGTHS[1],
    code_digits_only=True,
    code_leading_zero=False,
    provider_code=CODE_LENGTHS,
    check=True,
    sender=True,
    text=True,
    end_user_ip=True,
    # Whether these messages raise webhooks is not documented: see the setting ``requires_receipts``.
    receipts=True,
    correlation=Correlation.MESSAGE_ID,
    lookups_s=_LOOKUPS_S,
    cancel=True,
)
_TEXT: Final = replace(_CHANNEL, languages=LANGUAGES, default_language="en", amount=True, brand=True)
"""Our text goes along with every message, so it brings language, brand and amount."""

CAPABILITIES: Final = ProviderCapabilities(
    kind="thundersms",
    channels=MappingProxyType(
        {
            Channel.WHATSAPP: _TEXT,
            Channel.SMS: _TEXT,
            # The flow speaks its own words unless the step names a text. Which languages it speaks is not published.
            Channel.VOICE: replace(_CHANNEL, flow_id=True),
            Channel.VIBER: replace(_TEXT, ttl=(MIN_TTL_S, MAX_TTL_S), min_validity_s=MIN_TTL_S),
        }
    ),
)


def able(settings: ThunderSmsSettings, capabilities: ProviderCapabilities) -> ProviderCapabilities:
    """Without ``own_texts`` nothing that only a text could carry; with ``walk_channels`` several channels per call."""
    channels = dict(capabilities.channels)
    if not settings.own_texts:
        for channel, each in channels.items():
            # The language of the account's own text is unknown, so no wish for one is honoured.
            languages: Mapping[str, str] | None = None if channel is Channel.VOICE else MappingProxyType({})
            channels[channel] = replace(
                each, text=False, amount=False, brand=False, languages=languages, default_language=None
            )
    voice = settings.channels.get("voice")
    speaks = voice is not None and voice.flow_id is not None
    if Channel.VOICE in channels:
        channels[Channel.VOICE] = replace(channels[Channel.VOICE], needs_flow_id=not speaks)
    if settings.walk_channels:
        walk = Walk(
            # An automatic plan names no flow, so the walk can only end on voice where the account has one.
            channels=frozenset(channel for channel in channels if speaks or channel is not Channel.VOICE),
            any_plan=True,
            own_code=True,
            code_min=CODE_LENGTHS[0],
            code_max=CODE_LENGTHS[1],
            provider_code=CODE_LENGTHS,
        )
        channels = {channel: replace(each, walk=walk) for channel, each in channels.items()}
    return replace(capabilities, channels=MappingProxyType(channels))
