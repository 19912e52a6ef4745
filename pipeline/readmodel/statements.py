"""Inserting many rows with one statement, on either engine; what is inserted is said the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, Text, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY

Insert = postgresql.Insert | sqlite.Insert
AnyRow = Row[*tuple[Any, ...]]
Rows = Sequence[Sequence[Any]]
"""Each with a value per column, in the order of the table."""


def any_of(column: ColumnElement[str], name: str, *, is_postgresql: bool) -> ColumnElement[bool]:
    """``column`` is one of the texts that are given as ``name`` when it is run; one statement for any number."""
    if is_postgresql:
        return column == func.any(bindparam(name, type_=ARRAY(Text())))
    return column.in_(bindparam(name, expanding=True))


class InsertMany:
    """``INSERT INTO table ... ON CONFLICT ... RETURNING``, prepared once.

    PostgreSQL gets one array per column, which costs a third less than a placeholder per value, and one statement
    whatever the number of rows; they are inserted in the order given, so that two who insert the same rows never wait
    for each other in a circle when both sort them.
    """

    def __init__(
        self,
        table: Table,
        *,
        is_postgresql: bool,
        on_conflict: Callable[[Insert], Insert] = lambda insert: insert.on_conflict_do_nothing(),
    ) -> None:
        self._is_postgresql = is_postgresql
        self._names = [column.name for column in table.columns]
        insert: Insert
        if is_postgresql:
            arrays = [bindparam(column.name, type_=ARRAY(type(column.type)())) for column in table.columns]
            told = func.unnest(*arrays).table_valued(*self._names, name="told").render_derived()
            insert = postgresql.insert(table).from_select(self._names, select(*[told.c[name] for name in self._names]))
        else:
            insert = sqlite.insert(table)
        self._statement = on_conflict(insert).returning(*table.primary_key)

    def __call__(self, connection: Connection, rows: Rows) -> Sequence[AnyRow]:
        """The primary keys of the rows that were inserted, or changed."""
        if not rows:
            return []
        if self._is_postgresql:
            columns = zip(*rows, strict=True)
            return connection.execute(self._statement, dict(zip(self._names, columns, strict=True))).all()
        told = [dict(zip(self._names, row, strict=True)) for row in rows]
        return connection.execute(self._statement, told).all()
