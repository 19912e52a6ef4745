"""What Telesign can do, as data: channels, codes, step options, and what an account's settings change of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pipeline.model.capabilities import ChannelCapabilities, Correlation, ProviderCapabilities, Walk
from pipeline.model.options import Line, OneOf, OptionRule
from pipeline.records.types import Channel
from pipeline.settings import TelesignSettings

SMART_CODE_LENGTH: Final = 5
"""Of an own code for Smart Verify: the only length that fits an SMS (3-7 digits) as well as a call (3-5)."""
LOOKUPS_S: Final = (180, 300, 600)
"""Telesign asks to wait three to five minutes; it keeps a status for twelve hours."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """What a telephone knows: digits, and commas that wait a second each."""

    pattern: re.Pattern[str]
    says: str

    def takes(self, value: str) -> bool:
        """Whether the value keeps the rule."""
        return self.pattern.fullmatch(value) is not None


SMS_SENDER: Final[OptionRule] = Line(20)
VOICE_SENDER: Final[OptionRule] = Dialled(
    re.compile(r"\+?[1-9][0-9]{2,14}", re.ASCII), "must be a number of 3-15 digits"
)
"""A number that was bought from Telesign."""
_YES_OR_NO: Final = OneOf(("true", "false"))
SMS_OPTIONS: Final[Mapping[str, OptionRule]] = MappingProxyType(
    {
        "dlt_entity_id": Line(40),
        "dlt_template_id": Line(40),
        "is_primary": _YES_OR_NO,
        "sim_swap_check": _YES_OR_NO,
    }
)
VOICE_OPTIONS: Final[Mapping[str, OptionRule]] = MappingProxyType(
    {
        "call_forward_action": OneOf(("block", "flag")),
        "caller_id": Dialled(re.compile(r"[1-9][0-9]{2,14}", re.ASCII), "must be a number of 3-15 digits"),
        "extension_template": Dialled(re.compile(r"[0-9,]{1,28}", re.ASCII), "must be 1-28 digits and commas"),
        "extension_type": OneOf(("1", "2")),
        "pressx": OneOf(("1",)),
        "prompt_digit": OneOf(tuple("0123456789")),
        "prompt_message": Line(2_000),
        "redial": _YES_OR_NO,
    }
)
SMART_OPTIONS: Final[Mapping[str, OptionRule]] = MappingProxyType({"ignore_risk": _YES_OR_NO})
"""Sent under their own names, each to its own endpoint."""
TOGETHER: Final = (("extension_template", "extension_type"), ("prompt_digit", "prompt_message"))
"""Options that mean something only in pairs."""

_CHANNEL: Final = ChannelCapabilities(
    own_code=True,
    code_min=3,
    check=True,
    report=True,
    # Not one list of languages is published for texts, templates and speech alike: see the setting ``languages``.
    languages=None,
    sender=True,
    text=True,
    amount=True,
    use_case=True,
    end_user_ip=True,
    brand=True,
    # In callbacks, where Telesign switched that on for the account.
    cost=True,
    # A callback is placed by the token in its address where it has one. But an account may have an address of its own
    # set up, without a token, and Smart Verify takes none per request: then only the message's id is left.
    correlation=Correlation.MESSAGE_ID,
)

CAPABILITIES: Final = ProviderCapabilities(
    kind="telesign",
    channels=MappingProxyType(
        {
            Channel.SMS: replace(
                _CHANNEL,
                code_max=7,
                code_leading_zero=True,
                provider_code=(7, 7),
                sender_rule=SMS_SENDER,
                options=SMS_OPTIONS,
            ),
            # One page says 000-9999999 for calls, the API's own description 100-99999: see ``max_call_digits``.
            Channel.VOICE: replace(
                _CHANNEL, code_max=5, provider_code=(5, 5), sender_rule=VOICE_SENDER, options=VOICE_OPTIONS
            ),
        }
    ),
)


def able(settings: TelesignSettings, capabilities: ProviderCapabilities) -> ProviderCapabilities:
    """What an account with these settings can do."""
    channels = {
        channel: replace(
            each,
            code_max=settings.max_call_digits if channel is Channel.VOICE else each.code_max,
            languages=_languages(settings, channel),
            always_text=settings.own_texts,
            report=settings.report_success,
            # Where it calls back, too: a callback is tried four times only, and one may never come.
            lookups_s=LOOKUPS_S,
        )
        for channel, each in capabilities.channels.items()
    }
    if settings.smart_verify and channels.keys() >= {Channel.SMS, Channel.VOICE}:
        channels[Channel.SMS] = replace(
            channels[Channel.SMS],
            walk=Walk(
                channels=frozenset({Channel.VOICE}),
                own_code=settings.smart_own_code,
                code_min=SMART_CODE_LENGTH,
                code_max=SMART_CODE_LENGTH,
                # Seven digits by SMS or five by call: which, it decides by itself.
                provider_code=(5, 7),
                length_told=False,
                keeps_first=settings.smart_preference,
                sender=False,
                options=frozenset(SMART_OPTIONS),
                only_options=frozenset(SMART_OPTIONS),
            ),
            options=MappingProxyType({**channels[Channel.SMS].options, **SMART_OPTIONS}),
        )
    return replace(capabilities, channels=MappingProxyType(channels))


def _languages(settings: TelesignSettings, channel: Channel) -> Mapping[str, str] | None:
    """None for any: where nobody named one, and where our own text is written already."""
    if not settings.languages or (settings.own_texts and channel is Channel.SMS):
        return None
    return MappingProxyType({tag.lower(): tag for tag in settings.languages})
