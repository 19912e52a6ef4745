"""Numbers read by ``phonenumbers``: the default, and what any other reader has to agree with."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberType

# Numbers of all the world need about 1,000 expressions (0.7 MB), twice as many as Python keeps compiled: without this
# each is compiled anew whenever its country comes round again, and a number costs 1 ms instead of 30 µs.
phonenumbers.enable_pattern_cache()

LINE_TYPES: Final[dict[int, str]] = {
    PhoneNumberType.FIXED_LINE: "fixed_line",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_line_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium_rate",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal_number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}
REGIONS: Final[dict[int, tuple[str, ...]]] = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
"""Regions by calling code, the main one first."""
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class Unreadable(ValueError):
    """No number that can exist."""


class Number(NamedTuple):
    """A number that can exist."""

    code: int
    """Calling code of its country."""
    national: str
    """The digits behind it."""
    region: str | None
    """Where it is in use, as libphonenumber names regions: ISO 3166-1, ``AC``, ``TA``, or ``001`` for none."""
    line_type: str | None
    """One of :data:`LINE_TYPES`; None for a number that is not in use in its country."""


def read(text: str, region: str | None) -> Number:
    """A number as typed; ``region`` reads one without ``+`` as national. Raises Unreadable."""
    try:
        number = _parsed(text, region)
    except phonenumbers.NumberParseException:
        raise Unreadable from None
    # One look-up instead of is_valid_number + number_type: a number is valid exactly when it has a type.
    line_type = LINE_TYPES.get(phonenumbers.number_type(number))
    return Number(
        code=number.country_code or 0,  # which a number that was read always has
        national=phonenumbers.national_significant_number(number),
        region=phonenumbers.region_code_for_number(number) if line_type is not None else None,
        line_type=line_type,
    )


def has_plan(region: str) -> bool:
    """Whether the country has a numbering plan of its own, so that its numbers can be written nationally."""
    return region in phonenumbers.SUPPORTED_REGIONS


def calling_code(text: str) -> tuple[int, str | None]:
    """Calling code and its main region of a number with ``+``, which need not be one in use. Raises Unreadable."""
    try:
        code = phonenumbers.parse(text).country_code or 0
    except phonenumbers.NumberParseException:
        raise Unreadable from None
    return code, phonenumbers.region_code_for_country_code(code)


def _parsed(text: str, region: str | None) -> phonenumbers.PhoneNumber:
    """``phonenumbers.parse``, which looks for every spelling there is and so takes half the time of a whole request.

    In E.164 the digits after the country code are the number, unless they begin like a number dialled within its
    country: then, and in every other spelling, the library decides.
    """
    if _E164.fullmatch(text):
        code = next((int(text[1:end]) for end in (2, 3, 4) if int(text[1:end]) in REGIONS), None)
        if code is not None:
            national = text[1 + len(str(code)) :]
            dialled = _dialled(code)
            if national[0] != "0" and (dialled is None or dialled.match(national) is None):
                return phonenumbers.PhoneNumber(country_code=code, national_number=int(national))
    return phonenumbers.parse(text, region)


@lru_cache(maxsize=512)
def _dialled(code: int) -> re.Pattern[str] | None:
    """How numbers begin that are dialled within their country; None where that is like everywhere."""
    region = phonenumbers.region_code_for_country_code(code)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    prefix = None if metadata is None else metadata.national_prefix_for_parsing
    return None if not prefix else re.compile(prefix)
