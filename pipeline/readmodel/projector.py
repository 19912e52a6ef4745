"""The projector: folds outcomes and reports into the database, with the positions in the same transaction.

Several share the partitions by Kafka's consumer group, but positions are never committed there. Whatever is repeated
(a lost transaction, two owners during a rebalance) changes nothing: rows are guarded by their version, positions only
move on. When the database is away the partitions are let rest and begun anew where it left them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection

from pipeline.clock import Clock
from pipeline.errors import Infrastructure
from pipeline.readmodel import positions
from pipeline.readmodel.database import Database, UnfitValue
from pipeline.readmodel.decoding import Decoder
from pipeline.readmodel.fold import Folding
from pipeline.readmodel.fold_write import FoldWriter
from pipeline.readmodel.lag import LagMeter
from pipeline.readmodel.migrating import prepare
from pipeline.readmodel.opening import prepared
from pipeline.readmodel.positions import TOPICS, Positions
from pipeline.readmodel.tables import LIVE
from pipeline.runtime.api import Record
from pipeline.runtime.context import Sink
from pipeline.runtime.log import GroupReader, Log, TopicPartition
from pipeline.settings.edges import ReadModelSettings

log = structlog.get_logger(__name__)

NAME: Final = "projector"
"""Of the stage in metrics, and of the consumer group."""
FETCH_MS: Final = 200
"""How long one fetch waits when nothing comes."""
APART_S: Final = 0.1
"""Transactions begin at least so far apart, unless more waits than fits into one: most of what one costs is its own."""
RETRY_S: Final = 1.0
"""Pause before a database or a Kafka that is away is tried again."""


class _Swapped(Exception):
    """A rebuild has put other tables into place."""


class Projector:
    """A service of a process; ``instance`` is its ordinal among the projectors.

    ``decoder`` reads records, ``measures`` takes what is counted.
    """

    def __init__(
        self,
        *,
        log: Log,
        settings: ReadModelSettings,
        clock: Clock,
        decoder: Decoder,
        measures: Sink,
        instance: int = 0,
    ) -> None:
        self._log = log
        self._settings = settings
        self._clock = clock
        self._decoder = decoder
        self._measures = measures
        self._instance = instance
        self._database = Database(settings)
        self._write = FoldWriter(LIVE, is_postgresql=self._database.is_postgresql)
        self._positions = Positions(LIVE.positions, is_postgresql=self._database.is_postgresql)
        self._lag = LagMeter(log=log, stage=NAME, measures=measures)
        self._assigned: frozenset[TopicPartition] | None = None
        """What this projector owns; None before the group has said so."""
        self._next: dict[TopicPartition, int] = {}
        """Of the partitions that were placed: the next offset to fold."""
        self._epoch = 0
        self._began_s = 0.0
        """When the last transaction did, by the monotonic clock."""
        self._waits_for: str | None = None
        """What was told last of an outage."""
        self._stopping = asyncio.Event()

    def missing(self) -> list[str]:
        """What is still needed before it follows."""
        if self._assigned is None:
            return [f"{NAME}: not assigned yet"]
        left = len(self._assigned - self._next.keys())
        return [f"{NAME}: {left} partitions wait for the database"] if left else []

    def stop(self) -> None:
        """Begin a clean end."""
        self._stopping.set()

    async def run(self) -> None:
        """Fold until :meth:`stop`; raises Misconfigured for what only a person can mend."""
        work = asyncio.create_task(self._work(), name="projector work")
        helpers = [
            asyncio.create_task(self._lag.run(), name="projector lag"),
            asyncio.create_task(self._stopping.wait(), name="projector stop"),
        ]
        try:
            await asyncio.wait({work, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            # A fetch is never canceled, so the work ends by itself; only a database or Kafka that hangs is cut off.
            self._stopping.set()
            await asyncio.wait({work}, timeout=2 * FETCH_MS / 1000 + self._settings.timeout_s)
        finally:
            self._stopping.set()
            for part in (work, *helpers):
                part.cancel()
            ended = await asyncio.gather(work, *helpers, return_exceptions=True)
            await self._database.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _work(self) -> None:
        await prepared(self._settings, self._database)
        while not self._stopping.is_set():
            reader = self._log.group_reader(NAME, TOPICS, f"{NAME}-{self._instance}")
            try:
                await reader.start(self._on_assigned, self._on_revoked)
                while not self._stopping.is_set():
                    await self._turn(reader)
            except Infrastructure as error:
                log.warning("projector interrupted", action="projector_interrupted", cause=str(error))
                await self._pause()
            finally:
                self._assigned, self._next = None, {}
                self._lag.placed({})
                await reader.stop()

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> None:
        # Within the rebalance: bookkeeping only. They come paused.
        self._assigned = partitions
        self._next = {}

    async def _on_revoked(self, _: frozenset[TopicPartition]) -> None:
        # A transaction under way may still be committed: its successor starts before or behind it, and both are right.
        self._assigned = None
        self._next = {}
        self._measures.apply([("rebalances_total", 1.0, {"stage": NAME})])

    async def _turn(self, reader: GroupReader) -> None:
        """Fetch and fold once; place partitions that wait for it."""
        try:
            if self._assigned is not None and self._assigned - self._next.keys():
                await self._place(reader)
        except Infrastructure as error:
            await self._let_rest(reader, error)
        # Also while the database is away: a member that never fetches is thrown out of its group.
        fetched = await reader.fetch(timeout_ms=FETCH_MS, max_records=self._settings.batch)
        try:
            await self._fold(fetched)
        except _Swapped:
            log.info("tables swapped", action="projector_swapped")
            self._displace(reader)
        except Infrastructure as error:
            await self._let_rest(reader, error)
        await self._move(reader)
        if sum(map(len, fetched.values())) < self._settings.batch:
            await self._pause(self._began_s + APART_S - self._clock.monotonic_s())

    async def _let_rest(self, reader: GroupReader, error: Infrastructure) -> None:
        if self._waits_for != str(error):
            # Once: it may last for hours.
            self._waits_for = str(error)
            log.warning("projector waits", action="projector_waits", cause=self._waits_for)
        self._displace(reader)
        await self._pause()

    def _displace(self, reader: GroupReader) -> None:
        """Begin anew where the database says: what was fetched and not written is fetched again."""
        reader.pause(self._next)
        self._next = {}
        self._lag.placed({})

    async def _place(self, reader: GroupReader) -> None:
        """Seek everything owned to where the database has it, else to the first record kept."""

        def work(connection: Connection) -> tuple[int, dict[TopicPartition, int]]:
            # The epoch first: a swap between the two is noticed by the first transaction.
            return positions.epoch(connection), self._positions.read(connection)

        owned = self._assigned or frozenset()
        if self._waits_for is not None:
            # In the place of a database that was away there may be another one, restored or empty. Not at each
            # rebalance: looking at the tables reads the migrations from files, and the loop waits for that.
            await prepare(self._settings, self._database)
        self._epoch, known = await self._database.read(work)
        unknown = [where for where in owned if where not in known]
        starts = await self._log.start_offsets(unknown) if unknown else {}
        if owned != self._assigned:
            return  # the group has decided anew meanwhile
        self._next = {where: known[where] if where in known else starts[where] for where in owned}
        for where, offset in self._next.items():
            reader.seek(where, offset)
        reader.resume(owned)
        self._lag.placed(self._next)

    async def _move(self, reader: GroupReader) -> None:
        """Past the marks that transactions leave in the log, which are no records."""
        following = self._next
        for where in list(following):
            following[where] = max(following[where], await reader.position(where))
        if following is self._next:
            self._lag.placed(following)
            self._lag.gaps(reader.gaps)

    async def _fold(self, fetched: Mapping[TopicPartition, Sequence[Record]]) -> None:
        # What was fetched for an earlier placing is not of this one.
        parts = {where: found for where, found in fetched.items() if where in self._next}
        records = [record for where, found in parts.items() for record in found if record.offset >= self._next[where]]
        if not records:
            return
        following = self._next
        self._began_s = began_s = self._clock.monotonic_s()
        oldest_ms = min(record.timestamp_ms for record in records)
        await self._commit(records)
        self._waits_for = None
        for record in records:
            # Of the placing that they were fetched for; there may be another one by now.
            following[TopicPartition(record.topic, record.partition)] = record.offset + 1
        measured: list[tuple[str, float, dict[str, str]]] = [
            ("records_total", float(len(found)), {"stage": NAME, "topic": where.topic})
            for where, found in parts.items()
        ]
        measured += [
            ("transactions_total", 1.0, {"stage": NAME, "result": "committed"}),
            ("transaction_seconds", self._clock.monotonic_s() - began_s, {"stage": NAME}),
            ("hop_seconds", max(0.0, (self._clock.now_ms() - oldest_ms) / 1000), {"stage": NAME}),
        ]
        self._measures.apply(measured)

    async def _commit(self, records: Sequence[Record]) -> None:
        """Write these and the positions behind them; a record with a value that no database takes is left out."""
        folding = await self._decoder.folded(records)
        reached = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
        try:
            await self._database.write(lambda connection: self._written(connection, folding, reached))
        except UnfitValue:
            if len(records) == 1:
                self._decoder.skip(records[0], "unfit_value")
                await self._database.write(lambda connection: self._written(connection, Folding(), reached))
                return
            middle = len(records) // 2
            await self._commit(records[:middle])
            await self._commit(records[middle:])

    def _written(self, connection: Connection, folding: Folding, reached: Mapping[TopicPartition, int]) -> None:
        if positions.epoch_for_folding(connection) != self._epoch:
            raise _Swapped
        self._write(connection, folding)
        self._positions.advance(connection, reached)

    async def _pause(self, seconds: float = RETRY_S) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
