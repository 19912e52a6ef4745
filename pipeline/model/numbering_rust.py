"""Numbers read by ``rphonenumbers``, compiled from Rust: a tenth of the time of ``phonenumbers``.

It is young and its numbering plans are older than those of ``phonenumbers``, which change every other week. So it only
ever says yes: what it cannot read or finds in no plan is asked of ``phonenumbers``, and so is every number of a country
whose plan differs between the two. Which those are follows from fingerprints of the plans it was compiled with
(:mod:`pipeline.model.numbering_plans`), so a new ``phonenumbers`` costs speed for a while and never an answer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.model.numbering_plans import COMPILED, plan_fingerprint
from pipeline.model.numbering_python import LINE_TYPES, REGIONS, Number

if TYPE_CHECKING:
    from pipeline.model.numbering import Reader


class Unproven(Exception):
    """The installed release has other plans than those known here; the text is their version."""


class RustReader:
    """Raises ImportError where the extra is not installed, and Unproven."""

    def __init__(self, default: Reader) -> None:
        import rphonenumbers

        version: str = rphonenumbers.__phonenumbers_version__
        if version not in COMPILED:
            raise Unproven(version)
        self._default = default
        self._fingerprints = COMPILED[version]
        self._parse = rphonenumbers.parse
        self._error = rphonenumbers.NumberParseException
        self._type = rphonenumbers.number_type
        self._national = rphonenumbers.national_significant_number
        self._region = rphonenumbers.region_code_for_number
        self._same_code = lru_cache(maxsize=512)(self._same_plan)
        self._same_region = lru_cache(maxsize=512)(self._same_plan_of)

    def __call__(self, text: str, region: str | None, /) -> Number:
        """As :func:`pipeline.model.numbering.read`."""
        # How a number without + is dialled is a matter of the hint's plan, whatever country it turns out to be of.
        if region is not None and not self._same_region(region):
            return self._default(text, region)
        try:
            number = self._parse(text, region)
        except self._error:
            return self._default(text, region)
        code: int = number.country_code
        line_type = LINE_TYPES.get(self._type(number)) if self._same_code(code) else None
        if line_type is None:
            return self._default(text, region)
        return Number(code, self._national(number), self._region(number), line_type)

    def _same_plan(self, code: int) -> bool:
        return self._fingerprints.get(code) == plan_fingerprint(code)

    def _same_plan_of(self, region: str) -> bool:
        return all(self._same_code(code) for code, regions in REGIONS.items() if region in regions)
