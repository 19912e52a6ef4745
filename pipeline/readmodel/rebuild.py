"""Folding everything anew from the first record kept, while the old tables serve and projectors go on.

Killed at any moment it leaves the old tables as they are; the next run begins anew. In order: fold the topics into
shadow tables up to their ends; carry over the rows that the topics hold no more; catch up; then, in one transaction
that keeps projectors waiting, read what they were ahead, take the version-0 rows of the gateways and swap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pipeline.dev.filelock import FileLock
from pipeline.errors import DeadlinePassed, ReadModelUnavailable, UsageError
from pipeline.readmodel import positions
from pipeline.readmodel.database import Database, UnfitValue, translated
from pipeline.readmodel.decoding import Decoder
from pipeline.readmodel.fold import Folding
from pipeline.readmodel.opening import opened
from pipeline.readmodel.positions import TOPICS
from pipeline.readmodel.shadow import ROWS_AT_ONCE, Shadow
from pipeline.runtime.api import Record
from pipeline.runtime.log import Log, Reader, TopicPartition
from pipeline.settings.edges import ReadModelSettings

log = structlog.get_logger(__name__)

FETCH_MS: Final = 200
HOLD_S: Final = 10.0
"""How long projectors may be kept waiting for one try of the swap."""
SWAP_TRIES: Final = 10
PAUSE_S: Final = 1.0
"""Between two tries."""
_LOCK: Final = 0x7665726966790002
_BUSY: Final = "another rebuild of this database is running"


class Progress(NamedTuple):
    """How far it is."""

    phase: str
    done: int
    """Records read, or rows looked at."""
    total: int
    """Of the records or rows that were there when the phase began."""


Tell = Callable[[Progress], None]


class Rebuilt(NamedTuple):
    """What a rebuild has done."""

    records: int
    carried_over: int
    """Rows that only the old tables had: Kafka keeps them no more, or a projector was ahead of the reading."""
    epoch: int


class Rebuild:
    """One rebuild; ``tell`` is called often."""

    def __init__(self, *, settings: ReadModelSettings, log: Log, decoder: Decoder, tell: Tell) -> None:
        self._settings = settings
        self._log = log
        self._decoder = decoder
        self._tell = tell
        self._database = Database(settings, patient=True)
        self._next: dict[TopicPartition, int] = {}
        self._records = 0
        self._reader: Reader

    async def run(self) -> Rebuilt:
        """Raises ReadModelUnavailable, LogUnavailable, Misconfigured, and UsageError while another one runs."""
        try:
            async with opened(self._settings), self._alone():
                return await self._run()
        finally:
            await self._database.close()

    async def _run(self) -> Rebuilt:
        partitions = [TopicPartition(topic, n) for topic in TOPICS for n in range(await self._log.partitions(topic))]
        self._next = await self._log.start_offsets(partitions)
        self._shadow = await self._database.write(_begun)
        self._reader = await self._log.reader(self._next)
        try:
            await self._catch_up("reading")
            self._tell(Progress("indexing", 0, 1))
            await self._database.write(self._shadow.index)
            carried_over = await self._carry_over()
            epoch = await self._swap()
        finally:
            await self._reader.stop()
        return Rebuilt(self._records, carried_over, epoch)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _catch_up(self, phase: str) -> None:
        """Fold to the ends of this moment."""
        ends = await self._log.end_offsets(self._next)
        starts = dict(self._next)
        total = sum(max(0, end - starts[where]) for where, end in ends.items())
        while any(self._next[where] < end for where, end in ends.items()):
            records = await self._reader.fetch(timeout_ms=FETCH_MS, max_records=self._settings.batch)
            await self._fold(records, self._database)
            await self._move()
            done = sum(min(self._next[where], end) - starts[where] for where, end in ends.items())
            self._tell(Progress(phase, done, total))

    async def _fold(self, records: Sequence[Record], into: Database | AsyncConnection) -> None:
        if not records:
            return
        folding = await self._decoder.folded(records)
        reached = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        try:
            await self._write(into, folding, reached)
        except UnfitValue:
            if len(records) == 1:
                self._decoder.skip(records[0], "unfit_value")
                await self._write(into, Folding(), reached)
                return
            middle = len(records) // 2
            await self._fold(records[:middle], into)
            await self._fold(records[middle:], into)
            return
        self._records += len(records)

    async def _write(
        self, into: Database | AsyncConnection, folding: Folding, reached: Mapping[TopicPartition, int]
    ) -> None:
        def work(connection: Connection) -> None:
            self._shadow.write(connection, folding, reached)

        if isinstance(into, Database):
            await into.write(work)
        else:
            with translated():
                async with into.begin_nested():
                    await into.run_sync(work)

    async def _move(self) -> None:
        """Past the marks that transactions leave in the log, which are no records."""
        for where in self._next:
            self._next[where] = max(self._next[where], await self._reader.position(where))

    async def _go_back(self, reached: Mapping[TopicPartition, int], records: int) -> None:
        """To where it was: what was folded in a transaction that was rolled back has to be read once more."""
        await self._reader.stop()
        self._next, self._records = dict(reached), records
        self._reader = await self._log.reader(self._next)

    # --- the end -----------------------------------------------------------------------------------------------------

    async def _carry_over(self) -> int:
        """Rows of the old tables that the topics hold no more."""

        def rows(connection: Connection) -> tuple[int, int]:
            old, new = (
                select(func.count()).select_from(text(name)) for name in ("verifications", "verifications_shadow")
            )
            return connection.execute(old).scalar_one(), connection.execute(new).scalar_one()

        total, before = await self._database.read(rows)
        after, done = "", 0
        while True:
            found = await self._database.write(partial(self._shadow.carry_over, after=after))
            if found is None:
                break
            after, done = found, min(total, done + ROWS_AT_ONCE)
            self._tell(Progress("carrying over", done, total))
        return (await self._database.read(rows))[1] - before

    async def _swap(self) -> int:
        for left in reversed(range(SWAP_TRIES)):
            await self._catch_up("catching up")
            reached, records = dict(self._next), self._records
            try:
                with translated():
                    async with asyncio.timeout(HOLD_S), self._database.engine.begin() as connection:
                        return await self._swap_within(connection)
            except (ReadModelUnavailable, DeadlinePassed) as error:
                if not left:
                    raise
                log.info("swap put off", action="readmodel_swap_put_off", cause=str(error))
            await self._go_back(reached, records)
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("unreachable")

    async def _swap_within(self, connection: AsyncConnection) -> int:
        """Projectors wait from the first line to the end of the transaction; the old tables are read until the last."""
        epoch = await connection.run_sync(positions.epoch_for_swap)
        while behind := await connection.run_sync(self._shadow.behind):
            if all(self._next[where] >= offset for where, offset in behind.items()):
                # Only marks of transactions are between.
                await self._write(connection, Folding(), behind)
                continue
            records = await self._reader.fetch(timeout_ms=FETCH_MS, max_records=self._settings.batch)
            await self._fold(records, connection)
            await self._move()
        await connection.run_sync(self._shadow.lock)
        await connection.run_sync(lambda told: self._shadow.swap(told, epoch))
        return epoch + 1

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """At most one rebuild at a time; the lock goes with the process."""
        async with contextlib.AsyncExitStack() as held:
            file = self._database.address.file
            if file is not None:
                try:
                    held.enter_context(FileLock(file.with_suffix(".rebuild"), timeout_s=0.0))
                except DeadlinePassed:
                    raise UsageError(_BUSY) from None
            else:
                with translated():
                    connection = await held.enter_async_context(self._database.engine.connect())
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                    # Given back to the pool it would keep the lock.
                    held.push_async_callback(connection.invalidate)
                    took = await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK})
                if not took.scalar_one():
                    raise UsageError(_BUSY)
            yield


def _begun(connection: Connection) -> Shadow:
    shadow = Shadow(connection)
    shadow.make(connection)
    return shadow
