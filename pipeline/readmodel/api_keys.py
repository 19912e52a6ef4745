"""API keys kept in the database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from pipeline.readmodel.database import Database
from pipeline.readmodel.ports import StoredKey
from pipeline.readmodel.statements import InsertMany
from pipeline.readmodel.tables import API_KEYS


class SqlApiKeys:
    """See :class:`pipeline.readmodel.ports.ApiKeys`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = InsertMany(API_KEYS, is_postgresql=database.is_postgresql)

    async def all(self) -> Sequence[StoredKey]:
        """Every key by name."""

        def work(connection: Connection) -> list[StoredKey]:
            return [
                StoredKey(
                    name=row.name,
                    key_sha256=row.key_sha256,
                    tenant=row.tenant,
                    scopes=frozenset(row.scopes.split()),
                    created_at=row.created_at,
                    revoked_at=row.revoked_at,
                )
                for row in connection.execute(select(API_KEYS).order_by(API_KEYS.c.name))
            ]

        return await self._database.read(work)

    async def add(self, key: StoredKey) -> bool:
        """Keep a new key."""
        row = (key.name, key.key_sha256, key.tenant, " ".join(sorted(key.scopes)), key.created_at, key.revoked_at)
        return await self._database.write(lambda connection: bool(self._insert(connection, [row])), tries=1)

    async def revoke(self, name: str, *, at_ms: int) -> bool:
        """End a key."""
        statement = (
            update(API_KEYS).where(API_KEYS.c.name == name, API_KEYS.c.revoked_at.is_(None)).values(revoked_at=at_ms)
        )
        return await self._database.write(lambda connection: connection.execute(statement).rowcount == 1, tries=1)
