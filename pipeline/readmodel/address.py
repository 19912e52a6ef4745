"""The address of the database as settings have it, and as the driver wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pipeline.errors import SettingsError

_FORMS: Final = "`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`"


class Address(NamedTuple):
    """Where the database is."""

    url: URL
    """With the asynchronous driver."""
    file: Path | None
    """Of SQLite."""


def parse(told: str) -> Address:
    """The address that ``readmodel.url`` means; raises SettingsError, without repeating it: it may hold a password."""
    try:
        url = make_url(told)
    except (ArgumentError, ValueError):
        raise SettingsError(f"readmodel.url is no address of a database; write {_FORMS}") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:" or url.host:
            # Each connection would have a database of its own.
            raise SettingsError("readmodel.url names no file; write `sqlite:///FILE` (four slashes for a full path)")
        return Address(URL.create("sqlite+aiosqlite", database=url.database), Path(url.database))
    if backend in ("postgresql", "postgres"):
        if not url.database:
            raise SettingsError("readmodel.url names no database; write `postgresql://USER:PASSWORD@HOST/DATABASE`")
        return Address(url.set(drivername="postgresql+asyncpg", query=_query(url)), None)
    raise SettingsError(f"readmodel.url is of a kind that is not supported; write {_FORMS}")


def _query(url: URL) -> dict[str, Any]:
    """The driver calls it ``ssl`` what all other tools of PostgreSQL call ``sslmode``."""
    query: dict[str, Any] = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return query
