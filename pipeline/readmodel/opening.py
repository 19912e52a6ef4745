"""The read model of one process: opened by a gateway for as long as it runs, or by a command for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from pipeline.clock import Clock
from pipeline.errors import ReadModelUnavailable
from pipeline.readmodel.api_keys import SqlApiKeys
from pipeline.readmodel.database import Database
from pipeline.readmodel.ledger import SqlLedger
from pipeline.readmodel.migrating import prepare
from pipeline.readmodel.purge import Purge
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.settings.edges import ReadModelSettings

log = structlog.get_logger(__name__)

RETRY_S: Final = 1.0
"""Pause before a database that is away is tried again."""


class ReadModel:
    """The ports over one database. A service of a process: :meth:`run`, :meth:`stop`, :meth:`missing`.

    Nothing needs the database to be there at the start: until it is, everything raises ReadModelUnavailable.
    ``idempotency_ms`` is how long an Idempotency-Key is remembered, ``horizon_ms`` how long an id; ``max_waiting``
    bounds who may wait for the ledger.
    """

    def __init__(
        self,
        *,
        settings: ReadModelSettings,
        clock: Clock,
        idempotency_ms: int,
        horizon_ms: int,
        max_waiting: int,
    ) -> None:
        self._settings = settings
        self.database = Database(settings)
        self._purge = Purge(database=self.database, clock=clock, idempotency_ms=idempotency_ms, horizon_ms=horizon_ms)
        self.ledger = SqlLedger(database=self.database, horizon_ms=horizon_ms, max_waiting=max_waiting)
        self.verifications = SqlVerifications(self.database)
        self.api_keys = SqlApiKeys(self.database)
        self._stopping = asyncio.Event()
        self._ready = False

    async def run(self) -> None:
        """Work until :meth:`stop`; raises Misconfigured when the tables are behind and shall not be updated here."""
        try:
            parts = [asyncio.create_task(self._work()), asyncio.create_task(self._stopping.wait())]
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for part in parts:
                    part.cancel()
                ended = await asyncio.gather(*parts, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error
        finally:
            self._ready = False
            await self.database.close()

    async def _work(self) -> None:
        await prepared(self._settings, self.database)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ledger.run(), name="ledger")
            group.create_task(self._purge.run(), name="purge")
            # The ledger answers from its first turn on; who is told before that nothing is missing is turned away.
            await asyncio.sleep(0)
            self._ready = True

    def stop(self) -> None:
        """Begin a clean end."""
        self._stopping.set()

    def missing(self) -> list[str]:
        """What is still needed before it answers."""
        return [] if self._ready else ["readmodel: the database was not reached yet"]


async def prepared(settings: ReadModelSettings, database: Database) -> None:
    """Wait until the database answers and its tables are as they must be; raises Misconfigured when they never will."""
    told = False
    while True:
        try:
            await prepare(settings, database)
        except ReadModelUnavailable as error:
            if not told:
                log.warning("read model away", action="readmodel_away", cause=str(error))
                told = True
            await asyncio.sleep(RETRY_S)
        else:
            return


@asynccontextmanager
async def opened(settings: ReadModelSettings) -> AsyncIterator[Database]:
    """The database for a command: its tables are made sure of; raises ReadModelUnavailable at once, Misconfigured."""
    database = Database(settings)
    try:
        await prepare(settings, database)
        yield database
    finally:
        await database.close()
