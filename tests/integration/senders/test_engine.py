"""Stage, permits, running calls and transport together, against a provider that misbehaves on a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.clock import SystemClock
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.types import AttemptResult
from pipeline.senders.engine import SenderEngine
from pipeline.senders.provider import Provider
from pipeline.senders.providers.neutrino import Neutrino
from pipeline.senders.providers.ycloud import YCloud
from pipeline.senders.registry import Limits
from pipeline.senders.stage import SenderStage
from pipeline.settings import NeutrinoSettings, YCloudSettings
from tests.integration.senders.provider_server import (
    Behaviour,
    ProviderServer,
    answer,
    free_port,
    provider_server,
    reset,
)
from tests.unit.senders.doubles import CODEC, KEYS, Partition, Task, command

LIMITS = Limits(max_concurrency=20, rate_per_s=1_000, timeout_s=0.5, connect_timeout_s=0.2)
YES = {
    "ycloud": b'{"id":"ve_1","status":"pending"}',
    "neutrino": b'{"number-valid":true,"sent":true}',
}


def provider(kind: str, base_url: str) -> Provider:
    if kind == "ycloud":
        return YCloud(instance=kind, settings=YCloudSettings.model_validate({"api_key": "k", "base_url": base_url}))
    section = NeutrinoSettings.model_validate({"user_id": "u", "api_key": "k", "base_url": base_url})
    return Neutrino(instance=kind, settings=section)


@dataclass
class Host:
    """A process around a real engine."""

    engine: SenderEngine
    clock: SystemClock = field(default_factory=SystemClock)

    def stage(self, partition: int, max_held: int) -> SenderStage:
        return self.engine.stage(partition)


@asynccontextmanager
async def host(kind: str, base_url: str, **differences: Any) -> AsyncIterator[Host]:
    engine = SenderEngine(
        provider=provider(kind, base_url),
        limits=LIMITS,
        codec=CODEC,
        key_ring=KEYS,
        clock=SystemClock(),
        partitions=1,
        **differences,
    )
    yield Host(engine)
    await engine.close()


def due(kind: str, n: int = 1, life_ms: int = 3_000) -> SendCommand:
    return command(n, provider=kind, send_by_at=SystemClock().now_ms() + life_ms)


async def run(task: Task, until: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not until():
            task.run()
            await asyncio.sleep(0.005)


async def reset_after_reading(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(r)
    reset(w)


async def reset_before_reading(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
    await r.read(1)
    reset(w)


async def hang(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(r)
    await asyncio.sleep(30)


async def garbage(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(r)
    w.write(answer(b"<html>\xff"))
    await w.drain()


async def error_after_sending(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(r)
    w.write(answer(b'{"error":{"code":"INTERNAL_SERVER_ERROR"},"api-error":51}', status="500 Oops"))
    await w.drain()


async def cut_short(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
    await server.read_request(r)
    w.write(answer(b'{"id":"ve_1","number-valid":true}')[:-4])
    await w.drain()


FAULTS: list[Behaviour] = [reset_after_reading, reset_before_reading, hang, garbage, error_after_sending, cut_short]


@pytest.mark.parametrize("kind", YES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_no_fault_after_the_first_byte_sends_an_attempt_twice(fault: Behaviour, kind: str) -> None:
    log = Partition()
    async with provider_server(fault) as server, host(kind, server.url) as process:
        task = Task(process, log)  # type: ignore[arg-type]
        log.write(due(kind))
        await run(task, lambda: bool(log.results))
        await run(Task(process, log), lambda: True)  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        assert server.connections == 1
        assert len(server.requests) <= 1
    [(_, result)] = log.results
    assert result.result is AttemptResult.IN_DOUBT
    assert result.called_at is not None


@pytest.mark.parametrize("kind", YES)
async def test_a_provider_that_cannot_be_reached_is_not_sent(kind: str) -> None:
    log = Partition()
    async with host(kind, f"http://127.0.0.1:{free_port()}") as process:
        task = Task(process, log)  # type: ignore[arg-type]
        log.write(due(kind))
        await run(task, lambda: bool(log.results))
    [(_, result)] = log.results
    assert (result.result, result.detail, result.called_at) == (AttemptResult.NOT_SENT, "unreachable", None)


@pytest.mark.parametrize("kind", YES)
async def test_many_attempts_are_sent_once_each(kind: str) -> None:
    async def behaviour(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
        while True:
            await server.read_request(r)
            await asyncio.sleep(0.02)
            w.write(answer(YES[kind]))

    log = Partition()
    async with provider_server(behaviour) as server, host(kind, server.url) as process:
        task = Task(process, log)  # type: ignore[arg-type]
        for n in range(1, 101):
            log.write(due(kind, n))
        await run(task, lambda: len(log.results) == 100)
        assert len(server.requests) == 100
        assert server.connections <= LIMITS.max_concurrency
    assert {result.result for _, result in log.results} == {AttemptResult.ACCEPTED}
    assert log.committed == {"verification.send.sms": 100}
    assert task.counted("in_flight")


async def test_a_throttled_attempt_goes_again_when_the_provider_said() -> None:
    async def behaviour(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
        while True:
            await server.read_request(r)
            if len(server.requests) == 1:
                body = b'{"error":{"code":"TOO_MANY_REQUESTS"}}'
                w.write(answer(body, status="429 Slow Down", headers=b"Retry-After: 1\r\n"))
            else:
                w.write(answer(YES["ycloud"]))

    log = Partition()
    async with provider_server(behaviour) as server, host("ycloud", server.url) as process:
        task = Task(process, log)  # type: ignore[arg-type]
        log.write(due("ycloud"))
        began = process.clock.monotonic_s()
        await run(task, lambda: bool(log.results))
        assert process.clock.monotonic_s() - began >= 1.0
        assert len(server.requests) == 2
        assert server.requests[0] == server.requests[1], "the same attempt, not a new one"
    assert log.results[0][1].result is AttemptResult.ACCEPTED


async def test_a_task_rebuilt_during_a_call_gets_its_answer() -> None:
    release = asyncio.Event()

    async def behaviour(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
        await server.read_request(r)
        await release.wait()
        w.write(answer(YES["ycloud"]))
        await w.drain()

    log = Partition()
    async with provider_server(behaviour) as server, host("ycloud", server.url) as process:
        first = Task(process, log)  # type: ignore[arg-type]
        log.write(due("ycloud"))
        await run(first, lambda: bool(server.requests))
        second = Task(process, log)  # type: ignore[arg-type]
        release.set()
        await run(second, lambda: bool(log.results))
        assert len(server.requests) == 1
    assert [result.result for _, result in log.results] == [AttemptResult.ACCEPTED]


async def test_draining_waits_for_running_calls_and_begins_none() -> None:
    async def behaviour(r: asyncio.StreamReader, w: asyncio.StreamWriter, server: ProviderServer) -> None:
        await server.read_request(r)
        await asyncio.sleep(0.2)
        w.write(answer(YES["ycloud"]))
        await w.drain()

    log = Partition()
    async with provider_server(behaviour) as server, host("ycloud", server.url) as process:
        task = Task(process, log)  # type: ignore[arg-type]
        log.write(due("ycloud", 1))
        await run(task, lambda: bool(server.requests))
        draining = asyncio.create_task(task.stage.drain())
        await asyncio.sleep(0)
        log.write(due("ycloud", 2))
        task.run()
        await draining
        task.settle()
        assert len(server.requests) == 1
    results: list[SendResult] = [result for _, result in log.results]
    assert [(result.command_id, result.result) for result in results] == [("v1.1", AttemptResult.ACCEPTED)]
