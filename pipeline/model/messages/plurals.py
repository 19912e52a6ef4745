"""Which form of a noun a whole number takes, as Unicode CLDR names them (cardinal plurals, numbers from 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final


def _arabic(number: int) -> str:
    if number in (1, 2):
        return "one" if number == 1 else "two"
    rest = number % 100
    return "few" if 3 <= rest <= 10 else "many" if rest >= 11 else "other"


def _russian(number: int) -> str:
    if number % 10 == 1 and number % 100 != 11:
        return "one"
    return "few" if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else "many"


def _polish(number: int) -> str:
    return "one" if number == 1 else "few" if _russian(number) == "few" else "many"


def _two_forms(number: int) -> str:
    return "one" if number == 1 else "other"


_RULES: Final[Mapping[str, Callable[[int], str]]] = {"ar": _arabic, "pl": _polish, "ru": _russian}


def plural(language: str, number: int, forms: Mapping[str, str]) -> str:
    """The form for ``number`` (at least 1) in a BCP-47 language; ``other`` where there is no form of its own."""
    rule = _RULES.get(language.partition("-")[0], _two_forms)
    return forms.get(rule(number)) or forms["other"]
