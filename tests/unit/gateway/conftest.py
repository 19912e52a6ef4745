from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.gateway.bench import Bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.http.aclose()
