"""Text that runs from right to left, and values in it that run the other way.

Displays order mixed text by the Unicode bidirectional algorithm (UAX #9), most of them line by line and from a line's
first letter. Digits alone keep their order everywhere. A value with Latin letters or loose signs in an Arabic line can
change places with what stands beside it, fall apart (``C++`` shown as ``++C``, a code ``4A9B`` with its 4 elsewhere) or
turn the whole line round, so it is wrapped in the isolates that UAX #9 recommends (Unicode 6.3, 2013): first strong
isolate, pop directional isolate. Marks (LRM) would not do: a line would still be laid out by the Latin letter it begins
with, and digits behind the value would join it. Arabic letters force UCS-2 anyway, so isolates cost two units and no
alphabet. An old telephone that does not know them shows nothing or a box at that place; as codes of digits are never
wrapped, that touches a brand at worst.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final, Literal

from pipeline.model.text import PART, render

Direction = Literal["ltr", "rtl"]

FSI: Final = "\u2068"
PDI: Final = "\u2069"
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_NUMBER: Final = frozenset({"EN", "CS"})
"""Digits, and the dot or comma between them."""
_ORDERING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What changes the order of all that follows, up to a sign that a value may leave out or bring itself."""


def direction(text: str) -> Direction:
    """Which way a text runs, by the first letter that is not in a placeholder; ``ltr`` without any."""
    if text.isascii():
        return "ltr"
    for sign in PART.sub("", text):
        found = unicodedata.bidirectional(sign)
        if found == "L":
            return "ltr"
        if found in _RIGHT_TO_LEFT:
            return "rtl"
    return "ltr"


def without_ordering(value: str) -> str:
    """The value without signs that could reorder the text around it: a payee must not turn the code round."""
    return _ORDERING.sub("", value)


def filled(text: str, values: Mapping[str, str], bare: Mapping[str, str] | None = None) -> str:
    """The text with its placeholders filled in, each value safe from the direction of the line it stands in.

    ``bare`` values go in as they are. An autofill line has no letters from right to left, so its code is never wrapped:
    machines read it.
    """
    return "\n".join(_filled(line, values, bare or {}) for line in text.split("\n"))


def _filled(line: str, values: Mapping[str, str], bare: Mapping[str, str]) -> str:
    runs = direction(line)
    wrapped = {name: f"{FSI}{value}{PDI}" if _disturbs(value, runs) else value for name, value in values.items()}
    return render(line, {**wrapped, **bare})


def _disturbs(value: str, line: Direction) -> bool:
    if line == "ltr" and value.isascii():
        return False
    found = {unicodedata.bidirectional(sign) for sign in value}
    if line == "ltr":
        return bool(found & _RIGHT_TO_LEFT)
    return "L" in found or not (found & _RIGHT_TO_LEFT or found <= _NUMBER)
