"""What the framework and its yardstick are measured with: the same records, counted in the same way."""

from __future__ import annotations

import time

from pipeline.records.codec import Codec
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus
from pipeline.runtime.api import Emit

PARTITIONS = 4
WARM_UP, WINDOW, WINDOWS = 10_000, 10_000, 3
TOPICS = {"in": False, "out": False, "relay-state": True}
"""True for compacted ones."""
CODEC = Codec()


class Marks:
    """CPU time of the process at each multiple of ``WINDOW`` records handled by all tasks."""

    def __init__(self) -> None:
        self.handled = 0
        self.cpu_s: list[float] = []

    def count(self) -> None:
        self.handled += 1
        if self.handled % WINDOW == 0:
            self.cpu_s.append(time.process_time())

    def windows_us(self) -> list[float]:
        """Microseconds of CPU per record in each window after the warm-up."""
        warm = WARM_UP // WINDOW - 1
        return [
            (after - before) / WINDOW * 1e6
            for before, after in zip(self.cpu_s[warm:], self.cpu_s[warm + 1 :], strict=False)
        ]


def records(count: int) -> list[Emit]:
    """Records as the sender writes them, each of another verification."""
    made: list[Emit] = []
    for n in range(count):
        vid = f"0f8fad5b-d9cb-469f-a165-{n:012d}"
        status = DeliveryStatus(
            verification_id=vid,
            attempt_id=f"{vid}.1",
            provider="ycloud",
            status=AttemptStatus.DELIVERED,
            occurred_at=1_763_769_600_000,
            received_at=1_763_769_600_100,
            cost="0.05",
            currency="USD",
        )
        made.append(Emit("in", vid.encode(), CODEC.encode(status), n % PARTITIONS, CODEC.headers(status)))
    return made
