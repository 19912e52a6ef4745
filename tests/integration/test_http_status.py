from __future__ import annotations

import asyncio
import signal

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipeline.errors import Misconfigured
from pipeline.http_status import HttpServer, StatusServer
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
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{status.port}.*set another port"):
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


async def test_a_request_that_is_being_answered_gets_its_answer_before_the_stop() -> None:
    entered = asyncio.Event()

    async def slow(_: Request) -> PlainTextResponse:
        entered.set()
        await asyncio.sleep(0.3)
        return PlainTextResponse("done")

    http = HttpServer(Starlette(routes=[Route("/slow", slow)]), host="127.0.0.1", port=0)
    await http.start()
    async with httpx.AsyncClient(base_url=http.url) as client:
        answer = asyncio.create_task(client.get("/slow"))
        await entered.wait()
        await http.stop()
        assert (await answer).text == "done"


async def test_signals_stay_the_process_s_own() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    async with server([]):
        assert {number: signal.getsignal(number) for number in before} == before
