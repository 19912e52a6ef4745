"""Forgetting what need not be recognised any more, a little at a time so that nobody waits for it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, Delete, Table, delete, select
from sqlalchemy.sql.elements import ColumnElement

from pipeline.clock import Clock
from pipeline.errors import ReadModelUnavailable
from pipeline.readmodel.database import Database
from pipeline.readmodel.tables import IDEMPOTENCY, STARTS, VERIFICATIONS

log = structlog.get_logger(__name__)

AT_ONCE: Final = 500
"""Rows in one transaction."""
PAUSE_S: Final = 0.05
"""Between two of them."""
EVERY_S: Final = 60.0
"""How late something may be forgotten."""


class _Kept(NamedTuple):
    table: Table
    for_ms: int
    which: ColumnElement[bool] | None = None


class Purge:
    """Runs beside the ledger; several gateways may do it at once.

    A start that never became a verification (its version is still 0 when its id is forgotten) goes as well: request
    topics keep nothing for so long, so nothing can come of it any more.
    """

    def __init__(self, *, database: Database, clock: Clock, idempotency_ms: int, horizon_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._kept = (
            _Kept(IDEMPOTENCY, idempotency_ms),
            _Kept(STARTS, horizon_ms),
            _Kept(VERIFICATIONS, horizon_ms, VERIFICATIONS.c.version == 0),
        )

    async def run(self) -> None:
        """Purge every minute until canceled."""
        while True:
            try:
                gone = await self.once()
                if gone:
                    log.info("forgotten", action="readmodel_purged", rows=gone)
            except ReadModelUnavailable as error:
                log.warning("not purged", action="readmodel_not_purged", cause=str(error))
            except Exception:
                log.exception("not purged", action="readmodel_not_purged")
            await asyncio.sleep(EVERY_S)

    async def once(self) -> int:
        """Forget all that is old enough; how many rows that were."""
        gone = 0
        for kept in self._kept:
            before = self._clock.now_ms() - kept.for_ms
            statement = self._statement(kept, before)
            while True:
                deleted = await self._database.write(partial(_deleted, statement))
                gone += deleted
                if deleted < AT_ONCE:
                    break
                await asyncio.sleep(PAUSE_S)
        return gone

    def _statement(self, kept: _Kept, before: int) -> Delete:
        row = kept.table.c
        (identity,) = kept.table.primary_key
        old = select(identity).where(row.created_at < before).order_by(row.created_at).limit(AT_ONCE)
        if kept.which is not None:
            old = old.where(kept.which)
        if self._database.is_postgresql:
            # What another gateway is deleting now need not be waited for.
            old = old.with_for_update(skip_locked=True)
        return delete(kept.table).where(identity.in_(old))


def _deleted(statement: Delete, connection: Connection) -> int:
    return connection.execute(statement).rowcount
