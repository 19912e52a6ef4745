"""SQLite without room: the projector waits, loses nothing, and goes on when there is some."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from pipeline.readmodel.database import Database
from pipeline.readmodel.migrating import migrate
from pipeline.readmodel.verifications import SqlVerifications
from tests.contract.readmodel.projecting import World, until, until_got
from tests.contract.readmodel.support import outcome

ROOM_PAGES = 20
MANY = 300


async def test_a_projector_that_has_no_room_waits_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.readmodel.projector.RETRY_S", 0.05)
    world = World(f"sqlite:///{tmp_path}/readmodel.sqlite")
    await migrate(world.settings)
    database = Database(world.settings)
    room: list[int] = []

    def bounded(connection: Connection) -> None:
        # The library's own bound on a file, which it answers as it does a full disk (SQLITE_FULL).
        pages = room[0] if room else 2**31
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    projector = await world.projector()
    event.listen(projector._database.engine.sync_engine, "begin", bounded)
    verifications = SqlVerifications(database)
    async with world.projecting_with(projector):
        await world.publish(outcome("v0"))
        await until_got(verifications, "v0", 1)
        room.append(await database.read(_pages) + ROOM_PAGES)
        await world.publish(*(outcome(f"v{n}", external_id="x" * 2_000) for n in range(1, MANY)))
        await until(projector.missing)
        assert await database.read(_pages) <= room[0]
        room.clear()
        for n in range(MANY):
            await until_got(verifications, f"v{n}", 1)
    await database.close()


def _pages(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
