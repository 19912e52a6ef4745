"""Verifications got and listed from the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, tuple_

from pipeline.readmodel import cursor
from pipeline.readmodel.cursor import Position
from pipeline.readmodel.database import Database
from pipeline.readmodel.fold import DeliveryRow, late
from pipeline.readmodel.late import merged
from pipeline.readmodel.ports import Filter, Page
from pipeline.readmodel.statements import AnyRow
from pipeline.readmodel.tables import DELIVERIES, VERIFICATIONS

_V = VERIFICATIONS.c
_SHOWN = (_V.id, _V.is_final, _V.created_at, _V.view)

GET = (
    select(_V.is_final, _V.view, *DELIVERIES.c)
    .select_from(VERIFICATIONS.outerjoin(DELIVERIES, DELIVERIES.c.verification_id == _V.id))
    .where(_V.id == bindparam("wanted_id"), _V.tenant == bindparam("wanted_tenant"))
)
_REPORTS = select(DELIVERIES).where(DELIVERIES.c.verification_id.in_(bindparam("ids", expanding=True)))


class SqlVerifications:
    """See :class:`pipeline.readmodel.ports.Verifications`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str, verification_id: str) -> bytes | None:
        """One as the API shows it."""
        if _unfit(tenant, verification_id):
            return None
        values = {"wanted_id": verification_id, "wanted_tenant": tenant}

        def work(connection: Connection) -> Sequence[AnyRow]:
            return connection.execute(GET, values).all()

        rows = await self._database.read(work)
        if not rows:
            return None
        view: bytes = rows[0].view
        if not rows[0].is_final or rows[0].attempt_id is None:
            return view
        return merged(view, (late(DeliveryRow(*tuple(row)[2:])) for row in rows))

    async def page(self, wanted: Filter) -> Page:
        """A page of a tenant's verifications."""
        begin = cursor.decode(wanted)
        if _unfit(wanted.tenant, wanted.external_id, wanted.job_id):
            return Page([], None)
        statement = listing(wanted, begin)

        def work(connection: Connection) -> tuple[Sequence[AnyRow], dict[str, list[DeliveryRow]]]:
            rows = connection.execute(statement).all()
            ended = [row.id for row in rows[: wanted.limit] if row.is_final]
            return rows, _reports(connection, ended)

        rows, reports = await self._database.read(work)
        shown = rows[: wanted.limit]
        items = [merged(row.view, map(late, reports[row.id])) if row.id in reports else row.view for row in shown]
        more = len(rows) > len(shown)
        last = Position(shown[-1].created_at, shown[-1].id) if shown else None
        return Page(items, cursor.encode(wanted, last) if more and last is not None else None)


def listing(wanted: Filter, begin: Position | None) -> Select[Any]:
    """One row more than wanted, which tells whether there is another page."""
    conditions = [_V.tenant == wanted.tenant]
    for column, value in ((_V.state, wanted.state), (_V.external_id, wanted.external_id), (_V.job_id, wanted.job_id)):
        if value is not None:
            conditions.append(column == value)
    if wanted.from_at is not None:
        conditions.append(_V.created_at >= wanted.from_at)
    if wanted.to_at is not None:
        conditions.append(_V.created_at < wanted.to_at)
    order = (_V.created_at, _V.id)
    if begin is not None:
        here, there = tuple_(*order), tuple_(*begin)
        conditions.append(here > there if wanted.reverse else here < there)
    ordered = order if wanted.reverse else tuple(column.desc() for column in order)
    return select(*_SHOWN).where(*conditions).order_by(*ordered).limit(wanted.limit + 1)


def _reports(connection: Connection, ids: Sequence[str]) -> dict[str, list[DeliveryRow]]:
    found: dict[str, list[DeliveryRow]] = defaultdict(list)
    if ids:
        for row in connection.execute(_REPORTS, {"ids": ids}):
            found[row.verification_id].append(DeliveryRow(*row))
    return found


def _unfit(*texts: str | None) -> bool:
    """PostgreSQL stores no NUL and refuses to look for one, so nothing can be found under it."""
    return any(_has_nul(text) for text in texts)


def _has_nul(text: str | None) -> bool:
    return text is not None and "\0" in text
