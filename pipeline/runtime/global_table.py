"""A compacted topic read whole into memory by every process that wants it; nobody here writes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from pipeline.errors import DeadlinePassed
from pipeline.runtime.api import Record
from pipeline.runtime.log import Log, Reader, TopicPartition

log = structlog.get_logger(__name__)


class GlobalTable:
    """Follows every partition of a compacted topic from its first record and hands each record to ``apply``.

    ``apply`` must be quick and must not raise. It sees records of one key in order and may see the same one again.
    """

    def __init__(self, *, log: Log, topic: str, apply: Callable[[Record], None], deadline_s: float = 30.0) -> None:
        self._log = log
        self.topic = topic
        self._apply = apply
        self._deadline_s = deadline_s
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    async def caught_up(self) -> None:
        """Start following if need be, and wait until everything written before this call was applied.

        Raises DeadlinePassed when the topic cannot be read in time.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"table {self.topic}")
        waiter = asyncio.create_task(self._ready.wait())
        done, _ = await asyncio.wait({waiter, self._task}, timeout=self._deadline_s, return_when="FIRST_COMPLETED")
        if self._task in done:
            waiter.cancel()
            self._task.result()
        if not done:
            waiter.cancel()
            raise DeadlinePassed(f"{self.topic} could not be read to its end within {self._deadline_s:g} s")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        count = await self._log.partitions(self.topic)
        partitions = [TopicPartition(self.topic, number) for number in range(count)]
        starts = await self._log.start_offsets(partitions)
        ends = await self._log.end_offsets(partitions)
        reader: Reader = await self._log.reader(starts)
        try:
            while True:
                if not self._ready.is_set() and await self._read_to(reader, ends):
                    self._ready.set()
                for record in await reader.fetch(timeout_ms=500, max_records=1_000):
                    self._apply(record)
        finally:
            await reader.stop()

    @staticmethod
    async def _read_to(reader: Reader, ends: dict[TopicPartition, int]) -> bool:
        for where, end in ends.items():
            if await reader.position(where) < end:
                return False
        return True
