"""PostgreSQL killed, replaced by an empty one, or held up by a lock, while the projector folds: no row stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from pipeline.readmodel.database import Database
from pipeline.readmodel.verifications import SqlVerifications
from tests.contract.readmodel.projecting import World, until, until_got
from tests.contract.readmodel.support import final, outcome
from tests.postgres_fixtures import PostgresAbsent, PostgresServer, absent

TIMEOUT_S = 1.0
IDS = 20


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """One that a test may do anything to."""
    try:
        with PostgresServer() as server:
            yield server
    except PostgresAbsent as error:
        absent(str(error))


@pytest.fixture
def world(server: PostgresServer) -> World:
    world = World(server.url + "/postgres")
    world.settings = world.settings.model_copy(update={"timeout_s": TIMEOUT_S})
    return world


@asynccontextmanager
async def published(world: World) -> AsyncIterator[None]:
    """Outcomes of some verifications, one version after the other, until the block is over and the last is written."""
    over = asyncio.Event()

    async def publish() -> None:
        version = 0
        while not over.is_set():
            version += 1
            await world.publish(*(outcome(f"v{n}", version) for n in range(IDS)))
            await asyncio.sleep(0.02)
        await world.publish(*(final(f"v{n}", version + 1) for n in range(IDS)))
        last.set_result(version + 1)

    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    publishing = asyncio.create_task(publish())
    database = Database(world.settings)
    verifications = SqlVerifications(database)
    try:
        await until(lambda: world.measures.total("records_total") > 0, within_s=60)
        yield
    finally:
        over.set()
        await publishing
    for n in range(IDS):
        await until_got(verifications, f"v{n}", await last, within_s=60)
    await database.close()


async def test_a_server_that_is_killed_again_and_again_has_every_row_in_the_end(
    server: PostgresServer, world: World
) -> None:
    async with world.projecting() as (projector,), published(world):
        for _ in range(3):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.kill)
            await until(projector.missing)
            await asyncio.to_thread(server.start)
            await until(lambda: not projector.missing(), within_s=60)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("held_s", [3 * TIMEOUT_S, pytest.param(60.0, marks=pytest.mark.campaign)])
async def test_behind_a_lock_that_is_held_for_longer_than_a_statement_may_take_it_catches_up(
    server: PostgresServer, world: World, held_s: float
) -> None:
    async with world.projecting() as (projector,), published(world):
        connection = await asyncpg.connect(server.url + "/postgres")
        async with connection.transaction():
            await connection.execute("LOCK TABLE verifications, positions IN ACCESS EXCLUSIVE MODE")
            await until(projector.missing, within_s=60)
            await asyncio.sleep(held_s)
        await connection.close()
        await until(lambda: not projector.missing(), within_s=60)


async def test_an_empty_server_in_its_place_is_filled_from_the_beginning(server: PostgresServer, world: World) -> None:
    async with world.projecting() as (projector,), published(world):
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.empty)
        await asyncio.to_thread(server.start)
        await until(projector.missing, within_s=60)
        await until(lambda: not projector.missing(), within_s=60)
