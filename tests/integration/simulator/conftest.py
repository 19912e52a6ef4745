from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from pipeline.settings import SimulatorSettings
from pipeline.simulator.server import Simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    running = Simulator(SimulatorSettings(port=0, smtp_port=0))
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.url, timeout=5) as client:
        yield client
