"""Kinds of cases in which the providers do what they should: channels, wishes, codes, ways to publish and to type.

Each function makes the cases of one kind; called again it makes further ones.
"""

from __future__ import annotations

from typing import Final

from pipeline.demo.case import Case, Expected, Person, Posting
from pipeline.demo.cast import COUNTRIES, Cast
from pipeline.model.reasons import Reason
from pipeline.records.public import Step
from pipeline.records.types import Channel, VerificationMode, VerificationState

_LANGUAGES: Final = (
    ("pt_BR", "pt_BR"),
    ("zh-Hant-TW", "zh_HK"),
    ("de-CH", "de"),
    ("ar", "ar"),
    ("tr", "tr"),
    ("vi", "vi"),
    ("id", "id"),
    ("fi", "en"),
)
"""What a caller asks for and what YCloud calls it; it knows no Finnish, so that wish is not honoured."""

SMS: Final = (Step(channel=Channel.SMS),)
NEUTRINO_SMS: Final = (Step(channel=Channel.SMS, provider="neutrino"),)


def automatic_sms(cast: Cast) -> list[Case]:
    return [cast.verified("SMS, planned automatically", to=cast.mobile(), channel=Channel.SMS)]


def voice(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.VOICE)]
    case = cast.verified("voice call", to=cast.mobile(), channel=Channel.VOICE, steps=steps)
    return [case.expecting(reported=True)]


def whatsapp(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.WHATSAPP)]
    case = cast.verified("WhatsApp", to=cast.mobile(), channel=Channel.WHATSAPP, steps=steps)
    return [case.expecting(reported=True)]


def email(cast: Cast) -> list[Case]:
    case = cast.verified("e-mail", to=cast.recipients.email(), channel=Channel.EMAIL)
    return [case.expecting(reported=True)]


def email_international(cast: Cast) -> list[Case]:
    to = cast.recipients.email(domain="bücher.example")
    return [cast.verified("e-mail, international domain", to=to, channel=Channel.EMAIL)]


def neutrino_sms(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "SMS by Neutrino", to=cast.mobile(), channel=Channel.SMS, provider="neutrino", steps=[*NEUTRINO_SMS]
        )
    ]


def neutrino_voice(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.VOICE, provider="neutrino")]
    return [
        cast.verified(
            "voice call by Neutrino", to=cast.mobile(), channel=Channel.VOICE, provider="neutrino", steps=steps
        )
    ]


def national_number(cast: Cast) -> list[Case]:
    country = cast.next_of(COUNTRIES)
    to = cast.recipients.national(country)
    return [cast.verified("national number with country", to=to, channel=Channel.SMS, country=country)]


def landline(cast: Cast) -> list[Case]:
    to = cast.recipients.phone("DE", landline=True)
    return [cast.verified("landline, so voice", to=to, channel=Channel.VOICE)]


def preferred_channel(cast: Cast) -> list[Case]:
    return [
        cast.verified("preferred channel", to=cast.mobile(), channel=Channel.WHATSAPP, prefer_channel=Channel.WHATSAPP)
    ]


def language(cast: Cast) -> list[Case]:
    asked, shown = cast.next_of(_LANGUAGES)
    return [cast.verified("language", to=cast.mobile(), channel=Channel.SMS, shown_language=shown, language=asked)]


def brand_of_tenant(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "tenant with a brand and short codes",
            to=cast.mobile(),
            channel=Channel.SMS,
            provider="neutrino",
            steps=[*NEUTRINO_SMS],
            tenant="shop",
            code_length=4,
        )
    ]


def own_code(cast: Cast) -> list[Case]:
    case = cast.verified("own code", to=cast.mobile(), channel=Channel.SMS, shown_code="482913", code="482913")
    return [case.expecting(reported=True)]


def own_code_leading_zero(cast: Cast) -> list[Case]:
    # Neutrino takes the code as a number, so only YCloud can carry this one.
    return [
        cast.verified(
            "own code with a leading zero", to=cast.mobile(), channel=Channel.SMS, shown_code="0451278", code="0451278"
        )
    ]


def long_code(cast: Cast) -> list[Case]:
    # YCloud takes up to 8 digits, so it is skipped.
    return [
        cast.verified("code of 9 digits", to=cast.mobile(), channel=Channel.SMS, provider="neutrino", code_length=9)
    ]


def sender_id(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.SMS, sender="Example")]
    return [cast.verified("sender id", to=cast.mobile(), channel=Channel.SMS, steps=steps)]


def china_signed(cast: Cast) -> list[Case]:
    to = cast.recipients.phone("CN")
    return [cast.verified("mainland China, with signature", to=to, channel=Channel.SMS, signature="示例")]


def china_unsigned(cast: Cast) -> list[Case]:
    to = cast.recipients.phone("CN")
    return [cast.verified("mainland China, no signature", to=to, channel=Channel.SMS, provider="neutrino")]


def provider_option(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.SMS, options={"limit": "5"})]
    return [
        cast.verified("option of one provider", to=cast.mobile(), channel=Channel.SMS, provider="neutrino", steps=steps)
    ]


def recipient_per_step(cast: Cast) -> list[Case]:
    steps = [
        Step(channel=Channel.SMS, recipient=cast.recipients.phone(magic="10")),
        Step(channel=Channel.EMAIL, recipient=cast.recipients.email()),
    ]
    return [
        cast.verified(
            "a recipient per step, the first refused", to=None, channel=Channel.EMAIL, attempts=2, steps=steps
        )
    ]


def bulk(cast: Cast) -> list[Case]:
    return [cast.verified("bulk lane", to=cast.mobile(), channel=Channel.SMS, posting=Posting.BULK)]


def no_key(cast: Cast) -> list[Case]:
    return [cast.verified("record without a key", to=cast.mobile(), channel=Channel.SMS, posting=Posting.NO_KEY)]


def wrong_partition(cast: Cast) -> list[Case]:
    return [
        cast.verified(
            "record in a foreign partition", to=cast.mobile(), channel=Channel.SMS, posting=Posting.WRONG_PARTITION
        )
    ]


def published_twice(cast: Cast) -> list[Case]:
    return [cast.verified("published twice", to=cast.mobile(), channel=Channel.SMS, posting=Posting.TWICE)]


def asked_again(cast: Cast) -> list[Case]:
    """The same person again: a second message takes the other route, a third one the first."""
    kind, to = "asked again, so another route", cast.mobile()
    first = cast.verified(kind, to=to, channel=Channel.SMS)
    second = cast.verified(kind, to=to, channel=Channel.SMS, provider="neutrino", after=(first.name,))
    third = cast.verified(kind, to=to, channel=Channel.SMS, after=(second.name,))
    return [first, second, third]


def mistyped(cast: Cast) -> list[Case]:
    return [cast.verified("mistyped once", to=cast.mobile(), channel=Channel.SMS, person=Person.MISTYPES)]


def typed_twice(cast: Cast) -> list[Case]:
    return [
        cast.verified("two right answers at once", to=cast.mobile(), channel=Channel.SMS, person=Person.TYPES_TWICE)
    ]


def clicked_twice(cast: Cast) -> list[Case]:
    return [cast.verified("the same check twice", to=cast.mobile(), channel=Channel.SMS, person=Person.CLICKS_TWICE)]


def over_http(cast: Cast) -> list[Case]:
    kind = "started and checked over the REST API"
    people = (Person.TYPES_IT, Person.MISTYPES, Person.CLICKS_TWICE, Person.TYPES_TWICE)
    return [
        cast.verified(kind, to=cast.mobile(), channel=Channel.SMS, person=person, posting=Posting.HTTP)
        for person in people
    ]


def failed_over_on_demand(cast: Cast) -> list[Case]:
    steps = [Step(channel=Channel.SMS, wait_s=120), Step(channel=Channel.VOICE)]
    return [
        cast.verified(
            "called instead, on demand",
            to=cast.mobile(),
            channel=Channel.VOICE,
            attempts=2,
            steps=steps,
            person=Person.ASKS_FOR_A_CALL,
            posting=Posting.HTTP,
        )
    ]


def canceled(cast: Cast) -> list[Case]:
    case = cast.ended(
        "canceled by its caller",
        Reason.CANCELED_BY_CALLER,
        to=cast.mobile(),
        channel=Channel.SMS,
        steps=[*SMS],
        person=Person.LEAVES,
        posting=Posting.HTTP,
    )
    return [case]


def reach(cast: Cast) -> list[Case]:
    expected = Expected(state=VerificationState.DELIVERED, channel=Channel.SMS, provider="ycloud", attempts=1, calls=1)
    return [
        cast.case(
            "reach only: delivered is enough",
            to=cast.mobile(),
            expected=expected,
            mode=VerificationMode.REACH,
            steps=[*SMS],
        )
    ]


KINDS: Final = (
    automatic_sms,
    voice,
    whatsapp,
    email,
    neutrino_sms,
    neutrino_voice,
    national_number,
    landline,
    own_code,
    language,
    reach,
    bulk,
    over_http,
    failed_over_on_demand,
    canceled,
    mistyped,
    no_key,
    wrong_partition,
    published_twice,
    asked_again,
    typed_twice,
    clicked_twice,
    preferred_channel,
    recipient_per_step,
    long_code,
    own_code_leading_zero,
    brand_of_tenant,
    sender_id,
    china_signed,
    china_unsigned,
    provider_option,
    email_international,
)
