"""Recipients nobody has: valid for every check of the pipeline, each one used once.

The last digits may choose how the simulated provider behaves (:mod:`pipeline.simulator.magic`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import phonenumbers
from phonenumbers import PhoneNumberType

from pipeline.errors import Refused
from pipeline.model.recipient import canonical
from pipeline.simulator.magic import PREFIX

_VARIED = 2
"""Digits in front of the ending that make numbers of one ending different."""
_MOBILE = ("mobile", "fixed_line_or_mobile")


class Recipients:
    """Hands out phone numbers and e-mail addresses; the same ones in the same order every time."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._counter = count(1)
        self._endings: dict[tuple[str, bool], Iterator[int]] = {}

    def phone(self, country: str = "DE", *, magic: str | None = None, landline: bool = False) -> str:
        """A valid E.164 number; ``magic`` is the two digits of the simulator's table.

        Raises LookupError when the numbering plan has no more numbers of this kind.
        """
        wanted = ("fixed_line",) if landline else _MOBILE
        kind = PhoneNumberType.FIXED_LINE if landline else PhoneNumberType.MOBILE
        example = phonenumbers.example_number_for_type(country, kind)
        if example is None:
            raise LookupError(f"no numbering plan of {country}")
        national = phonenumbers.national_significant_number(example)
        prefix = f"+{example.country_code}"
        for tail in self._tails(country, landline, magic):
            number = prefix + national[: len(national) - len(tail)] + tail
            if number in self._given:
                continue
            try:
                read = canonical(number)
            except Refused:
                continue
            if read.canonical == number and read.line_type in wanted and read.country == country:
                self._given.add(number)
                return number
        raise LookupError(f"no further {'landline' if landline else 'mobile'} number of {country}")

    def national(self, country: str) -> str:
        """A mobile number as people of that country write it, without the country code."""
        number = phonenumbers.parse(self.phone(country))
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)

    def email(self, *, magic: str | None = None, domain: str = "example.org") -> str:
        """An address of a domain that is reserved for examples."""
        ending = f"-{PREFIX}{magic}" if magic else ""
        return f"person{next(self._counter)}{ending}@{domain}"

    def _tails(self, country: str, landline: bool, magic: str | None) -> Iterator[str]:
        if magic is not None:
            return (f"{varied:0{_VARIED}d}{PREFIX}{magic}" for varied in range(10**_VARIED))
        ordinary = self._endings.setdefault((country, landline), iter(range(11_111, 90_000)))
        return (f"{number:05d}" for number in ordinary)
