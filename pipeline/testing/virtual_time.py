"""An event loop whose time jumps to the next scheduled callback as soon as nothing else is left to do.

A simulated hour takes as long as its work, and the same program runs in the same order each time: callbacks run in
the order of their time (of equal times the order is fixed, but asyncio's heap does not promise first come, first
served). No thread and no real socket belongs in it.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits for something that no task and no timer will ever do."""


_TICKS_PER_S = 1_000_000
# Half a tick separates "due now" from "due at the next tick" in spite of float errors, for some thirty years.
_HALF_TICK_S = 0.5 / _TICKS_PER_S


class _JumpingSelector(selectors.SelectSelector):
    """Where a loop would sleep in the kernel, this one moves the hands of its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Signals and call_soon_threadsafe arrive through the loop's own socket pair, so the real one is still polled.
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None:
            raise Deadlock("nothing is scheduled: every task waits for something that nobody will do")
        self.ticks += max(1, round(timeout * _TICKS_PER_S))
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0 and counts simulated seconds, in whole microseconds.

    Whole ones, because time does not creep on by itself here: a timer that fired a rounding error early would leave
    its waiter a rest of 1e-16 s to wait, for ever.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # What asyncio calls the resolution is how much before its time a callback may run.
        self._clock_resolution = _HALF_TICK_S

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._jumping.ticks / _TICKS_PER_S

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing of this process runs, as when it is stopped by SIGSTOP."""
        self._jumping.ticks += round(seconds * _TICKS_PER_S)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run at the first whole microsecond not before ``when``, and not now unless ``when`` is past."""
        if when > self.time():
            ticks = max(math.ceil(when * _TICKS_PER_S - 1e-3), self._jumping.ticks + 1)
            when = ticks / _TICKS_PER_S
        return super().call_at(when, callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Wait for a tick at least, if at all: a rest of 1e-15 s, added to the time, leaves the time as it is."""
        delay = max(delay, 1 / _TICKS_PER_S) if delay > 0 else delay
        return super().call_later(delay, callback, *args, context=context)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Refused: a thread takes real time, of which this loop has none."""
        raise RuntimeError("a loop with virtual time runs no threads; call the function directly or inject a double")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end in a fresh loop with virtual time; raises Deadlock when nothing can go on."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def stand_still(seconds: float) -> None:
    """Let time pass in which nothing of this process runs, as when it is stopped by SIGSTOP."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop), "only where time is virtual"
    loop.stand_still(seconds)


def scenario(make: Callable[[], T]) -> Callable[[Callable[[T], Awaitable[None]]], Callable[[], None]]:
    """Decorates a test that takes what ``make`` makes inside the loop: each run has its own, in virtual time."""

    def decorate(test: Callable[[T], Awaitable[None]]) -> Callable[[], None]:
        async def inside() -> None:
            await test(make())

        def in_virtual_time() -> None:
            run(inside())

        # Not functools.wraps: pytest would look through it and ask for the argument as for a fixture.
        in_virtual_time.__name__ = getattr(test, "__name__", "test")
        in_virtual_time.__doc__ = test.__doc__
        return in_virtual_time

    return decorate
