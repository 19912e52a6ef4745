"""Numbers as people, programs and attackers write them: examples of every plan, near misses, and anything at all."""

from __future__ import annotations

import random
from collections.abc import Iterator

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

Spelled = tuple[str, str | None]
"""A text and the country it is read for."""

_REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
_DIGITS = ("0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९")
_FORMATS = (
    *(PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.RFC3966),
)
_EXTENSIONS = (" ext. 12", "x7", ";ext=3", " доб. 5", "#44", " extn 123456789")
_ANYTHING = "0123456789+＋ ()-./[]\u00a0\u2010\u200b٠٣０７abcABC#*;,=~xé"


def examples() -> Iterator[tuple[str, phonenumbers.PhoneNumber]]:
    """Every region's example number of every type, with the region."""
    for region in _REGIONS:
        for kind in PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is not None:
                yield region, number
    for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        number = phonenumbers.example_number_for_non_geo_entity(code)
        if number is not None:
            yield "001", number


def spelled_examples() -> list[Spelled]:
    """The examples in every usual form, with the right country as hint, another and none."""
    return [
        (phonenumbers.format_number(number, form), hint)
        for region, number in examples()
        for form in _FORMATS
        for hint in dict.fromkeys((None if region == "001" else region, None, "US", "IT"))
    ]


def random_numbers(count: int, seed: int) -> Iterator[Spelled]:
    """Valid ones, near misses, national ones, with extensions, in other digits, any digits of a country, garbage."""
    drawn = random.Random(seed)
    known = list(examples())
    for n in range(count):
        region, number = known[drawn.randrange(len(known))]
        hint = drawn.choice((None, None if region == "001" else region, drawn.choice(_REGIONS)))
        text = phonenumbers.format_number(number, drawn.choice(_FORMATS))
        digits = [place for place, sign in enumerate(text) if sign.isdigit()]
        way = n % 8
        if way == 0:  # the same plan, another person
            for place in digits[-4:]:
                text = text[:place] + drawn.choice("0123456789") + text[place + 1 :]
        elif way == 1:  # one digit mistyped
            place = drawn.choice(digits)
            text = text[:place] + drawn.choice("0123456789") + text[place + 1 :]
        elif way == 2:  # one too many or too few
            text = drawn.choice((text[:-1], text + drawn.choice("0123456789"), text[:-2]))
        elif way == 3:
            text = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
            hint = None if region == "001" else region
        elif way == 4:
            text += drawn.choice(_EXTENSIONS)
        elif way == 5:
            text = text.translate(str.maketrans(_DIGITS[0], drawn.choice(_DIGITS[1:])))
        elif way == 6:
            begin = drawn.choice(("+", "00", "011 ", "")) + str(drawn.choice(_CODES))
            text = begin + "".join(drawn.choices(_DIGITS[0], k=drawn.randint(1, 16)))
        else:
            text = "".join(drawn.choices(_ANYTHING, k=drawn.randint(0, 24)))
        yield text, hint
