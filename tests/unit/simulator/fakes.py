from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    now: int

    def now_ms(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.now / 1_000
