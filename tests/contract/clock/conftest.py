"""Two clocks under one contract: the machine's with an ordinary loop, that of tests with a loop in virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pipeline import clock as clocks
from pipeline.clock import Clock, SystemClock
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock


class Machine:
    """A clock, the loop that sleeps by it, and somebody who sets its wall clock."""

    def __init__(self, clock: Clock, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.clock = clock
        self._run = run

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run the coroutine in a loop of this machine."""

        async def inside() -> None:
            if isinstance(self.clock, ManualClock):
                self.clock.bind(asyncio.get_running_loop().time)
            await main()

        self._run(inside())

    def set_wall_clock(self, ms: int) -> None:
        """Set it forwards or back by so much, as an operator or NTP would."""
        raise NotImplementedError


class RealMachine(Machine):
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(SystemClock(), asyncio.run)
        self._monkeypatch = monkeypatch
        self._set_by_ms = 0

    def set_wall_clock(self, ms: int) -> None:
        self._set_by_ms += ms
        by_ns = self._set_by_ms * 1_000_000

        class Set:
            """Python's clocks after somebody set the wall clock; only that one can be set."""

            monotonic = time.monotonic

            @staticmethod
            def time_ns() -> int:
                return time.time_ns() + by_ns

        self._monkeypatch.setattr(clocks, "time", Set)


class VirtualMachine(Machine):
    def __init__(self) -> None:
        self._manual = ManualClock()
        super().__init__(self._manual, virtual_time.run)

    def set_wall_clock(self, ms: int) -> None:
        self._manual.jump(ms)


@pytest.fixture(params=["system", "virtual"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return RealMachine(monkeypatch) if request.param == "system" else VirtualMachine()
