"""The tables are made and updated step by step, up and down, on either engine."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from pipeline.errors import Misconfigured, SettingsError, UsageError
from pipeline.readmodel.address import parse
from pipeline.readmodel.database import Database
from pipeline.readmodel.migrating import Standing, look, migrate, prepare
from pipeline.readmodel.tables import METADATA
from pipeline.settings.edges import ReadModelSettings


def settings_of(url: str, *, migrates: bool = True) -> ReadModelSettings:
    return ReadModelSettings.model_validate({"url": url, "migrate": migrates})


def tables_of(connection: Connection) -> list[str]:
    return sorted(set(inspect(connection).get_table_names()) - {"alembic_version"})


async def test_the_migrations_make_exactly_the_tables_that_the_program_works_with(url: str) -> None:
    await migrate(settings_of(url))
    database = Database(settings_of(url))
    try:
        different = await database.read(lambda c: compare_metadata(MigrationContext.configure(c), METADATA))
        indexes = await database.read(
            lambda c: {str(index["name"]) for name in tables_of(c) for index in inspect(c).get_indexes(name)}
        )
    finally:
        await database.close()

    assert different == []
    assert indexes == {str(index.name) for table in METADATA.tables.values() for index in table.indexes}


async def test_they_go_down_to_nothing_and_up_again(url: str) -> None:
    settings = settings_of(url)
    database = Database(settings)
    try:
        assert (await look(database)).standing is Standing.BEHIND
        assert (await migrate(settings)).standing is Standing.CURRENT
        assert await database.read(tables_of) == sorted(METADATA.tables)
        assert (await migrate(settings, to="base")).revision is None
        assert await database.read(tables_of) == []
        assert (await migrate(settings)).standing is Standing.CURRENT
    finally:
        await database.close()


async def test_a_revision_that_cannot_be_gone_back_to_is_refused_with_the_reason(url: str) -> None:
    settings = settings_of(url)
    with pytest.raises(UsageError, match=r"to: there is no revision '9999'; use one of head, base, 0001"):
        await migrate(settings, to="9999")
    with pytest.raises(UsageError, match="to: the tables are at none, before 0001"):
        await migrate(settings, to="0001")
    await migrate(settings)
    assert (await migrate(settings, to="0001")).standing is Standing.CURRENT


async def test_many_processes_that_start_at_once_migrate_once(url: str) -> None:
    settings = settings_of(url)
    databases = [Database(settings) for _ in range(5)]
    try:
        await asyncio.gather(*(prepare(settings, database) for database in databases))
        assert {(await look(database)).standing for database in databases} == {Standing.CURRENT}
    finally:
        for database in databases:
            await database.close()


async def test_a_database_that_is_behind_and_not_to_be_migrated_is_told_with_the_fix(url: str) -> None:
    settings = settings_of(url, migrates=False)
    database = Database(settings)
    try:
        with pytest.raises(Misconfigured, match="pipeline readmodel migrate"):
            await prepare(settings, database)
        await migrate(settings)
        await prepare(settings, database)
    finally:
        await database.close()


async def test_tables_of_a_later_release_are_worked_with(url: str) -> None:
    settings = settings_of(url, migrates=False)
    await migrate(settings)
    database = Database(settings)
    try:
        await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
        assert (await look(database)).standing is Standing.AHEAD
        await prepare(settings, database)
        assert (await migrate(settings)).standing is Standing.AHEAD
    finally:
        await database.close()


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://h/d", "postgresql://h"])
def test_an_address_that_is_none_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"readmodel\.url") as refused:
        parse(url)
    assert not url or url not in str(refused.value).replace("`sqlite:///FILE`", "")


def test_a_password_is_not_repeated_either() -> None:
    with pytest.raises(SettingsError) as refused:
        parse("oracle://user:hunter2@host/name")
    assert "hunter2" not in str(refused.value)


def test_what_other_tools_call_sslmode_is_understood() -> None:
    assert parse("postgresql://u@h/d?sslmode=require").url.query == {"ssl": "require"}
