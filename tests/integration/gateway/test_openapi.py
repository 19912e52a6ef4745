"""The gateway keeps its contract, whatever is sent to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.serving import HttpServer
from tests.integration.gateway.conformance import violations
from tests.unit.gateway.api_bench import ApiBench


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[str, ApiBench]]:
    bench = ApiBench()
    server = HttpServer(bench.app, host="127.0.0.1", port=0)
    await server.start()
    yield server.url, bench
    await server.stop()
    await bench.http.aclose()


@pytest.mark.slow
@pytest.mark.timeout(320)
async def test_no_answer_is_one_that_the_contract_does_not_name(gateway: tuple[str, ApiBench], tmp_path: Path) -> None:
    url, bench = gateway
    assert await violations(url, "shop", tmp_path) is None
    assert len(bench.written()) > 20, "some of what it sends must get as far as Kafka"
