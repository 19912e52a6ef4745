"""A database that is slow, full, away or given nonsense harms nobody but who has to wait, and quotes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from pipeline.errors import ReadModelUnavailable
from pipeline.readmodel.database import Database, UnfitValue
from pipeline.readmodel.ledger import SqlLedger
from pipeline.readmodel.ledger_write import Batch, LedgerWriter, Written
from pipeline.readmodel.migrating import migrate
from pipeline.readmodel.opening import ReadModel
from pipeline.readmodel.ports import Begun, Known, Started
from pipeline.readmodel.purge import Purge
from pipeline.settings.edges import ReadModelSettings
from pipeline.testing.clock import ManualClock
from tests.contract.readmodel.support import HORIZON_MS, HOUR, NOW, start

Writer = Callable[[LedgerWriter, Connection, Batch], Written]


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    settings = ReadModelSettings.model_validate({"url": url, "timeout_s": 2.0})
    await migrate(settings)
    database = Database(settings)
    yield database
    await database.close()


class Opened:
    """A ledger that runs within the test."""

    def __init__(self, database: Database, max_waiting: int = 1_000) -> None:
        self.ledger = SqlLedger(database=database, horizon_ms=HORIZON_MS, max_waiting=max_waiting)

    async def __aenter__(self) -> SqlLedger:
        self._running = asyncio.create_task(self.ledger.run())
        await asyncio.sleep(0)
        return self.ledger

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many starts each transaction held."""
    sizes: list[int] = []
    original = LedgerWriter.__call__

    def counting(self: LedgerWriter, connection: Connection, batch: Batch) -> Written:
        sizes.append(len(batch.starts))
        return original(self, connection, batch)

    monkeypatch.setattr(LedgerWriter, "__call__", counting)
    return sizes


async def test_starts_that_come_during_a_transaction_share_the_next_one(database: Database, batches: list[int]) -> None:
    async with Opened(database) as ledger:
        first = asyncio.ensure_future(ledger.start(start("first")))
        await asyncio.sleep(0)
        await asyncio.gather(first, *(ledger.start(start(f"v{n}")) for n in range(200)))

    assert sum(batches) == 201
    assert len(batches) <= 3


async def test_a_start_alone_waits_for_nobody(database: Database, batches: list[int]) -> None:
    async with Opened(database) as ledger:
        for n in range(3):
            await ledger.start(start(f"v{n}"))

    assert batches == [1, 1, 1]


async def test_an_entry_with_a_value_no_database_takes_fails_alone(database: Database) -> None:
    bad = start("bad", expires_at=2**70)

    async with Opened(database) as ledger:
        entries = [start("a"), bad, *(start(f"v{n}") for n in range(20))]
        told = await asyncio.gather(*map(ledger.start, entries), return_exceptions=True)

    assert isinstance(told[1], UnfitValue)
    assert [one.known for one in told if isinstance(one, Started)] == [Known.NEW] * 21


async def test_more_than_may_wait_are_refused_at_once(database: Database) -> None:
    async with Opened(database, max_waiting=10) as ledger:
        told = await asyncio.gather(*(ledger.start(start(f"v{n}")) for n in range(15)), return_exceptions=True)

    assert [type(one) for one in told] == [Started] * 10 + [ReadModelUnavailable] * 5


async def test_whoever_waits_for_too_long_is_told_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.timeout_s = 0.2
    release = asyncio.Event()

    async def hanging(*_: Any, **__: Any) -> None:
        await release.wait()

    monkeypatch.setattr(database, "write", hanging)
    async with Opened(database) as ledger:
        with pytest.raises(ReadModelUnavailable, match="within"):
            await asyncio.wait_for(ledger.start(start("v1")), timeout=5)


async def test_what_nobody_waits_for_any_more_is_not_written(database: Database, batches: list[int]) -> None:
    async with Opened(database) as ledger:
        first = asyncio.ensure_future(ledger.start(start("first")))
        gone = asyncio.ensure_future(ledger.start(start("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        await first
        await ledger.start(start("after"))

    assert sum(batches) in (2, 3), "it may have been under way"
    assert (await asyncio.gather(gone, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_a_transaction_that_loses_its_connection_is_done_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told as new it was not published yet; told as the same with version 0 it is published as well."""
    if not database.is_postgresql:
        pytest.skip("SQLite has no connection to lose")
    original = LedgerWriter.__call__
    killed: list[bool] = []

    def cut(self: LedgerWriter, connection: Connection, batch: Batch) -> Written:
        written = original(self, connection, batch)
        if not killed:
            killed.append(True)
            connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
        return written

    monkeypatch.setattr(LedgerWriter, "__call__", cut)
    async with Opened(database) as ledger:
        assert (await ledger.start(start("v1"))).known is Known.NEW
    assert killed


async def test_what_a_driver_says_is_never_repeated(database: Database) -> None:
    """Their errors quote statements and values."""
    secret = "+4915112345678"

    def failing(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM nowhere WHERE a = :a"), {"a": secret})

    with pytest.raises(ReadModelUnavailable) as away:
        await database.read(failing)
    assert secret not in f"{away.value!r} {away.value.__cause__!r}"
    assert away.value.__suppress_context__, "the driver's error would be told as well"

    with pytest.raises(UnfitValue) as unfit:
        await database.write(lambda c: c.execute(text("INSERT INTO starts VALUES (:a, :a, NULL, 0)"), {"a": secret}))
    assert secret not in f"{unfit.value!r} {unfit.value.__cause__!r}"
    assert unfit.value.__suppress_context__


async def test_a_database_that_is_not_there_at_the_start_is_waited_for(tmp_path: Any, url: str) -> None:
    """And everything is refused until it is."""
    settings = ReadModelSettings.model_validate({"url": "postgresql://nobody@127.0.0.1:9/nowhere", "timeout_s": 0.5})
    model = ReadModel(
        settings=settings, clock=ManualClock(NOW), idempotency_ms=HOUR, horizon_ms=HORIZON_MS, max_waiting=10
    )
    running = asyncio.create_task(model.run())
    await asyncio.sleep(0.1)
    assert model.missing()
    assert not running.done()
    with pytest.raises(ReadModelUnavailable):
        await model.ledger.start(start("v1"))
    with pytest.raises(ReadModelUnavailable):
        await model.verifications.get("acme", "v1")
    model.stop()
    await running


async def test_what_is_old_enough_is_forgotten_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.readmodel.purge.AT_ONCE", 3)
    monkeypatch.setattr("pipeline.readmodel.purge.PAUSE_S", 0.0)
    clock = ManualClock(NOW)
    purge = Purge(database=database, clock=clock, idempotency_ms=24 * HOUR, horizon_ms=HORIZON_MS)
    async with Opened(database) as ledger:
        for n in range(7):
            await ledger.start(start(f"old{n}", key=f"old{n}"))
        await ledger.start(start("young", key="young", created_at=NOW + 30 * HOUR))
        await ledger.begin(Begun("check", "body"), created_at=NOW)

        assert await purge.once() == 0
        clock.jump(24 * HOUR + 1)
        assert await purge.once() == 8, "keys, but no start yet"
        assert (await ledger.begin(Begun("check", "body"), created_at=NOW + 25 * HOUR)).known is Known.NEW
        assert (await ledger.start(start("old1"))).known is Known.SAME
        clock.jump(24 * HOUR + 1)
        assert await purge.once() == 14, "seven starts, and their verifications that never were"
        assert (await ledger.start(start("old1", content_hash="other"))).known is Known.NEW
        assert (await ledger.start(start("young"))).known is Known.SAME


async def test_two_gateways_may_purge_at_once(database: Database) -> None:
    clock = ManualClock(NOW + 100 * HOUR)
    async with Opened(database) as ledger:
        await asyncio.gather(*(ledger.start(start(f"v{n}", key=f"k{n}")) for n in range(300)))
    purges = [Purge(database=database, clock=clock, idempotency_ms=24 * HOUR, horizon_ms=HORIZON_MS) for _ in range(2)]

    gone = sum(await asyncio.gather(*(purge.once() for purge in purges)))
    gone += await purges[0].once()

    assert gone == 900


async def test_a_full_pool_is_waited_for_only_so_long(url: str) -> None:
    settings = ReadModelSettings.model_validate({"url": url, "timeout_s": 0.3, "pool_size": 1})
    await migrate(settings)
    database = Database(settings)
    try:
        async with database.engine.connect():
            with pytest.raises(ReadModelUnavailable):
                await database.read(lambda connection: connection.exec_driver_sql("SELECT 1"))
    finally:
        await database.close()


async def test_what_says_that_nothing_is_missing_answers(url: str) -> None:
    """At once: whoever starts in the very turn of the loop in which it says so is not turned away."""
    model = ReadModel(
        settings=ReadModelSettings.model_validate({"url": url}),
        clock=ManualClock(NOW),
        idempotency_ms=24 * HOUR,
        horizon_ms=HORIZON_MS,
        max_waiting=10,
    )
    running = asyncio.create_task(model.run())
    async with asyncio.timeout(30):
        while model.missing():  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert (await model.ledger.start(start("v1"))).known is Known.NEW
    model.stop()
    await running
