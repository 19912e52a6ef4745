"""The read model on PostgreSQL: get and list over many rows, a start in the ledger, a record in the projector.

``python -m tests.benchmarks.readmodel`` prints the plans as well. ``BENCH_READMODEL_ROWS`` says how many rows there
are: 200 000 unless it is set, ten million for the figures in docs/performance.md (13 GB, 15 minutes).
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, text
from sqlalchemy.dialects import postgresql

from pipeline.clock import SystemClock
from pipeline.readmodel.cursor import Position
from pipeline.readmodel.database import Database
from pipeline.readmodel.decoding import Decoder
from pipeline.readmodel.fold_write import FoldWriter
from pipeline.readmodel.ledger import SqlLedger
from pipeline.readmodel.migrating import migrate
from pipeline.readmodel.ports import Begun, Filter, Known, Start
from pipeline.readmodel.tables import LIVE
from pipeline.readmodel.verifications import GET, SqlVerifications, listing
from pipeline.readmodel.view import to_json
from pipeline.records.codec import Codec
from pipeline.records.types import VerificationState
from pipeline.runtime.api import Record
from pipeline.settings.edges import ReadModelSettings
from pipeline.topics import OUTCOMES
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.codec import NOW, OUTCOME
from tests.benchmarks.figures import Figure, Figures, best, on_loop, percentile, shown
from tests.postgres_fixtures import PostgresAbsent, PostgresServer

ROWS = int(os.environ.get("BENCH_READMODEL_ROWS") or 200_000)
TENANTS = 10
CALLS, WINDOWS = 1_000, 5
SPAN_MS = 90 * 86_400_000
"""The rows are spread over so long a time."""
FILL = """
INSERT INTO verifications
SELECT id, 'tenant-' || n % :tenants, 3,
       (ARRAY['verified','verified','verified','verified','verified','expired','expired','failed','pending','sent'])
           [1 + (n / :tenants) % 10],
       (n / :tenants) % 10 < 8, 'order-' || n, CASE WHEN n % 3 = 0 THEN 'job-' || n / 3000 END,
       at, at + 30000, at + 300000, convert_to(replace(:view, :told, id), 'UTF8')
FROM (SELECT n, md5(n::text)::uuid::text AS id, :now - (:rows - n) * (:span / :rows) AS at
      FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n) AS rows
"""
CODEC = Codec()


def vid(n: int) -> str:
    """The id of a row, as the fill makes it."""
    return str(uuid.UUID(hashlib.md5(str(n).encode()).hexdigest()))


async def fill(settings: ReadModelSettings, rows: int) -> None:
    """All rows, then the indexes: a tenth of the time that row by row would take."""
    database = Database(settings, patient=True)
    indexes = sorted(LIVE.verifications.indexes, key=lambda index: str(index.name))
    values = {
        "tenants": TENANTS,
        "view": to_json(OUTCOME).decode(),
        "told": OUTCOME.verification_id,
        "now": NOW,
        "rows": rows,
        "span": SPAN_MS,
    }

    def drop(connection: Connection) -> None:
        for index in indexes:
            index.drop(connection)
        connection.execute(text("ALTER TABLE verifications DROP CONSTRAINT verifications_pkey"))

    def make(connection: Connection) -> None:
        connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        connection.execute(text("ALTER TABLE verifications ADD PRIMARY KEY (id)"))
        for index in indexes:
            index.create(connection)

    await database.write(drop)
    step = 500_000
    for first in range(1, rows + 1, step):
        part = {**values, "first": first, "last": min(rows, first + step - 1)}
        await database.write(lambda connection, part=part: connection.execute(text(FILL), part))
        print(f"  {part['last']} rows", file=sys.stderr, flush=True)
    await database.write(make)
    vacuum = await database.engine.connect()
    await vacuum.execution_options(isolation_level="AUTOCOMMIT")
    await vacuum.execute(text("VACUUM (ANALYZE) verifications"))
    await vacuum.close()
    await database.close()


async def seconds(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[float]:
    """What each took, one after the other, after a tenth of them as a warm-up."""
    for call in calls[: len(calls) // 10]:
        await call()
    taken: list[float] = []
    for call in calls:
        began = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - began)
    return taken


def lists(rows: int, randomness: random.Random) -> dict[str, Callable[[], Filter]]:
    """Each filter of the list, with values drawn anew each time."""

    def n() -> int:
        return randomness.randrange(1, rows + 1)

    def tenant() -> str:
        return f"tenant-{randomness.randrange(TENANTS)}"

    def day() -> int:
        return NOW - randomness.randrange(SPAN_MS)

    def order() -> Filter:
        chosen = n()
        return Filter(tenant=f"tenant-{chosen % TENANTS}", external_id=f"order-{chosen}")

    return {
        "no filter": lambda: Filter(tenant=tenant()),
        "oldest first": lambda: Filter(tenant=tenant(), reverse=True),
        "from, to": lambda: (lambda at: Filter(tenant=tenant(), from_at=at, to_at=at + 86_400_000))(day()),
        "state": lambda: Filter(tenant=tenant(), state=VerificationState.FAILED, to_at=day()),
        "external_id": order,
        "job_id": lambda: Filter(tenant=tenant(), job_id=f"job-{n() // 3000}"),
        "100 a page": lambda: Filter(tenant=tenant(), limit=100, to_at=day()),
    }


async def plan(database: Database, statement: Select[Any], values: dict[str, Any]) -> str:
    """``EXPLAIN (ANALYZE, BUFFERS)``."""
    bound: Any = statement.params(values) if values else statement
    compiled = bound.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    told = f"EXPLAIN (ANALYZE, BUFFERS) {compiled}"
    found = await database.read(lambda connection: connection.exec_driver_sql(told).scalars().all())
    return "\n".join(f"    {line}" for line in found)


async def plans(database: Database, rows: int) -> None:
    """Print the plan of get and of each list."""
    randomness = random.Random(1)
    n = randomness.randrange(1, rows + 1)
    print(f"get\n{await plan(database, GET, {'wanted_id': vid(n), 'wanted_tenant': f'tenant-{n % TENANTS}'})}")
    for name, make in lists(rows, randomness).items():
        wanted = make()
        print(f"list, {name}\n{await plan(database, listing(wanted, None), {})}")
    later = listing(Filter(tenant="tenant-1"), _position(rows // 2))
    print(f"list, second page\n{await plan(database, later, {})}")


def _position(n: int) -> Any:
    return Position(NOW - SPAN_MS // 2, vid(n))


async def reads(settings: ReadModelSettings, rows: int, *, with_plans: bool) -> Figures:
    """p50 and p99 of get and list through our code, one call at a time and eight at a time."""
    database = Database(settings)
    verifications = SqlVerifications(database)
    randomness = random.Random(2)
    figures: Figures = {}

    def getting() -> Callable[[], Awaitable[Any]]:
        n = randomness.randrange(1, rows + 1)

        async def one() -> None:
            assert await verifications.get(f"tenant-{n % TENANTS}", vid(n)) is not None

        return one

    windows = [await seconds([getting() for _ in range(CALLS)]) for _ in range(WINDOWS)]
    note = f"{CALLS} gets a run, any of {rows} rows, one at a time, PostgreSQL on this machine"
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        runs = [percentile(taken, share) * 1e3 for taken in windows]
        figures[f"readmodel_get_{name}_ms"] = best(runs, "ms", note)
    for name, make in lists(rows, randomness).items():
        calls = [partial(verifications.page, make()) for _ in range(CALLS // 3)]
        taken = await seconds(calls)
        key = "readmodel_list_" + name.replace(", ", "_").replace(" ", "_")
        figures[f"{key}_p50_ms"] = Figure(percentile(taken, 0.50) * 1e3, "ms", f"list, {name}")
        figures[f"{key}_p99_ms"] = Figure(percentile(taken, 0.99) * 1e3, "ms", f"list, {name}")
    if with_plans:
        await plans(database, rows)
        sizes = """SELECT relname, pg_size_pretty(pg_table_size(oid)), pg_size_pretty(pg_indexes_size(oid))
                   FROM pg_class WHERE relname IN ('verifications', 'starts', 'idempotency')"""
        for row in await database.read(lambda connection: connection.exec_driver_sql(sizes).all()):
            print("size", *row)
    await database.close()
    return figures


async def starts_us(settings: ReadModelSettings) -> list[float]:
    """CPU of this process per start, a hundred at a time, a third of them with an Idempotency-Key."""
    database = Database(settings)
    ledger = SqlLedger(database=database, horizon_ms=172_800_000, max_waiting=1_000)
    running = asyncio.create_task(ledger.run())
    await asyncio.sleep(0)
    numbers = itertools.count()
    run = f"{time.time_ns():x}"

    def entry() -> Start:
        n = next(numbers)
        return Start(
            verification_id=f"{run}-{n:012d}",
            tenant="acme",
            content_hash="0" * 32,
            state=VerificationState.PENDING,
            external_id=f"order-{n}",
            created_at=NOW,
            expires_at=NOW + 300_000,
            view=to_json(OUTCOME),
            begun=Begun(f"{run}{n:020d}", "1" * 32) if n % 3 == 0 else None,
        )

    found: list[float] = []
    for _ in range(6):
        batches = [[entry() for _ in range(100)] for _ in range(30)]
        began = time.process_time()
        for batch in batches:
            told = await asyncio.gather(*map(ledger.start, batch))
        found.append((time.process_time() - began) / (30 * 100) * 1e6)
        assert all(one.known is Known.NEW for one in told)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await database.close()
    return found


async def folded_us(settings: ReadModelSettings) -> list[float]:
    """CPU of this process per outcome: decoded, folded and written, a thousand in a transaction."""
    database = Database(settings)

    async def refresh() -> None:
        return None

    decoder = Decoder(codec=CODEC, clock=SystemClock(), refresh=refresh)
    writer = FoldWriter(LIVE, is_postgresql=True)
    found: list[float] = []
    run = f"{time.time_ns():x}"
    for number in range(6):
        records = [
            Record(OUTCOMES, 0, n, NOW, b"", CODEC.encode(_outcome(f"{run}-{number}-{n}"))) for n in range(1_000)
        ]
        began = time.process_time()
        folding = await decoder.folded(records)
        await database.write(lambda connection, folding=folding: writer(connection, folding))
        found.append((time.process_time() - began) / len(records) * 1e6)
    await database.close()
    return found


def _outcome(verification_id: str) -> Any:
    return msgspec.structs.replace(OUTCOME, verification_id=verification_id)


def measure(*, rows: int = ROWS, with_plans: bool = False) -> Figures:
    """``readmodel_get_p99_ms``, lists, ``ledger_start_us`` and ``projector_us``; nothing without PostgreSQL."""
    # On the disk and with a server's usual memory: ten million rows do not belong into a folder in memory.
    server_settings = {"shared_buffers": "1GB", "max_wal_size": "8GB", "autovacuum": "off"}
    try:
        server = PostgresServer(folder=Path(tempfile.gettempdir()), settings=server_settings)
    except PostgresAbsent as absent:
        print(f"readmodel left out: {absent}", file=sys.stderr)
        return {}
    with server:
        settings = ReadModelSettings.model_validate({"url": f"{server.url}/postgres"})

        async def work() -> Figures:
            await migrate(settings)
            await fill(settings, rows)
            figures = await reads(settings, rows, with_plans=with_plans)
            note = "one process, PostgreSQL beside it; 100 at a time, a third with an Idempotency-Key"
            figures["ledger_start_us"] = best(await starts_us(settings), "us", note)
            figures["projector_us"] = best(await folded_us(settings), "us", "decoded, folded, 1000 in a transaction")
            return figures

        return on_loop(work)


if __name__ == "__main__":
    expect_none(__doc__)
    print(shown(measure(with_plans=True)))
