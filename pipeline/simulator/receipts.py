"""When a message moves on and when that is told, the same for all providers that report."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from pipeline.simulator.behaviour import Receipt, sample_s

_REVERSED_GAP_S: Final = 0.05


class Moment(NamedTuple):
    """One status of a message's course."""

    after_s: float
    """When it is reached, from the sending."""
    wait_s: float
    """How long after that it is told."""
    hold: bool
    """Told only behind somebody else's event."""


def moments(count: int, receipt: Receipt, rng: random.Random) -> list[Moment]:
    """The moments of a course of ``count`` statuses, one after each delay.

    Reordered ones all wait for the last, which is told first; a single one waits for somebody else's.
    """
    delay_s = sample_s(receipt.delay_ms, rng)
    gap_s = delay_s + _REVERSED_GAP_S if receipt.reordered else 0.0
    return [
        Moment(delay_s * (place + 1), (count - 1 - place) * gap_s, receipt.reordered and count == 1)
        for place in range(count)
    ]
