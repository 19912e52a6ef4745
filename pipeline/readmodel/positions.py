"""How far the records were folded: in the same transaction as the rows, so that both are always of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, Table, bindparam, select, update

from pipeline import topics
from pipeline.readmodel.statements import Insert, InsertMany
from pipeline.readmodel.tables import EPOCHS
from pipeline.runtime.log import TopicPartition

TOPICS: Final = (topics.OUTCOMES, topics.STATUSES, topics.bulk(topics.STATUSES))
"""What the tables are folded from."""
_PROJECTION: Final = "projection"


class Positions:
    """The next offset of each partition, for one table of them."""

    def __init__(self, table: Table, *, is_postgresql: bool) -> None:
        def further(insert: Insert) -> Insert:
            told = insert.excluded
            return insert.on_conflict_do_update(
                index_elements=[table.c.topic, table.c.partition],
                set_={"next_offset": told.next_offset},
                # Of two owners, as in a rebalance, the one that is further has folded all that the other has.
                where=told.next_offset > table.c.next_offset,
            )

        self._advance = InsertMany(table, is_postgresql=is_postgresql, on_conflict=further)
        self._all = select(table)

    def read(self, connection: Connection) -> dict[TopicPartition, int]:
        """All that are known."""
        return {
            TopicPartition(row.topic, row.partition): row.next_offset for row in connection.execute(self._all).all()
        }

    def advance(self, connection: Connection, positions: Mapping[TopicPartition, int]) -> None:
        """Move them on, never back."""
        rows = [(where.topic, where.partition, offset) for where, offset in sorted(positions.items())]
        self._advance(connection, rows)


_EPOCH = select(EPOCHS.c.epoch).where(EPOCHS.c.name == _PROJECTION)
_EPOCH_SHARED = _EPOCH.with_for_update(read=True)
_EPOCH_ALONE = _EPOCH.with_for_update()
_SET_EPOCH = update(EPOCHS).where(EPOCHS.c.name == _PROJECTION).values(epoch=bindparam("to"))


def epoch(connection: Connection) -> int:
    """Which making of the tables this is."""
    return int(connection.execute(_EPOCH).scalar_one())


def epoch_for_folding(connection: Connection) -> int:
    """The same, and no rebuild may swap the tables before this transaction ends."""
    return int(connection.execute(_EPOCH_SHARED).scalar_one())


def epoch_for_swap(connection: Connection) -> int:
    """The same, once nobody folds; whoever would waits for the end of this transaction."""
    return int(connection.execute(_EPOCH_ALONE).scalar_one())


def set_epoch(connection: Connection, to: int) -> None:
    """Tell every projector that the tables are others."""
    connection.execute(_SET_EPOCH, {"to": to})
