"""What the values of provider options may be, as data, so that a wrong one is refused with the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class OptionRule(Protocol):
    """What one option takes. Values are text, as a step's ``options`` hold them."""

    @property
    def says(self) -> str:
        """The rule, for a detail: ``must be …``. Never holds a value that was given."""

    def takes(self, value: str) -> bool:
        """Whether the value keeps the rule."""


@dataclass(frozen=True, slots=True)
class WholeNumber:
    """Decimal ASCII digits, within bounds that are both included; ``lowest`` is 0 or more."""

    lowest: int
    highest: int

    @property
    def says(self) -> str:
        """The rule, for a detail."""
        return f"must be a whole number of {self.lowest}-{self.highest}"

    def takes(self, value: str) -> bool:
        """Whether the value keeps the rule; however long it is, that costs nothing."""
        if not (value.isascii() and value.isdigit() and len(value) <= len(str(self.highest)) + 3):
            return False
        return self.lowest <= int(value) <= self.highest


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few words, in the spelling given."""

    words: tuple[str, ...]

    @property
    def says(self) -> str:
        """The rule, for a detail."""
        return f"must be one of {' '.join(self.words)}"

    def takes(self, value: str) -> bool:
        """Whether the value keeps the rule."""
        return value in self.words


@dataclass(frozen=True, slots=True)
class Line:
    """One line of visible text."""

    longest: int

    @property
    def says(self) -> str:
        """The rule, for a detail."""
        return f"must be one line of 1-{self.longest} visible characters"

    def takes(self, value: str) -> bool:
        """Whether the value keeps the rule."""
        return bool(value.strip()) and len(value) <= self.longest and value.isprintable()


def takes_options(rules: Mapping[str, OptionRule], options: Mapping[str, str]) -> bool:
    """Whether every option is one of these, with a value it takes."""
    return all(name in rules and rules[name].takes(value) for name, value in options.items())
