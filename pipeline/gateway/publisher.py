"""Writing records to the log for somebody who waits on the line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipeline.errors import DeadlinePassed, LogUnavailable
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Producer


class Publisher:
    """Returns when the log has acknowledged everything, or says in bounded time that it has not."""

    def __init__(self, *, producer: Producer, timeout_s: float, max_waiting: int = 5_000) -> None:
        """``max_waiting`` bounds the records on their way: with Kafka away they would pile up behind each caller."""
        self._producer = producer
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._running: set[asyncio.Task[tuple[int, int]]] = set()

    async def publish(self, emits: Sequence[Emit]) -> None:
        """Write all; raises LogUnavailable, DeadlinePassed, or the producer's error.

        After an error any part may have been written, so the caller's repetition must be harmless.
        """
        if len(self._running) + len(emits) > self._max_waiting:
            raise LogUnavailable(f"{len(self._running)} records already wait for Kafka")
        tasks = [asyncio.create_task(self._producer.send(emit)) for emit in emits]
        for task in tasks:
            self._running.add(task)
            task.add_done_callback(self._finished)
        if not tasks:
            return
        # The sends are left running at the deadline: cancelling them would not take back what is in the producer.
        done, pending = await asyncio.wait(tasks, timeout=self._timeout_s)
        for task in done:
            task.result()
        if pending:
            raise DeadlinePassed(f"Kafka did not acknowledge within {self._timeout_s:g} s")

    async def publish_one(self, emit: Emit) -> None:
        """The same for one."""
        await self.publish([emit])

    async def drain(self) -> None:
        """Wait for what is on its way, at most one more timeout."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=self._timeout_s)

    def _finished(self, task: asyncio.Task[tuple[int, int]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Marks the error as seen; whoever still waits gets it from the task.
            task.exception()
