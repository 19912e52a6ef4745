"""Kinds of cases that show each provider on each of its channels, doing what it should.

YCloud's and Neutrino's own are among the everyday ones. Each function makes the cases of one kind; called again it
makes further ones.
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.demo.asked import REPORTED_TO
from pipeline.demo.case import Case, Expected
from pipeline.demo.cast import Cast
from pipeline.demo.configuration import WALKING, kind_of
from pipeline.records.public import Step
from pipeline.records.types import Channel, VerificationMode, VerificationState

TITLES: Final = {
    "ycloud": "YCloud",
    "neutrino": "Neutrino",
    "telesign": "Telesign",
    "bird": "Bird",
    "thundersms": "ThunderSMS",
    WALKING: "a second account at ThunderSMS",
    "smtp": "SMTP",
}
"""How people call the accounts of the demo."""
CHANNELS: Final = {
    Channel.SMS: "SMS",
    Channel.VOICE: "voice call",
    Channel.WHATSAPP: "WhatsApp",
    Channel.VIBER: "Viber",
    Channel.EMAIL: "e-mail",
}

_CARRIED: Final = (
    ("telesign", Channel.SMS, "default"),
    ("telesign", Channel.VOICE, "calls"),
    ("thundersms", Channel.SMS, "default"),
    ("thundersms", Channel.VOICE, "default"),
    ("thundersms", Channel.WHATSAPP, "default"),
    ("thundersms", Channel.VIBER, "default"),
    (WALKING, Channel.SMS, "default"),
    ("smtp", Channel.EMAIL, "default"),
)
"""Who carries a code of ours, where, and the tenant whose codes are short enough."""
_MADE: Final = (
    ("bird", Channel.SMS, "default", 6),
    ("bird", Channel.WHATSAPP, "default", 6),
    ("bird", Channel.EMAIL, "long", 12),
    ("telesign", Channel.SMS, "long", 7),
    ("telesign", Channel.VOICE, "long", 5),
    ("thundersms", Channel.SMS, "long", 10),
    ("thundersms", Channel.VOICE, "long", 10),
    ("thundersms", Channel.WHATSAPP, "long", 10),
    ("thundersms", Channel.VIBER, "long", 10),
)
"""Who makes the code and judges it, where, for which tenant, and how long it then is."""
_TELLING: Final = (
    ("ycloud", Channel.VOICE, "default"),
    ("ycloud", Channel.WHATSAPP, "default"),
    ("ycloud", Channel.EMAIL, "default"),
    ("bird", Channel.SMS, "default"),
    ("bird", Channel.WHATSAPP, "default"),
    ("bird", Channel.EMAIL, "default"),
    ("telesign", Channel.SMS, "default"),
    ("telesign", Channel.VOICE, "calls"),
    ("thundersms", Channel.SMS, "default"),
    ("thundersms", Channel.VOICE, "default"),
    ("thundersms", Channel.WHATSAPP, "default"),
    ("thundersms", Channel.VIBER, "default"),
)
"""Who tells of deliveries by webhook: YCloud names our reference, Bird nobody but the recipient; Telesign calls an
address made for the attempt, ThunderSMS names our reference or its own id."""
_WORDED: Final = (
    ("telesign", Channel.SMS),
    ("thundersms", Channel.SMS),
    ("thundersms", Channel.WHATSAPP),
    ("smtp", Channel.EMAIL),
)
_PAYING: Final = (
    ("telesign", Channel.SMS),
    ("thundersms", Channel.VIBER),
    ("smtp", Channel.EMAIL),
)


def recipient_for(cast: Cast, channel: Channel) -> str:
    """An ordinary recipient that this channel reaches."""
    return cast.recipients.email() if channel is Channel.EMAIL else cast.mobile()


def carried(cast: Cast) -> list[Case]:
    provider, channel, tenant = cast.next_of(_CARRIED)
    case = _pinned(cast, f"{CHANNELS[channel]} by {TITLES[provider]}", provider, channel, tenant=tenant)
    return [case.expecting(reported=kind_of(provider) in REPORTED_TO)]


def carried_abroad(cast: Cast) -> list[Case]:
    to = cast.recipients.email(domain="bücher.example")
    return [_pinned(cast, "international domain by SMTP", "smtp", Channel.EMAIL, to=to)]


def made(cast: Cast) -> list[Case]:
    """The provider is asked about the code, as nobody else knows it."""
    provider, channel, tenant, digits = cast.next_of(_MADE)
    kind = f"{CHANNELS[channel]}, code made by {TITLES[provider]}"
    case = _pinned(cast, kind, provider, channel, tenant=tenant)
    return [case.expecting(made=True, checks=1, digits=digits)]


def made_and_told(cast: Cast) -> list[Case]:
    """Neutrino tells the code it made in its answer, so that nobody has to be asked."""
    channel = cast.next_of((Channel.SMS, Channel.VOICE))
    case = _pinned(cast, f"{CHANNELS[channel]}, code made by Neutrino", "neutrino", channel, tenant="long")
    return [case.expecting(made=True, digits=12)]


def smart(cast: Cast) -> list[Case]:
    """Smart Verify takes SMS and the call after it as one; our code fits both."""
    kind = "automatic plan by Smart Verify"
    case = cast.verified(kind, to=cast.mobile(), channel=Channel.SMS, provider="telesign", tenant="calls")
    return [case.expecting(operation="smart", digits=5, reported=True)]


def smart_made(cast: Cast) -> list[Case]:
    kind = "automatic plan by Smart Verify, its code"
    case = cast.verified(kind, to=cast.mobile(), channel=Channel.SMS, provider="telesign", tenant="long")
    return [case.expecting(operation="smart", made=True, checks=1, digits=7)]


def told(cast: Cast) -> list[Case]:
    """The one way to ``delivered`` is the provider's own report, and with Bird's, through the correlator."""
    provider, channel, tenant = cast.next_of(_TELLING)
    return [reach(cast, f"reach only: {TITLES[provider]} tells by webhook", provider, channel, tenant=tenant)]


def polled(cast: Cast) -> list[Case]:
    """No webhook tells of this account's messages, so somebody must ask."""
    case = reach(cast, "reach only: ThunderSMS is asked", WALKING, Channel.SMS)
    return [case.expecting(looked_up=True)]


def worded(cast: Cast) -> list[Case]:
    """A template of a tenant with a brand and a site; SMS end with the line by which browsers fill in the code."""
    provider, channel = cast.next_of(_WORDED)
    case = _pinned(
        cast,
        f"template in {CHANNELS[channel]} by {TITLES[provider]}",
        provider,
        channel,
        tenant="bank",
        template="welcome",
    )
    line = ("\n@login.example.org #{code}",) if channel is Channel.SMS else ()
    return [case.expecting(shows=("{code} opens your Example Bank account.", *line))]


def own_text(cast: Cast) -> list[Case]:
    text = "Hello from {brand}: type {code} within {minutes} minutes."
    case = _pinned(cast, "text of the request", "thundersms", Channel.VIBER, tenant="bank", text=text)
    return [case.expecting(shows=("Hello from Example Bank: type {code} within",))]


def payment(cast: Cast) -> list[Case]:
    """The person sees what is paid to whom; the code is worth nothing for another payment."""
    provider, channel = cast.next_of(_PAYING)
    kind = f"payment in {CHANNELS[channel]} by {TITLES[provider]}"
    case = _pinned(cast, kind, provider, channel, amount="12.50", payee="Book shop", language="en")
    return [case.expecting(shows=("12.50", "Book shop"))]


def _pinned(
    cast: Cast,
    kind: str,
    provider: str,
    channel: Channel,
    *,
    to: str | None = None,
    text: str | None = None,
    template: str | None = None,
    **request: Any,
) -> Case:
    """One step that no other provider may serve, verified."""
    return cast.verified(
        kind,
        to=to or recipient_for(cast, channel),
        channel=channel,
        provider=provider,
        steps=[Step(channel=channel, provider=provider, text=text, template=template)],
        **request,
    )


def reach(
    cast: Cast, kind: str, provider: str, channel: Channel, *, to: str | None = None, slow: bool = False, **request: Any
) -> Case:
    """One step that no other provider may serve, of which only the delivery is of interest."""
    expected = Expected(state=VerificationState.DELIVERED, channel=channel, provider=provider, attempts=1, calls=1)
    return cast.case(
        kind,
        to=to or recipient_for(cast, channel),
        expected=expected,
        slow=slow,
        mode=VerificationMode.REACH,
        steps=[Step(channel=channel, provider=provider)],
        **request,
    )


KINDS: Final = (
    *[made] * len(_MADE),
    *[carried] * len(_CARRIED),
    smart,
    smart_made,
    *[told] * len(_TELLING),
    made_and_told,
    made_and_told,
    polled,
    *[worded] * len(_WORDED),
    own_text,
    *[payment] * len(_PAYING),
    carried_abroad,
)
