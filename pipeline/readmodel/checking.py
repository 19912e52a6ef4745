"""What ``pipeline readmodel check`` tells of the database."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from pipeline.readmodel import positions, shadow
from pipeline.readmodel.database import Database
from pipeline.readmodel.migrating import Standing, Tables, look
from pipeline.readmodel.positions import Positions
from pipeline.readmodel.tables import LIVE
from pipeline.settings.edges import ReadModelSettings


class Checked(NamedTuple):
    """How the database stands."""

    tables: Tables
    epoch: int | None
    """How often the tables were made; None before they are there."""
    folded: int | None
    """Records folded, by the positions: also those that retention took before."""
    left_over: bool
    """Whether there are tables of a rebuild that runs or was stopped."""


async def checked(settings: ReadModelSettings) -> Checked:
    """Look, and change nothing. Raises ReadModelUnavailable."""
    database = Database(settings)

    def work(connection: Connection) -> tuple[int, int, bool]:
        known = Positions(LIVE.positions, is_postgresql=database.is_postgresql).read(connection)
        return positions.epoch(connection), sum(known.values()), shadow.left_over(connection)

    try:
        tables = await look(database)
        if tables.standing is Standing.BEHIND and tables.revision is None:
            return Checked(tables, None, None, False)
        return Checked(tables, *await database.read(work))
    finally:
        await database.close()
