"""One process's connections to the database: SQLite by aiosqlite, PostgreSQL by asyncpg.

What is done with a connection is written as plain functions of it, the same for both engines (``Database.read`` and
``Database.write`` run them without blocking the loop). Whatever goes wrong is told without a driver's own words: they
quote the values that they were given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pipeline.errors import ReadModelUnavailable, UsageError
from pipeline.readmodel.address import Address, parse
from pipeline.settings.edges import ReadModelSettings

log = structlog.get_logger(__name__)
T = TypeVar("T")

TRIES: Final = 3
"""Of one transaction that lost its connection, or to another transaction, before it began to count."""
_LOST_TO_ANOTHER: Final = frozenset(("40001", "40P01"))
"""SQLSTATE of what another transaction made fail: to be done again."""
_VALUE_STATES: Final = ("22", "23", "54")
"""Classes of SQLSTATE that blame a value; the last one that it is too large for an index."""


class UnfitValue(ValueError):
    """The database takes everything but a value it was given: a mistake of ours, and no other entry's."""


class Database:
    """The engine; ``patient`` is for work that may take as long as it takes (migrations, a rebuild).

    Raises UsageError when SQLite's folder cannot be made.

    A committed write survives the machine's end on both: SQLite syncs the log at each commit (``synchronous=FULL``;
    ``NORMAL`` would be faster, and lose starts that a caller was told of when the power fails), as PostgreSQL does by
    default.
    """

    def __init__(self, settings: ReadModelSettings, *, patient: bool = False) -> None:
        self.address: Address = parse(settings.url.get_secret_value())
        self.is_postgresql = self.address.file is None
        self.timeout_s = settings.timeout_s
        """Of one statement, and of connecting."""
        arguments: dict[str, Any] = {}
        if self.address.file is not None:
            _make_folder(self.address.file.parent)
            arguments["timeout"] = settings.timeout_s
        else:
            ms = "0" if patient else str(int(settings.timeout_s * 1000))
            arguments |= {
                "timeout": settings.timeout_s,
                "command_timeout": None if patient else settings.timeout_s,
                "server_settings": {
                    "application_name": "verification-pipeline",
                    # Compiling a plan costs more than any query here takes.
                    "jit": "off",
                    # The server gives up as well, or it would go on with what nobody waits for.
                    "statement_timeout": ms,
                    "idle_in_transaction_session_timeout": ms,
                },
            }
        self.engine: AsyncEngine = create_async_engine(
            self.address.url,
            connect_args=arguments,
            hide_parameters=True,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.timeout_s,
            # Connections that a firewall or a failover forgot are left behind in time.
            pool_recycle=1_800,
        )
        self._closed = False
        self._reads = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        if not self.is_postgresql:
            event.listen(self.engine.sync_engine, "connect", _open_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` outside of any transaction, also twice when the connection is lost.

        Raises ReadModelUnavailable.
        """
        return await self._run(self._reads, work, transaction=False)

    async def write(self, work: Callable[[Connection], T], *, tries: int = TRIES) -> T:
        """Run ``work`` in one transaction, committed when it returns.

        It is run again when the connection is lost or another transaction makes it fail, so it may happen that it was
        committed and is run once more: with more than one try, doing it twice must be as good as once. Raises
        ReadModelUnavailable, and UnfitValue for a value that cannot be stored.
        """
        return await self._run(self.engine, work, transaction=True, tries=tries)

    async def _run(
        self, engine: AsyncEngine, work: Callable[[Connection], T], *, transaction: bool, tries: int = TRIES
    ) -> T:
        if self._closed:
            raise ReadModelUnavailable("the database of verifications was closed")
        with translated():
            for left in reversed(range(tries)):
                try:
                    if transaction:
                        async with engine.begin() as connection:
                            return await connection.run_sync(work)
                    async with engine.connect() as connection:
                        return await connection.run_sync(work)
                except DBAPIError as error:
                    if not left or not _worth_another_try(error):
                        raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Release connections; nothing is asked any more."""
        self._closed = True
        with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
            await self.engine.dispose()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of driver and network become ours; the original is not chained, as it may quote values."""
    try:
        yield
    except StatementError as error:
        if _blames_value(error):
            raise UnfitValue(f"the database of verifications refuses a value ({_name(error)})") from None
        raise _unavailable(_name(error)) from None
    except (OverflowError, UnicodeError) as error:
        # Not even written down: a lone surrogate, a number of more than 64 bits.
        raise UnfitValue(f"the database of verifications refuses a value ({type(error).__name__})") from None
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise _unavailable(type(error).__name__) from None


def _unavailable(cause: str) -> ReadModelUnavailable:
    return ReadModelUnavailable(f"the database of verifications does not answer ({cause})")


def _name(error: StatementError) -> str:
    """What kind of error: a class of ours or the driver's and its code."""
    original = error.orig
    state = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    name = type(original or error).__name__
    return f"{name} {state}" if state else name


def _blames_value(error: StatementError) -> bool:
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state:
        return state.startswith(_VALUE_STATES)
    # Without a code it never came to the server.
    return isinstance(error, DataError | IntegrityError) or isinstance(error.orig, ValueError | OverflowError)


def _worth_another_try(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _LOST_TO_ANOTHER


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"readmodel.url: its folder {folder} cannot be made ({error.strerror})") from None


def _open_sqlite(connection: Any, _: object) -> None:
    # The driver's own transactions begin too late: a writer that has read before would be refused, not wait.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        # At once for writing: two that began by reading could both never go on.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
