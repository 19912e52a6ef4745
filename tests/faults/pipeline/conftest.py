"""What the faults of the whole pipeline share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def people() -> Iterator[str]:
    """German mobile numbers that nobody had before; none of them means anything to the simulator."""
    return (f"+49151{40_000_000 + number * 37:08d}" for number in _numbers if (number * 37) % 1_000_000 // 100 != 9_000)
