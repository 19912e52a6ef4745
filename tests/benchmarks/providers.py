"""CPU per send of each provider: the whole engine around each, against a local server that gives its usual answer.

The kinds take turns, round after round, so that a slow minute of the machine meets them all.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

from pipeline.clock import SystemClock
from pipeline.senders.engine import SenderEngine
from pipeline.senders.registry import Limits
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figures, best, on_loop, shown
from tests.integration.senders.kinds import KINDS, due, engine, settings
from tests.unit.senders.doubles import Partition, Task

IN_FLIGHT, CALLS, ROUNDS = 50, 400, 25
DELAY_S = 0.02
LIMITS = Limits(max_concurrency=IN_FLIGHT, rate_per_s=100_000, timeout_s=10, connect_timeout_s=5)


def serve(pipe: Connection) -> None:
    """A provider of every kind, each on a port of its own, that answers after :data:`DELAY_S`."""

    class Http(asyncio.Protocol):
        def __init__(self, answer: Callable[[bytes], bytes]) -> None:
            self.answer = answer

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            body = self.answer(data)
            response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            asyncio.get_running_loop().call_later(DELAY_S, self.transport.write, response)

    class Smtp(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport, self.content, self.pending = transport, False, b""
            transport.write(b"220 local\r\n")

        def data_received(self, data: bytes) -> None:
            self.pending += data
            while self.content and b"\r\n.\r\n" in self.pending:
                self.pending = self.pending.partition(b"\r\n.\r\n")[2]
                self.content = False
                asyncio.get_running_loop().call_later(DELAY_S, self.transport.write, b"250 taken\r\n")
            while not self.content and b"\r\n" in self.pending:
                line, _, self.pending = self.pending.partition(b"\r\n")
                self.content = line.upper() == b"DATA"
                self.transport.write(b"354 go on\r\n" if self.content else b"250 local\r\n")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ports = {}
        for name, kind in KINDS.items():
            made = Smtp if kind.answer is None else lambda answer=kind.answer: Http(answer)
            server = await loop.create_server(made, "127.0.0.1", 0, backlog=2_000)  # type: ignore[arg-type]
            ports[name] = server.sockets[0].getsockname()[1]
        pipe.send(ports)
        await asyncio.Event().wait()

    asyncio.run(main())


@dataclass
class Host:
    """A process around an engine."""

    engine: SenderEngine
    clock: SystemClock

    def stage(self, partition: int, max_held: int) -> object:
        return self.engine.stage(partition)


async def cpu_us(kind: str, port: int, calls: int) -> float:
    """CPU microseconds per attempt from the SendCommand's bytes to the SendResult's, journal entries included."""
    mail = {"port": port, "username": "", "password": ""}
    section = mail if KINDS[kind].answer is None else {"base_url": f"http://127.0.0.1:{port}"}
    clock = SystemClock()
    made = engine(settings(kind, None, **section), kind, LIMITS)

    async def run(first: int, count: int) -> float:
        log = Partition()
        task = Task(Host(made, clock), log)  # type: ignore[arg-type]
        for n in range(first, first + count):
            log.write(due(kind, n, life_ms=60_000))
        began = time.process_time()
        while len(log.results) < count:
            task.run()
            await asyncio.sleep(0.005)
        spent = (time.process_time() - began) * 1_000_000 / count
        results = {result.result.value for _, result in log.results}
        assert results == {"accepted"}, f"{kind}: {results}"
        return spent

    await run(1, IN_FLIGHT)
    spent = await run(IN_FLIGHT + 1, calls)
    await made.close()
    return spent


def measure() -> Figures:
    """``sender_us_<kind>`` for every kind of provider."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    order = random.Random(1)
    runs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    try:
        ports = ours.recv()
        for _ in range(ROUNDS):
            # In another order each time, so that none always pays for what the one before it left behind.
            for kind, found in order.sample(list(runs.items()), len(runs)):
                gc.collect()
                found.append(on_loop(lambda kind=kind: cpu_us(kind, ports[kind], CALLS)))  # type: ignore[misc]
    finally:
        server.terminate()
        server.join()
    over_http = [kind for kind in KINDS if KINDS[kind].answer is not None]
    cheapest = min(over_http, key=lambda kind: median(runs[kind]))
    return {
        f"sender_us_{kind}": best(
            found, "us", f"CPU of a send, {IN_FLIGHT} in flight; {_ratio(found, runs[cheapest]):.2f} of {cheapest}"
        )
        for kind, found in runs.items()
    }


def _ratio(one: list[float], other: list[float]) -> float:
    """Round by round, as the machine was the same for both then, and the middle of these."""
    return median([each / against for each, against in zip(one, other, strict=True)])


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure()))
