"""Bringing the tables to the form that this release works with, and telling whether they are."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from pipeline.errors import Misconfigured, UsageError
from pipeline.readmodel.database import Database
from pipeline.settings.edges import ReadModelSettings

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x7665726966790001
"""Of the whole database on PostgreSQL: processes that start at once migrate one after the other."""


class Standing(Enum):
    """How the tables compare with what this release works with."""

    CURRENT = "the tables are as this release wants them"
    BEHIND = "the tables are of an earlier release, or not made yet; `pipeline readmodel migrate` updates them"
    AHEAD = "the tables are of a later release; go on with the later one"


class Tables(NamedTuple):
    """What was found."""

    standing: Standing
    revision: str | None
    """Of the tables; None before the first."""
    wanted: str


async def look(database: Database) -> Tables:
    """How the tables stand; raises ReadModelUnavailable."""
    return await database.read(_look)


async def migrate(settings: ReadModelSettings, *, to: str = "head") -> Tables:
    """Update the tables, or take them back to an earlier revision (``base``: none); how they stand then.

    Raises ReadModelUnavailable, and UsageError for a revision that is not known, or not before the tables'.
    """
    expect_revision(to)
    database = Database(settings, patient=True)
    try:
        await database.write(lambda connection: _migrate(connection, to))
        return await look(database)
    finally:
        await database.close()


async def prepare(settings: ReadModelSettings, database: Database) -> None:
    """What a process does at its start: update the tables, or make sure that they need none.

    Tables of a later release are worked with: it is being rolled out, and only adds to them. Raises
    ReadModelUnavailable, and Misconfigured when the tables are behind and ``readmodel.migrate`` is off.
    """
    found = await look(database)
    if found.standing is not Standing.BEHIND:
        return
    if not settings.migrate:
        raise Misconfigured(f"readmodel: {Standing.BEHIND.value}, as readmodel.migrate is off")
    await migrate(settings)


def expect_revision(to: str) -> None:
    """Raises UsageError when ``to`` is nothing to migrate to."""
    _, scripts = _scripts()
    known = ["head", "base", *sorted(script.revision for script in scripts.walk_revisions())]
    if to not in known:
        raise UsageError(f"to: there is no revision {to!r}; use one of {', '.join(known)}")


def _scripts() -> tuple[Config, ScriptDirectory]:
    config = Config()
    # A percent sign of the folder's name would be taken for a variable's.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config, ScriptDirectory.from_config(config)


def _look(connection: Connection) -> Tables:
    _, scripts = _scripts()
    revision = MigrationContext.configure(connection).get_current_revision()
    wanted = scripts.get_current_head()
    assert wanted is not None
    known = {script.revision for script in scripts.walk_revisions()}
    if revision == wanted:
        return Tables(Standing.CURRENT, revision, wanted)
    behind = revision is None or revision in known
    return Tables(Standing.BEHIND if behind else Standing.AHEAD, revision, wanted)


def _migrate(connection: Connection, to: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config, scripts = _scripts()
    found = _look(connection)
    if found.standing is Standing.AHEAD:
        return
    passed = {script.revision for script in scripts.iterate_revisions(found.revision, "base")} if found.revision else ()
    if to not in ("head", "base", *passed):
        raise UsageError(f"to: the tables are at {found.revision or 'none'}, before {to}; only going back needs it")

    def steps(revision: Any, _: MigrationContext) -> Any:
        if to == "head":
            return scripts._upgrade_revs(to, revision)
        return scripts._downgrade_revs(to, revision)

    with EnvironmentContext(config, scripts, fn=steps) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
