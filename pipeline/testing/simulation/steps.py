"""What happens in a run, in order, for whoever wants to watch it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipeline.testing.simulation.machine import here


class Steps:
    """Tells each step with its virtual time and the process that took it, when ``tell`` is given."""

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._tell = tell

    @property
    def wanted(self) -> bool:
        """Whether anybody watches; making the words costs more than the step."""
        return self._tell is not None

    def note(self, what: str) -> None:
        """One step of the process that runs now, or of the world."""
        if self._tell is not None:
            machine = here()
            who = "world" if machine is None else f"{machine.name} ({machine.steps})"
            self._tell(f"{asyncio.get_running_loop().time():10.3f}  {who:<24} {what}")
