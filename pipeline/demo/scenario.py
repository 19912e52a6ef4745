"""The whole list of cases: every kind at least once, then more of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, zip_longest
from typing import Any, Final

from pipeline.demo import everyday, holders, providers, refusals, trouble
from pipeline.demo.case import Case
from pipeline.demo.cast import Cast

Make = Callable[[Cast], list[Case]]

SLOW: Final[tuple[Make, ...]] = (*trouble.EXPIRING, *holders.SLOW)
"""Begun first, as they take longest."""
ONCE: Final[tuple[Make, ...]] = (*refusals.ONCE, *SLOW, *trouble.ONCE, *holders.ONCE)
"""In every run of some length, but not more often in a longer one."""
AGAIN: Final[tuple[Make, ...]] = tuple(
    make
    for turn in zip_longest(everyday.KINDS, providers.KINDS, (*trouble.KINDS, *holders.KINDS), refusals.KINDS)
    for make in turn
    if make is not None
)
"""In turns: something good twice, something troubled, something refused."""


def scenario(number: int, *, now_ms: int) -> list[Case]:
    """At least ``number`` cases, those that take longest first; a few more where cases belong together.

    Fewer than some 186 leave kinds out. ``now_ms`` is when the demo begins.
    """
    cast = Cast(now_ms=now_ms)
    chosen: list[list[Case]] = []
    slow: list[list[Case]] = []
    count = 0
    for make in _order():
        if count >= number:
            break
        made = make(cast)
        (slow if make in SLOW else chosen).append(made)
        count += len(made)
    # Each group in its own order: a case comes after those it waits for.
    return [case for group in (*slow, *chosen) for case in group]


def behaviours(cases: Sequence[Case]) -> dict[str, dict[str, Any]]:
    """How the simulated providers must behave for these cases, beyond what magic recipients choose."""
    # Two messages a second, as Neutrino takes them, are too few for a demo.
    found: dict[str, dict[str, Any]] = {"neutrino": {"limits": {}}}
    for case in cases:
        for kind, rule in case.rules.items():
            found.setdefault(kind, {}).setdefault("rules", []).append(rule)
    return found


def kinds(cases: list[Case]) -> int:
    """How many kinds there are among the cases."""
    return len({case.kind for case in cases})


def _order() -> Iterator[Make]:
    """The first of each list by turns, then what happens once, then the rest and all of it again."""
    beginning = len(ONCE)
    yield from AGAIN[:beginning]
    yield from ONCE
    yield from AGAIN[beginning:]
    yield from cycle(AGAIN)
