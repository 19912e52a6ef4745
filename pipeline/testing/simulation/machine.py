"""A simulated process: every resume of any of its coroutines is counted, so that it can die or stand still at any.

A kill is a kill: nothing of the process runs any more, no ``except`` and no ``finally``. What it had handed to others
(a request on its way, a transaction that was decided) goes on without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")

_REFUSALS = 100
_HERE: ContextVar[Machine | None] = ContextVar("simulated process", default=None)


class Machine:
    """One process from its start to its end; made anew when it is started again.

    ``on_death`` is told once, at the moment of the kill.
    """

    def __init__(self, name: str, on_death: Callable[[], None]) -> None:
        self.name = name
        self.steps = 0
        """How often any coroutine of it was resumed."""
        self.acts = 0
        """How often it was about to change something outside: the log or a provider."""
        self.dead = False
        self._on_death = on_death
        self._dies_at_step: int | None = None
        self._dies_after_act: tuple[int, int] | None = None
        self._thawed: asyncio.Event | None = None
        self._buried = False
        self._coroutines: list[Coroutine[Any, Any, Any]] = []
        """All there ever were: the collector must not run anything of a dead process by closing it."""
        self._context = copy_context()
        self._context.run(_HERE.set, self)

    def start(self, main: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``main`` and all tasks it makes as parts of this process."""
        return asyncio.get_running_loop().create_task(main, name=self.name, context=self._context)

    # --- what may happen to it ------------------------------------------------------------------------------------

    def dies_after_steps(self, count: int) -> None:
        """Die when one of its coroutines is resumed for the ``count``-th time from now on."""
        self._dies_at_step = self.steps + count

    def dies_after_acts(self, count: int, steps: int) -> None:
        """Die ``steps`` resumes after it is about to change something outside for the ``count``-th time."""
        self._dies_after_act = (self.acts + count, steps)

    def acts_outside(self) -> None:
        """The process is about to change something outside."""
        self.acts += 1
        if self._dies_after_act is not None and self.acts >= self._dies_after_act[0]:
            self.dies_after_steps(self._dies_after_act[1])
            self._dies_after_act = None

    def kill(self) -> None:
        """Die here and now."""
        if not self.dead:
            self.dead = True
            self._on_death()

    async def stand_still(self, seconds: float) -> None:
        """As between SIGSTOP and SIGCONT: whatever falls due meanwhile is done after it."""
        if self._thawed is None:
            self._thawed = asyncio.Event()
            try:
                await asyncio.sleep(seconds)
            finally:
                self._thawed.set()
                self._thawed = None

    @property
    def still(self) -> asyncio.Event | None:
        """Set when it goes on; None while it does not stand still."""
        return self._thawed

    def bury(self) -> None:
        """After everything was looked at: let the loop and the collector be done with a dead process."""
        self.kill()
        self._buried = True
        for coroutine in self._coroutines:
            _end(coroutine)

    # --- what the coroutines ask ----------------------------------------------------------------------------------

    def counts(self) -> bool:
        """Count one resume; False when there is no life left for it."""
        if not self.dead:
            self.steps += 1
            if self._dies_at_step is not None and self.steps >= self._dies_at_step:
                self.kill()
        return not self.dead

    def counted(self, coroutine: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """A coroutine of this process, for its task."""
        self._coroutines.append(coroutine)
        return _Counted(coroutine, self)

    @property
    def buried(self) -> bool:
        """Whether nobody looks any more."""
        return self._buried


class _Counted(Coroutine[Any, Any, Any]):
    """A coroutine of a process, as its task drives it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], machine: Machine) -> None:
        self._coroutine = coroutine
        self._machine = machine
        self._late: BaseException | None = None

    def send(self, value: Any) -> Any:
        """Resume it, unless its process is dead or stands still."""
        return self._go_on(None)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """The same with an error, mostly of being canceled."""
        error = value if isinstance(value, BaseException) else kind
        return self._go_on(error if isinstance(error, BaseException) else kind())

    def close(self) -> None:
        """Only what never ran again is closed, by its process."""

    def __await__(self) -> Generator[Any, Any, Any]:
        raise TypeError("a coroutine of a process is driven by its task alone")

    def _go_on(self, error: BaseException | None) -> Any:
        error, self._late = error or self._late, None
        machine = self._machine
        if machine.still is not None and not machine.dead:
            # Done later; of two errors the newer.
            self._late = error
            return _wait_for(asyncio.get_running_loop().create_task(_thawed(machine.still), context=Context()))
        if not machine.counts():
            if machine.buried:
                raise asyncio.CancelledError
            return _wait_for(asyncio.get_running_loop().create_future())
        return self._coroutine.send(None) if error is None else self._coroutine.throw(error)


def _end(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Whatever its ``finally`` does now, nobody looks any more; each that wants to wait is refused in turn."""
    for _ in range(_REFUSALS):
        try:
            coroutine.close()
        except RuntimeError:
            continue
        except BaseException:
            return
        return


def _wait_for(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """As ``await`` tells a task what to wait for."""
    future._asyncio_future_blocking = True
    return future


async def _thawed(event: asyncio.Event) -> None:
    await event.wait()


def here() -> Machine | None:
    """The process whose coroutine runs now; None outside of all."""
    return _HERE.get()


def acts_outside() -> None:
    """The process that runs now is about to change something outside."""
    machine = _HERE.get()
    if machine is not None:
        machine.acts_outside()


def task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """For :meth:`asyncio.loop.set_task_factory`: tasks of processes are counted, all others are not."""
    context = options.get("context")
    machine = _HERE.get() if context is None else context.get(_HERE)
    return asyncio.Task(coroutine if machine is None else machine.counted(coroutine), loop=loop, **options)
