"""The REST API under load: CPU of a gateway per start that Kafka and the database hold, and how long a check takes.

Asked over connections that are kept open. The goals are 4,000 starts per second and core, and checks at 100 per second
within 40 ms (half of them) and 150 ms (all but 1 %).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, Figures, on_loop, percentile, shown
from tests.benchmarks.flow import numbers
from tests.benchmarks.kafka import broker
from tests.benchmarks.whole_pipeline import HOST, KEY, child, cpu_s, evenly, place, running, wait_until_ready
from tests.postgres_fixtures import PostgresAbsent, PostgresServer

CONNECTIONS = 64
WARM_UP, STARTS = 3_000, 20_000
CHECKED, RATE, CHECKS = 400, 100, 2_000
CODE = "482913"


class Connection:
    """One HTTP/1.1 connection that is kept open, with as little of a client as can be."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of the answer."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        return int(lines[0].split()[1]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def in_parallel(port: int, bodies: Sequence[dict[str, Any]], connections: int = CONNECTIONS) -> list[str]:
    """Start all of these over some connections, each after its answer; the ids."""
    waiting = iter(bodies)
    ids: list[str] = []

    async def one() -> None:
        connection = await Connection(port).open()
        for body in waiting:
            status, answer = await connection.post("/v1/verifications", body)
            assert status == 202, answer
            ids.append(json.loads(answer)["verification_id"])
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return ids


def starts(bootstrap: str, folder: Path, name: str, database: str | None = None) -> Figures:
    """CPU of a gateway per start, and what a core of it would take; ``name`` is the database's."""
    file, settings = place(bootstrap, folder, database)
    bodies = [{"recipient": person, "external_id": "bench"} for person in numbers(WARM_UP + STARTS)]
    with child(file, "run", "gateway") as gateway:
        wait_until_ready(settings, gateway)
        on_loop(lambda: in_parallel(settings.gateway.port, bodies[:WARM_UP]))
        before_s, began_s = cpu_s(gateway), time.monotonic()
        on_loop(lambda: in_parallel(settings.gateway.port, bodies[WARM_UP:]))
        spent_s, took_s = cpu_s(gateway) - before_s, time.monotonic() - began_s
    cost_us = spent_s / STARTS * 1e6
    note = f"{name}, {CONNECTIONS} connections; {STARTS / took_s:.0f}/s with broker and client on the same cores"
    return {
        f"http_start_{name}_us": Figure(cost_us, "µs", note),
        f"http_starts_{name}_per_core": Figure(1e6 / cost_us, "1/s", "starts acknowledged by Kafka"),
    }


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
        bodies = [
            {"recipient": person, "code": CODE, "max_checks": 10, "expires_in_s": 600} for person in numbers(CHECKED)
        ]
        ids = on_loop(lambda: in_parallel(port, bodies, 4))
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
        status, answer = await connection.post(f"/v1/verifications/{verification_id}/check", {"code": "000000"})
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
    with broker() as address:
        print(shown(measure(address)))
