"""The read models under one contract: in memory and on SQLite always, on PostgreSQL where it can be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.readmodel.database import Database
from pipeline.readmodel.migrating import migrate
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.testing.readmodel import MemoryReadModel
from tests.contract.readmodel.database import DatabaseUnderTest
from tests.contract.readmodel.projecting import World
from tests.contract.readmodel.support import HORIZON_MS, NOW, ReadModelUnderTest


class MemoryUnderTest:
    """The fake; every gateway sees the same tables."""

    def __init__(self) -> None:
        self.model = MemoryReadModel(horizon_ms=HORIZON_MS)
        self.ledger = self.model.ledger
        self.verifications = self.model.verifications
        self.api_keys = self.model.api_keys

    async def fold(self, *records: VerificationOutcome | DeliveryStatus, reference: str | None = None) -> None:
        for record in records:
            self.model.fold(record, recorded_at=NOW + 10_000, reference=reference)

    async def another(self) -> ReadModelUnderTest:
        return self

    async def away(self) -> None:
        self.model.away = True


ENGINES = ["sqlite", "postgresql"]


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/readmodel.sqlite"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def world(url: str) -> World:
    """A log and a database, for what folds one into the other."""
    return World(url)


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    """The database of that world, up to date."""
    await migrate(world.settings)
    database = Database(world.settings)
    yield database
    await database.close()


@pytest.fixture
def verifications(database: Database) -> SqlVerifications:
    """What a gateway would read of it."""
    return SqlVerifications(database)


@pytest.fixture(params=["memory", *ENGINES])
async def model(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ReadModelUnderTest]:
    """A read model, and whatever other gateways the test opens beside it."""
    if request.param == "memory":
        yield MemoryUnderTest()
        return
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/readmodel.sqlite"
    else:
        url = request.getfixturevalue("postgres_url")
    opened: list[DatabaseUnderTest] = []
    try:
        yield await DatabaseUnderTest(url, opened.append).open()
    finally:
        for one in opened:
            await one.close()
