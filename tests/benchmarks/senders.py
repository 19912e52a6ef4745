"""CPU per provider call: the transport alone, and the whole engine, at a fixed number in flight.

The provider is a process of its own that answers after
100 ms, so ``time.process_time`` here counts only our side.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.connection import Connection

import aiohttp
import httpx

from pipeline.clock import SystemClock
from pipeline.senders.engine import SenderEngine
from pipeline.senders.providers.ycloud import YCloud
from pipeline.senders.registry import Limits
from pipeline.senders.transport import AiohttpTransport
from pipeline.settings import YCloudSettings
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figures, best, most, on_loop, shown
from tests.unit.senders.doubles import CODEC, KEYS, Partition, Task, command

ANSWER = b'{"id":"ve_1","status":"pending"}'
DELAY_S = 0.1
IN_FLIGHT, CALLS, RUNS = 200, 4_000, 3


def serve(pipe: Connection) -> None:
    """A provider that answers every request after :data:`DELAY_S`."""
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            asyncio.get_running_loop().call_later(DELAY_S, self.transport.write, response)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", 0, backlog=2_000)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def transport_cpu_ms(url: str, in_flight: int, calls: int) -> float:
    """CPU milliseconds per POST of the transport alone."""
    client = AiohttpTransport(max_connections=in_flight, timeout_s=10, connect_timeout_s=5)

    async def worker(count: int) -> None:
        for _ in range(count):
            request = httpx.Request("POST", url, content=b"x" * 120, headers={"X-API-Key": "k"})
            assert (await client.handle_async_request(request)).status_code == 200

    await asyncio.gather(*(worker(1) for _ in range(in_flight)))  # connections
    began = time.process_time()
    await asyncio.gather(*(worker(calls // in_flight) for _ in range(in_flight)))
    spent = time.process_time() - began
    await client.aclose()
    return spent * 1_000 / (calls // in_flight * in_flight)


async def bare_cpu_ms(url: str, in_flight: int, calls: int) -> float:
    """CPU milliseconds per POST of aiohttp, called as its manual says: what any sender in Python has to spend."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

        async def worker(count: int) -> None:
            for _ in range(count):
                async with session.post(url, data=b"x" * 120, headers={"X-API-Key": "k"}) as answer:
                    assert await answer.read() == ANSWER

        await asyncio.gather(*(worker(1) for _ in range(in_flight)))  # connections
        began = time.process_time()
        await asyncio.gather(*(worker(calls // in_flight) for _ in range(in_flight)))
        return (time.process_time() - began) * 1_000 / (calls // in_flight * in_flight)


async def engine_cpu_ms(url: str, in_flight: int, calls: int) -> float:
    """CPU milliseconds per attempt from the SendCommand's bytes to the SendResult's, journal entries included."""
    clock = SystemClock()
    engine = SenderEngine(
        provider=YCloud(instance="ycloud", settings=YCloudSettings.model_validate({"api_key": "k", "base_url": url})),
        limits=Limits(max_concurrency=in_flight, rate_per_s=100_000, timeout_s=10, connect_timeout_s=5),
        codec=CODEC,
        key_ring=KEYS,
        clock=clock,
        partitions=1,
    )

    class Process:
        def __init__(self) -> None:
            self.clock = clock

        def stage(self, partition: int, max_held: int) -> object:
            return engine.stage(partition)

    async def run(first: int, count: int) -> float:
        log = Partition()
        task = Task(Process(), log)  # type: ignore[arg-type]
        deadline = clock.now_ms() + 60_000
        for n in range(first, first + count):
            log.write(command(n, send_by_at=deadline))
        began = time.process_time()
        while len(log.results) < count:
            task.run()
            await asyncio.sleep(0.005)
        return (time.process_time() - began) * 1_000 / count

    await run(1, in_flight)
    spent = await run(in_flight + 1, calls)
    await engine.close()
    return spent


def measure() -> Figures:
    """``sender_calls_per_core`` of the whole engine, and beside it what the transport alone could do."""
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    provider.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/v2"
        rounds = [  # in turns, as a neighbour makes all three dearer
            (
                on_loop(lambda: bare_cpu_ms(url, IN_FLIGHT, CALLS)),
                on_loop(lambda: transport_cpu_ms(url, IN_FLIGHT, CALLS)),
                on_loop(lambda: engine_cpu_ms(url, IN_FLIGHT, CALLS)),
            )
            for _ in range(RUNS)
        ]
    finally:
        provider.terminate()
        provider.join()
    bare, transport, engine = zip(*rounds, strict=True)
    ratios = [of_engine / of_bare for of_bare, _, of_engine in rounds]
    note = f"{min(engine):.3f} ms CPU a call, {IN_FLIGHT} in flight, 100 ms server"
    note += f"; transport alone {min(transport):.3f} ms"
    beside = f"the engine against bare aiohttp ({min(bare):.3f} ms a POST), round by round"
    return {
        "sender_calls_per_core": most([1_000 / run for run in engine], "calls/s", note),
        "sender_ratio": best(ratios, "x", beside),
    }


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure()))
