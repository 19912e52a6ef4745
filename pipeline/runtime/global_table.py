"""A compacted topic read whole into memory by every process that wants it; nobody here writes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog

from pipeline.errors import DeadlinePassed, LogUnavailable
from pipeline.runtime.api import Record
from pipeline.runtime.ends import ends_within
from pipeline.runtime.log import Log, TopicPartition

log = structlog.get_logger(__name__)

FETCH_MS = 100
"""How long one fetch waits when nothing comes; bounds how late :meth:`GlobalTable.caught_up` notices the end."""
RETRY_S = 1.0
"""Pause before a reader that failed is replaced."""
HANGS_S = 10.0
"""A reader hangs that does not move for so long towards what is asked for; brokers are away that do not tell the ends
within it. Looked at this often, so that one wait for the table outlives a reader that hangs."""
MOST_S = 160.0
"""... and twice as long each time, up to this: one slow fetch, or an open transaction, looks like a hang as well."""
STOP_S = 5.0
"""How long a reader that is let go may take to stop; then it is left behind."""


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
        self._starting = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()
        self._positions: dict[TopicPartition, int] = {}
        self._wanted: dict[TopicPartition, int] = {}
        """How far somebody asked for."""
        self._patience_s = HANGS_S

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
        async with self._starting:
            if self._task is None:
                count = await self._log.partitions(self.topic)
                self._partitions = [TopicPartition(self.topic, number) for number in range(count)]
                self._positions = await self._log.start_offsets(self._partitions)
                self._task = asyncio.create_task(self._follow(), name=f"table {self.topic}")
        ends = self._wanted = await self._log.end_offsets(self._partitions)
        async with self._moved:
            while self._behind(ends):
                await self._moved.wait()

    def _behind(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """The positions that are before these ends."""
        return {where: self._positions[where] for where, end in ends.items() if self._positions[where] < end}

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        """Read for ever; a reader that fails or hangs is replaced by one that goes on where it was."""
        while True:
            reading = asyncio.create_task(self._read(), name=f"table {self.topic} reader")
            try:
                await self._watch(reading)
            except Exception as error:
                log.warning("table interrupted", action="table_interrupted", topic=self.topic, cause=repr(error))
            finally:
                # A canceled fetch spoils its reader; this one is let go.
                reading.cancel()
                await asyncio.wait({reading}, timeout=STOP_S)
            await asyncio.sleep(RETRY_S)

    async def _watch(self, reading: asyncio.Task[None]) -> None:
        """Return never; raise what ended the reader, or DeadlinePassed when it hangs.

        A reader waits by itself for brokers that are away, and another one would do no better. So one that stands still
        is judged only while the brokers answer, and an outage makes no readers.
        """
        while not reading.done():
            behind = self._behind(self._wanted)
            judged = bool(behind) and await self._brokers_answer()
            patience_s = self._patience_s
            await asyncio.wait({reading}, timeout=patience_s)
            stands = behind.items() & self._behind(self._wanted).items()
            if judged and stands and not reading.done() and await self._brokers_answer():
                self._patience_s = min(2 * patience_s, MOST_S)
                raise DeadlinePassed(f"the reader of {self.topic} has not moved for {patience_s:g} s")
        if reading.cancelled():
            raise LogUnavailable(f"the reader of {self.topic} was cut off")
        reading.result()

    async def _brokers_answer(self) -> bool:
        return await ends_within(self._log, self._partitions, HANGS_S, topic=self.topic) is not None

    def _take(self, record: Record) -> None:
        try:
            self._apply(record)
        except Exception:
            # Raised on, it would be met again by every reader and at every start: one record would stop everything
            # that needs the table, for good, as a compacted topic keeps it.
            where = f"partition {record.partition} offset {record.offset}"
            log.exception("table record passed over", action="table_record_failed", topic=self.topic, where=where)

    async def _read(self) -> None:
        reader = await self._log.reader(self._positions)
        try:
            while True:
                records = await reader.fetch(timeout_ms=FETCH_MS, max_records=1_000)
                if _was_let_go():
                    # What it brings so late would step back behind what the next reader has applied.
                    return
                for record in records:
                    self._take(record)
                async with self._moved:
                    for where in self._partitions:
                        self._positions[where] = await reader.position(where)
                    self._moved.notify_all()
                if not self._behind(self._wanted):
                    self._patience_s = HANGS_S
        finally:
            await reader.stop()


def _was_let_go() -> bool:
    """Whether the present task was canceled, also when what it awaited took no notice of it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
