"""The REST API under load: CPU of a gateway per start that Kafka and the database hold, and how long a check takes.

Asked over connections that are kept open. The goals are 4,000 starts per second and core, and checks at 100 per second
within 40 ms (half of them) and 150 ms (all but 1 %). As machines differ, a start is also told in requests that the same
server answers without doing anything (``bare_server``), measured right before and after.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path

from pipeline.dev.ports import free_port
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figure, Figures, best, on_loop, percentile, shown
from tests.benchmarks.flow import numbers
from tests.benchmarks.http_load import content_length, in_parallel, post
from tests.benchmarks.kafka import broker
from tests.benchmarks.processes import cpu_s
from tests.benchmarks.whole_pipeline import (
    HOST,
    child,
    ended,
    evenly,
    place,
    running,
    wait_for,
    wait_until_ready,
)
from tests.postgres_fixtures import PostgresAbsent, PostgresServer

CONNECTIONS = 256
"""As many as a gateway near its limit has at once."""
WARM_UP, RUN, RUNS = 3_000, 5_000, 4
CHECKED, RATE, CHECKS = 400, 100, 2_000
CODE = "482913"


class Connection:
    """One HTTP/1.1 connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        return int(head.split(maxsplit=2)[1]), await self._reader.readexactly(content_length(head))

    def close(self) -> None:
        self._writer.close()


def starts(bootstrap: str, folder: Path, name: str, database: str | None = None) -> Figures:
    """CPU of a gateway per start, and what a core of it would take; ``name`` is the database's."""
    file, settings = place(bootstrap, folder, database)
    bare = [bare_us()]
    with child(file, "run", "gateway") as gateway:
        wait_until_ready(settings, gateway)
        runs = costs_us(gateway, settings.gateway.port)
    bare.append(bare_us())
    cost_us = min(runs)
    note = f"{name}, {CONNECTIONS} connections; broker and client on the same cores"
    return {
        f"http_start_{name}_us": best(runs, "µs", note),
        f"http_starts_{name}_per_core": Figure(1e6 / cost_us, "1/s", "starts acknowledged by Kafka"),
        f"http_start_{name}_ratio": Figure(cost_us / min(bare), "", "requests that the bare server answers for it"),
    }


def bare_us() -> float:
    """CPU of a request to the bare server."""
    port = free_port(HOST)
    with ended(subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bare_server", str(port)])) as server:
        wait_for(f"http://{HOST}:{port}/v1/verifications", server, status=405)
        return min(costs_us(server, port))


def costs_us(server: subprocess.Popen[bytes], port: int) -> list[float]:
    """CPU per start of a server that is warm, of each run."""
    people = numbers(WARM_UP + RUN * RUNS)
    sent = [post("/v1/verifications", {"recipient": person, "external_id": "bench"}) for person in people]
    on_loop(lambda: in_parallel(port, sent[:WARM_UP], CONNECTIONS))
    runs: list[float] = []
    for at in range(WARM_UP, len(sent), RUN):
        some = sent[at : at + RUN]
        before_s = cpu_s(server.pid)
        on_loop(lambda some=some: in_parallel(port, some, CONNECTIONS))
        runs.append((cpu_s(server.pid) - before_s) / RUN * 1e6)
    return runs


def starts_on_postgresql(bootstrap: str, folder: Path) -> Figures:
    """The same on PostgreSQL, whose own work is in other processes; none where the machine has no PostgreSQL."""
    try:
        with PostgresServer() as server:
            return starts(bootstrap, folder, "postgresql", f"{server.url}/postgres")
    except PostgresAbsent as absent:
        print(f"http: nothing measured on PostgreSQL: {absent}", flush=True)
        return {}


def checks(bootstrap: str, folder: Path) -> Figures:
    """How long a check takes, over HTTP and back."""
    with running(bootstrap, folder) as (settings, _):
        port = settings.gateway.port
        asked = {"code": CODE, "max_checks": 10, "expires_in_s": 600}
        started = [post("/v1/verifications", {"recipient": person, **asked}) for person in numbers(CHECKED)]
        ids = [json.loads(answer)["verification_id"] for answer in on_loop(lambda: in_parallel(port, started, 4))]
        time.sleep(5)
        on_loop(lambda: paced(port, ids[: CHECKED // 4], 200))
        taken = on_loop(lambda: paced(port, ids, CHECKS))
    note = f"{RATE}/s over HTTP, one broker, {CHECKS} checks; longest {max(taken):.0f} ms"
    return {
        f"http_check_{RATE}_p50_ms": Figure(percentile(taken, 0.50), "ms", note),
        f"http_check_{RATE}_p99_ms": Figure(percentile(taken, 0.99), "ms"),
    }


async def paced(port: int, ids: Sequence[str], number: int) -> list[float]:
    """Check wrong codes at an even pace, whatever becomes of those before; milliseconds each."""
    idle: list[Connection] = []
    taken: list[float] = []

    async def one(at_s: float, verification_id: str) -> None:
        connection = idle.pop() if idle else await Connection(port).open()
        # From when it should have been asked: a client that is late itself would hide what others wait for.
        asked = post(f"/v1/verifications/{verification_id}/check", {"code": "000000"})
        status, answer = await connection.ask(asked)
        taken.append((time.perf_counter() - at_s) * 1_000)
        assert status == 200, answer
        assert json.loads(answer)["reason"] == "wrong_code", answer
        idle.append(connection)

    asked: list[Awaitable[None]] = []
    async for n, at_s in evenly(RATE, number):
        asked.append(asyncio.ensure_future(one(at_s, ids[n % len(ids)])))
    await asyncio.gather(*asked)
    for connection in idle:
        connection.close()
    return taken


def measure(bootstrap: str) -> Figures:
    """The figures named ``http_…``; PostgreSQL's where there is one."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        figures |= starts(bootstrap, Path(folder) / "sqlite", "sqlite")
        figures |= starts_on_postgresql(bootstrap, Path(folder) / "postgresql")
        figures |= checks(bootstrap, Path(folder) / "checks")
    return figures


if __name__ == "__main__":
    expect_none(__doc__)
    with broker() as address:
        print(shown(measure(address)))
