"""A compacted topic read whole into memory by every process that wants it; nobody here writes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from pipeline.errors import DeadlinePassed
from pipeline.runtime.api import Record
from pipeline.runtime.log import Log, TopicPartition

log = structlog.get_logger(__name__)

FETCH_MS = 100
"""How long one fetch waits when nothing comes; bounds how late :meth:`GlobalTable.caught_up` notices the end."""


RETRY_S = 1.0
"""Pause before a reader that failed is replaced."""


class GlobalTable:
    """Follows every partition of a compacted topic from its first record and hands each record to ``apply``.

    ``apply`` must be quick; what it raises is logged, and the record passed over. It sees records of one key in order
    and may see the same one again.
    """

    def __init__(self, *, log: Log, topic: str, apply: Callable[[Record], None], deadline_s: float = 30.0) -> None:
        self._log = log
        self.topic = topic
        self._apply = apply
        self._deadline_s = deadline_s
        self._partitions: list[TopicPartition] = []
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self._positions: dict[TopicPartition, int] = {}

    async def caught_up(self) -> None:
        """Start following if need be, and return when everything written before this call was applied.

        Raises DeadlinePassed when the topic cannot be read so far in time, Misconfigured when it does not exist.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._catch_up()
        except TimeoutError as error:
            raise DeadlinePassed(f"{self.topic} could not be read to its end within {self._deadline_s:g} s") from error

    async def _catch_up(self) -> None:
        if self._task is None:
            count = await self._log.partitions(self.topic)
            self._partitions = [TopicPartition(self.topic, number) for number in range(count)]
            self._positions = await self._log.start_offsets(self._partitions)
            self._task = asyncio.create_task(self._follow(), name=f"table {self.topic}")
        ends = await self._log.end_offsets(self._partitions)
        async with self._moved:
            while any(self._positions[where] < end for where, end in ends.items()):
                await self._moved.wait()

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        """Read for ever; a reader that fails is replaced by one that goes on where it was."""
        while True:
            try:
                await self._read()
            except Exception as error:
                log.warning("table interrupted", action="table_interrupted", topic=self.topic, cause=repr(error))
                await asyncio.sleep(RETRY_S)

    def _take(self, record: Record) -> None:
        try:
            self._apply(record)
        except Exception:
            # Raised on, it would be met again by every reader and at every start: one record would stop everything
            # that needs the table, for good, as a compacted topic keeps it.
            where = f"{record.partition}@{record.offset}"
            log.exception("table record passed over", action="table_record_failed", topic=self.topic, where=where)

    async def _read(self) -> None:
        reader = await self._log.reader(self._positions)
        try:
            while True:
                for record in await reader.fetch(timeout_ms=FETCH_MS, max_records=1_000):
                    self._take(record)
                async with self._moved:
                    for where in self._partitions:
                        self._positions[where] = await reader.position(where)
                    self._moved.notify_all()
        finally:
            await reader.stop()
