"""The read models under one contract: in memory always, SQLite always, PostgreSQL where it can be had."""

from __future__ import annotations

import pytest

from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.testing.readmodel import MemoryReadModel
from tests.contract.readmodel.support import HORIZON_MS, NOW, ReadModelUnderTest


class MemoryUnderTest:
    """The fake; every gateway sees the same tables."""

    def __init__(self) -> None:
        self.model = MemoryReadModel(horizon_ms=HORIZON_MS)
        self.ledger = self.model.ledger
        self.verifications = self.model.verifications
        self.api_keys = self.model.api_keys

    async def fold(self, *records: VerificationOutcome | DeliveryStatus) -> None:
        for record in records:
            self.model.fold(record, recorded_at=NOW + 10_000)

    async def another(self) -> ReadModelUnderTest:
        return self

    async def away(self) -> None:
        self.model.away = True


@pytest.fixture(params=["memory"])
async def model(request: pytest.FixtureRequest) -> ReadModelUnderTest:
    return MemoryUnderTest()
