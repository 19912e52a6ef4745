"""When a task begins its next transaction: at once for whoever waits; for what nobody waits for, not too often.

A transaction costs about the same whether it carries one record or a hundred: some six requests to the brokers, the
markers they write, and the fetches these set off. Those that answer nobody take all this from those that do. Pure;
times are seconds of the monotonic clock.
"""

from __future__ import annotations

import math


class Pace:
    """Of one task. What comes first after a pause is never held up."""

    def __init__(self) -> None:
        self._begun_s = -math.inf
        self.due_s = math.inf
        """When what is in hand may be begun with; infinity while there is nothing."""

    def came(self, linger_ms: int = 0) -> None:
        """Something came that others may join until so long after the begin of the last transaction."""
        self.due_s = min(self.due_s, self._begun_s + linger_ms / 1000 if linger_ms else -math.inf)

    def taken(self, *, all_of_it: bool) -> None:
        """A batch is closed. What did not fit into it has waited long enough."""
        self.due_s = math.inf if all_of_it else -math.inf

    def begins(self, now_s: float) -> None:
        """A transaction begins; what comes during it is for the next."""
        self._begun_s = now_s
