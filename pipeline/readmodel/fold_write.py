"""Writing a batch of folded records into the tables, so that repeats and older versions change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, or_, select

from pipeline.readmodel.fold import DeliveryRow, Folding, late
from pipeline.readmodel.late import is_needless
from pipeline.readmodel.statements import AnyRow, Insert, InsertMany, any_of
from pipeline.readmodel.tables import Folded

_KEY: Final = ("verification_id", "attempt_id", "provider", "reference")


class FoldWriter:
    """The statements for one set of tables, prepared once."""

    def __init__(self, tables: Folded, *, is_postgresql: bool) -> None:
        verifications, deliveries = tables.verifications, tables.deliveries
        there, report = verifications.c, deliveries.c

        def newer(insert: Insert) -> Insert:
            told = insert.excluded
            return insert.on_conflict_do_update(
                index_elements=[there.id],
                set_={column.name: told[column.name] for column in there if not column.primary_key},
                # As Row.age; what a gateway wrote at the start gives way to any outcome.
                where=or_(
                    there.version == 0,
                    told.created_at > there.created_at,
                    and_(told.created_at == there.created_at, told.version > there.version),
                ),
            )

        def higher(insert: Insert) -> Insert:
            told = insert.excluded
            return insert.on_conflict_do_update(
                index_elements=[report[name] for name in _KEY],
                set_={column.name: told[column.name] for column in report if not column.primary_key},
                where=told.rank > report.rank,
            )

        self._outcomes = InsertMany(verifications, is_postgresql=is_postgresql, on_conflict=newer)
        self._reports = InsertMany(deliveries, is_postgresql=is_postgresql, on_conflict=higher)
        self._kept = (
            select(there.is_final, there.view, *report)
            .select_from(deliveries.join(verifications, there.id == report.verification_id))
            .where(any_of(report.verification_id, "ids", is_postgresql=is_postgresql), there.version > 0)
        )
        self._kept_between = (
            select(there.is_final, there.view, *report)
            .select_from(deliveries.join(verifications, there.id == report.verification_id))
            .where(report.verification_id > bindparam("after"), there.version > 0)
        )
        self._last = report.verification_id <= bindparam("last")
        self._forget = delete(deliveries).where(*(report[name] == bindparam(f"{name}_") for name in _KEY))

    def __call__(self, connection: Connection, folding: Folding) -> None:
        """Write everything."""
        # Sorted, so that two that write the same rows do not wait for each other in a circle.
        self._outcomes(connection, [folding.rows[verification_id] for verification_id in sorted(folding.rows)])
        self._reports(connection, [folding.reports[key] for key in sorted(folding.reports)])
        # Keep no report that its outcome tells as well: nearly all do, and they would double the table. Which are kept
        # follows from the rows alone, whatever the order in which they came.
        ids = sorted(folding.rows.keys() | {key[0] for key in folding.reports})
        if ids:
            self._forget_of(connection, connection.execute(self._kept, {"ids": ids}).all())

    def forget_needless(self, connection: Connection, after: str, last: str | None) -> None:
        """The same for all verifications with ids after ``after`` and up to ``last``."""
        between = self._kept_between if last is None else self._kept_between.where(self._last)
        self._forget_of(connection, connection.execute(between, {"after": after, "last": last}).all())

    def _forget_of(self, connection: Connection, rows: Sequence[AnyRow]) -> None:
        needless = []
        for row in rows:
            kept = DeliveryRow(*tuple(row)[2:])
            if is_needless(row.view, late(kept), is_final=row.is_final):
                needless.append({f"{name}_": getattr(kept, name) for name in _KEY})
        if needless:
            connection.execute(self._forget, needless)
