"""The second set of tables that a rebuild fills, and how it takes the place of the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text
from sqlalchemy.schema import CreateTable

from pipeline.readmodel import positions
from pipeline.readmodel.fold import Folding
from pipeline.readmodel.fold_write import FoldWriter
from pipeline.readmodel.positions import Positions
from pipeline.readmodel.statements import insert_select
from pipeline.readmodel.tables import LIVE, folded
from pipeline.runtime.log import TopicPartition

SUFFIX: Final = "_shadow"
ROWS_AT_ONCE: Final = 2_000
"""Old rows carried over in one transaction."""
LOCK_WITHIN: Final = "2s"
"""How long the swap waits for those who read: whoever comes after it waits behind it."""


class Shadow:
    """The shadow tables of one rebuild; all methods are parts of transactions."""

    def __init__(self, connection: Connection) -> None:
        """Take the names that are free: those of the indexes in force may be the shadow's of an earlier rebuild."""
        self._is_postgresql = connection.dialect.name == "postgresql"
        taken = {index["name"] for index in inspect(connection).get_indexes(LIVE.verifications.name)}
        suffix = "" if any(str(name).endswith(SUFFIX) for name in taken) else SUFFIX
        self.tables = folded(MetaData(), suffix=SUFFIX, index_suffix=suffix)
        self._write = FoldWriter(self.tables, is_postgresql=self._is_postgresql)
        self._positions = Positions(self.tables.positions, is_postgresql=self._is_postgresql)
        self._live_positions = Positions(LIVE.positions, is_postgresql=self._is_postgresql)

    def make(self, connection: Connection) -> None:
        """Empty tables, without the indexes; what a rebuild that was killed has left is removed."""
        for table in self.tables:
            connection.execute(text(f"DROP TABLE IF EXISTS {table.name}"))
            connection.execute(CreateTable(table))

    def index(self, connection: Connection) -> None:
        """The indexes, quicker once the rows are there."""
        for index in sorted(self.tables.verifications.indexes, key=lambda one: str(one.name)):
            index.create(connection)
        if self._is_postgresql:
            connection.execute(text(f"ANALYZE {self.tables.verifications.name}"))

    def write(self, connection: Connection, folding: Folding, reached: Mapping[TopicPartition, int]) -> None:
        """Take a batch."""
        self._write(connection, folding)
        self._positions.advance(connection, reached)

    def carry_over(self, connection: Connection, after: str) -> str | None:
        """Take some rows that only the old tables have, by id after ``after``; the last id looked at, None at the end.

        The topics keep records for a time only, and the rows outlive them. What the shadow has itself is better.
        """
        last: str | None = None
        for old, new, key in (
            (LIVE.verifications, self.tables.verifications, "id"),
            (LIVE.deliveries, self.tables.deliveries, "verification_id"),
        ):
            here = old.c[key] > after
            if old is LIVE.verifications:
                ids = select(old.c.id).where(here).order_by(old.c.id).limit(ROWS_AT_ONCE).subquery()
                last = connection.execute(select(func.max(ids.c.id))).scalar()
            here = here if last is None else here & (old.c[key] <= last)
            connection.execute(insert_select(new, select(old).where(here), is_postgresql=self._is_postgresql))
        # Of those carried over, what an outcome in the shadow tells as well.
        self._write.forget_needless(connection, after, last)
        return last

    def behind(self, connection: Connection) -> dict[TopicPartition, int]:
        """Where the old tables are further than the shadow: how far they are."""
        mine = self._positions.read(connection)
        return {
            where: offset
            for where, offset in self._live_positions.read(connection).items()
            if offset > mine.get(where, 0)
        }

    def lock(self, connection: Connection) -> None:
        """From now on to the end of the transaction nobody writes the old tables, nor reads them on PostgreSQL.

        Projectors are held before; gateways wait for the blink that the swap takes.
        """
        if self._is_postgresql:
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}'"))
            names = ", ".join(table.name for table in LIVE)
            connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))

    def swap(self, connection: Connection, epoch: int) -> None:
        """Put the shadow into place, with its positions, under the next epoch."""
        started = select(LIVE.verifications).where(LIVE.verifications.c.version == text("0"))
        connection.execute(insert_select(self.tables.verifications, started, is_postgresql=self._is_postgresql))
        reached = self._positions.read(connection)
        connection.execute(LIVE.positions.delete())
        self._live_positions.advance(connection, reached)
        for old, new in ((LIVE.verifications, self.tables.verifications), (LIVE.deliveries, self.tables.deliveries)):
            connection.execute(text(f"DROP TABLE {old.name}"))
            connection.execute(text(f"ALTER TABLE {new.name} RENAME TO {old.name}"))
            if self._is_postgresql:
                _rename_indexes(connection, old)
        connection.execute(text(f"DROP TABLE {self.tables.positions.name}"))
        positions.set_epoch(connection, epoch + 1)

    def remove(self, connection: Connection) -> None:
        """Leave nothing."""
        for table in self.tables:
            connection.execute(text(f"DROP TABLE IF EXISTS {table.name}"))


def left_over(connection: Connection) -> bool:
    """Whether a rebuild runs, or was killed, and its tables are there."""
    return inspect(connection).has_table(f"{LIVE.verifications.name}{SUFFIX}")


def _rename_indexes(connection: Connection, table: Table) -> None:
    """To the names that the migrations gave them; SQLite cannot, so there they alternate."""
    found = connection.execute(
        text("SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :table"),
        {"table": table.name},
    )
    for (name,) in found.all():
        if SUFFIX in name:
            connection.execute(text(f'ALTER INDEX "{name}" RENAME TO "{name.replace(SUFFIX, "")}"'))
