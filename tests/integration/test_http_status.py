from __future__ import annotations

import asyncio
import signal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import UsageError
from pipeline.http_status import StatusServer
from pipeline.metrics import Metrics


def server(missing: list[str], registry: CollectorRegistry | None = None, port: int = 0) -> StatusServer:
    return StatusServer(host="127.0.0.1", port=port, registry=registry or CollectorRegistry(), missing=lambda: missing)


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.apply([("records_total", 3, {"stage": "router", "topic": "verification.requests"})])
    async with server([], metrics.registry) as status, httpx.AsyncClient(base_url=status.url) as client:
        answer = await client.get("/metrics")
        open_metrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    (sample,) = families["verification_records"].samples
    assert sample.value == 3
    assert open_metrics.text.endswith("# EOF\n")


async def test_ready_follows_what_is_missing_and_alive_does_not() -> None:
    missing = ["partition 3 is being restored"]
    async with server(missing) as status, httpx.AsyncClient(base_url=status.url) as client:
        before = await client.get("/readyz")
        alive = await client.get("/healthz")
        missing.clear()
        after = await client.get("/readyz")
    assert (before.status_code, before.json()["missing"]) == (503, ["partition 3 is being restored"])
    assert alive.status_code == 200
    assert (after.status_code, after.json()) == (200, {"status": "ready", "missing": []})


async def test_a_taken_port_is_told_with_its_fix_and_ends_nothing() -> None:
    async with server([]) as status:
        with pytest.raises(
            UsageError, match=f"{status.port} on 127.0.0.1 cannot be listened on.*configure another port"
        ):
            await server([], port=status.port).start()
        async with httpx.AsyncClient(base_url=status.url) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_after_stop_nobody_listens_and_the_port_is_free_again() -> None:
    status = server([])
    await status.start()
    async with httpx.AsyncClient(base_url=status.url) as client:
        await client.get("/healthz")  # leaves an idle keep-alive connection behind
        await asyncio.wait_for(status.stop(), 5)
        with pytest.raises(httpx.TransportError):
            await client.get("/healthz")
    await status.stop()
    async with server([], port=status.port) as again:
        assert again.port == status.port


async def test_signals_stay_the_process_s_own() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    async with server([]):
        assert {number: signal.getsignal(number) for number in before} == before
