"""``python -m tests.faults.planted [NAME ...]``: plant each bug and tell which seed finds it first."""

from __future__ import annotations

import sys

import pytest

from pipeline.testing.simulation.campaign import judge
from tests.faults.planted import bugs

MOST_SEEDS = 2_000


def first_to_find(plant: bugs.Plant, most: int = MOST_SEEDS, first: int = 0) -> tuple[int, list[str]] | None:
    """The first seed that breaks a promise with this bug in place and none without it, and what it told; None: none of
    so many did."""
    for seed in range(first, most):
        with pytest.MonkeyPatch.context() as patch:
            plant(patch)
            broken = judge(seed).broken
        if broken and not judge(seed).broken:
            return seed, broken
    return None


if __name__ == "__main__":
    for plant in bugs.ALL:
        if len(sys.argv) == 1 or plant.__name__ in sys.argv:
            print(plant.__name__, first_to_find(plant), flush=True)
