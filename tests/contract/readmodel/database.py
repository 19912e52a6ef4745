"""The real read model for the contract tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pipeline.readmodel.fold import Folding
from pipeline.readmodel.fold_write import FoldWriter
from pipeline.readmodel.opening import ReadModel
from pipeline.readmodel.tables import LIVE
from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.settings.edges import ReadModelSettings
from pipeline.testing.clock import ManualClock
from tests.contract.readmodel.support import HORIZON_MS, HOUR, NOW, ReadModelUnderTest


class DatabaseUnderTest:
    """A gateway's read model over the database at ``url``."""

    def __init__(self, url: str, closing: Callable[[Any], None]) -> None:
        self.settings = ReadModelSettings.model_validate({"url": url})
        self.model = ReadModel(
            settings=self.settings,
            clock=ManualClock(NOW),
            idempotency_ms=24 * HOUR,
            horizon_ms=HORIZON_MS,
            max_waiting=1_000,
        )
        self.ledger = self.model.ledger
        self.verifications = self.model.verifications
        self.api_keys = self.model.api_keys
        self._closing = closing
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> DatabaseUnderTest:
        self._running = asyncio.create_task(self.model.run())
        self._closing(self)
        async with asyncio.timeout(30):
            while self.model.missing():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return self

    async def close(self) -> None:
        self.model.stop()
        if self._running is not None:
            await self._running

    async def fold(self, *records: VerificationOutcome | DeliveryStatus, reference: str | None = None) -> None:
        folding = Folding()
        for record in records:
            folding.add(record, recorded_at=NOW + 10_000, reference=reference)
        database = self.model.database
        writer = FoldWriter(LIVE, is_postgresql=database.is_postgresql)
        await database.write(lambda connection: writer(connection, folding))

    async def another(self) -> ReadModelUnderTest:
        return await DatabaseUnderTest(self.settings.url.get_secret_value(), self._closing).open()

    async def away(self) -> None:
        await self.close()
