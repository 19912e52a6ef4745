"""What YCloud publishes, as data: what each channel takes, every error code, every status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.reasons import Reason
from pipeline.records.types import AttemptResult, AttemptStatus, Channel, ResultClass
from pipeline.senders.answers import in_doubt, rejected, throttled
from pipeline.senders.provider import Answer
from pipeline.settings import YCloudSettings

CHANNEL_NAMES: Final = MappingProxyType(
    {Channel.SMS: "sms", Channel.VOICE: "voice", Channel.WHATSAPP: "whatsapp", Channel.EMAIL: "email_code"}
)
CHANNELS_BY_NAME: Final = MappingProxyType({name: channel for channel, name in CHANNEL_NAMES.items()})

LANGUAGES: Final = MappingProxyType(
    {
        **{tag: tag for tag in ("ar", "de", "en", "es", "fr", "id", "it", "ru", "tr", "vi")},
        **dict.fromkeys(("pt", "pt-br"), "pt_BR"),
        **dict.fromkeys(("zh", "zh-cn", "zh-hans", "zh-sg"), "zh_CN"),
        **dict.fromkeys(("zh-hk", "zh-hant", "zh-mo", "zh-tw"), "zh_HK"),
    }
)
"""All 13 tags the API takes, by BCP-47."""
DEFAULT_LANGUAGE: Final = "en"


LOOKED_FOR_S: Final = (15, 45, 120)
"""A list call is dear (200 a second for the whole account), so only lost answers are looked for, and only so often."""


def _channel(**differences: Any) -> ChannelCapabilities:
    """Own code of 4-8 characters; the alphabet is not published, so digits only."""
    return replace(
        ChannelCapabilities(
            own_code=True,
            code_min=4,
            code_max=8,
            code_digits_only=True,
            code_leading_zero=True,
            languages=LANGUAGES,
            default_language=DEFAULT_LANGUAGE,
            receipts=True,
            report=True,
            cost=True,
        ),
        **differences,
    )


CAPABILITIES: Final = ProviderCapabilities(
    kind="ycloud",
    channels=MappingProxyType(
        {
            Channel.SMS: _channel(
                sender=True, signature=True, needs_signature=frozenset({"CN"}), finds_lost_s=LOOKED_FOR_S
            ),
            # The voice product behind it takes 4-6 digits; whether a leading zero is spoken is not published.
            Channel.VOICE: _channel(code_max=6, code_leading_zero=False, finds_lost_s=LOOKED_FOR_S),
            Channel.WHATSAPP: _channel(),
            Channel.EMAIL: _channel(),
        }
    ),
)


def able(settings: YCloudSettings, capabilities: ProviderCapabilities) -> ProviderCapabilities:
    """What an account with these settings can do."""
    channels = {
        channel: replace(each, report=settings.report_success) for channel, each in capabilities.channels.items()
    }
    return replace(capabilities, channels=MappingProxyType(channels))


PARAMETER: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
"""Becomes a rejected recipient when the error's ``target`` is ``to``."""
_ACCOUNT: Final = rejected(ResultClass.ACCOUNT, Reason.ACCOUNT_REJECTED)
_ROUTE: Final = rejected(ResultClass.ROUTE, Reason.ROUTE_UNAVAILABLE)
_CONTENT: Final = rejected(ResultClass.CONTENT, Reason.CONTENT_REJECTED)
_BLOCKED: Final = rejected(ResultClass.RECIPIENT, Reason.RECIPIENT_BLOCKED)

ERRORS: Final[Mapping[str, tuple[int, Answer]]] = MappingProxyType(
    {
        "BAD_REQUEST": (400, PARAMETER),
        "PARAM_INVALID": (400, PARAMETER),
        "PARAM_INVALID_LENGTH": (400, PARAMETER),
        "PARAM_MISSING": (400, PARAMETER),
        "PARAM_NOT_MATCH": (400, PARAMETER),
        "MESSAGING_REGION_UNSUPPORTED": (400, _ROUTE),
        "UNAUTHORIZED": (401, _ACCOUNT),
        "ACCOUNT_LIMITED": (403, _ACCOUNT),
        "ACCOUNT_UNAVAILABLE": (403, _ACCOUNT),
        "FORBIDDEN": (403, _ACCOUNT),
        "BALANCE_INSUFFICIENT": (403, rejected(ResultClass.ACCOUNT, Reason.CREDIT_EXHAUSTED)),
        "RECIPIENT_IN_BLOCK_LIST": (403, _BLOCKED),
        "RECIPIENT_UNSUBSCRIBED": (403, _BLOCKED),
        "SENDER_ID_UNAVAILABLE": (403, _CONTENT),
        "SMS_SIGNATURE_UNAVAILABLE": (403, _CONTENT),
        "CONTENT_PROHIBITED": (403, _CONTENT),
        "EMAIL_DOMAIN_UNVERIFIED": (403, _ROUTE),
        "WHATSAPP_PHONE_NUMBER_UNAVAILABLE": (403, _ROUTE),
        "WHATSAPP_TEMPLATE_UNAVAILABLE": (403, _ROUTE),
        "WHATSAPP_WABA_UNAVAILABLE": (403, _ROUTE),
        "WHATSAPP_BUSINESS_ACCOUNT_UNAVAILABLE": (403, _ROUTE),
        "NOT_FOUND": (404, rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR)),
        # Something of ours is there already, perhaps a message on its way: not to be tried again, only to be found.
        "ALREADY_EXISTS": (409, in_doubt("")),
        "CONTENT_TOO_LARGE": (413, _CONTENT),
        "TOO_MANY_REQUESTS": (429, throttled()),
        "ACCOUNT_RATE_LIMITED": (429, throttled()),
        "SENDER_RATE_LIMITED": (429, throttled()),
        # The message may have gone out before the failure.
        "INTERNAL_SERVER_ERROR": (500, in_doubt("")),
        "SERVICE_UNAVAILABLE": (503, in_doubt("")),
    }
)
"""Every published error code with its HTTP status; the code decides."""

START_STATUSES: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "pending": Answer(result=AttemptResult.ACCEPTED),
        "approved": Answer(result=AttemptResult.ACCEPTED, status=AttemptStatus.DELIVERED),
        "blocked": replace(_BLOCKED, status=AttemptStatus.UNDELIVERED),
        "undelivered": replace(rejected(ResultClass.ROUTE, Reason.UNDELIVERED), status=AttemptStatus.UNDELIVERED),
        "expired": replace(rejected(ResultClass.ROUTE, Reason.PROVIDER_ERROR), status=AttemptStatus.EXPIRED),
    }
)
"""``status`` of a verification in a 200 answer: not every 200 is a yes."""

WHATSAPP_EVENT: Final = "whatsapp.message.updated"
EVENTS: Final = MappingProxyType(
    {
        "sms.message.updated": "sms",
        "voice.message.updated": "voice",
        "email.delivery.updated": "emailDelivery",
        WHATSAPP_EVENT: "whatsappMessage",
    }
)
"""Delivery events and the key their message stands under; all other event types are not ours."""

MESSAGE_STATUSES: Final = MappingProxyType(
    {
        "accepted": AttemptStatus.QUEUED,
        "sending": AttemptStatus.QUEUED,
        "sent": AttemptStatus.SENT,
        "delivered": AttemptStatus.DELIVERED,
        "read": AttemptStatus.READ,
        "undelivered": AttemptStatus.UNDELIVERED,
        "failed": AttemptStatus.FAILED,
    }
)

FAILED: Final = frozenset((AttemptStatus.UNDELIVERED, AttemptStatus.FAILED))
