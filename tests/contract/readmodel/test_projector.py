"""Projectors fold outcomes and receipts into the database, on either engine, whatever stops them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sqlalchemy import Connection, text

from pipeline import topics
from pipeline.readmodel.database import Database
from pipeline.readmodel.fold_write import FoldWriter
from pipeline.readmodel.ports import Filter
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.records.public import DeliveryStatus, VerificationOutcome
from pipeline.records.types import AttemptStatus
from tests.contract.readmodel.projecting import World, until, until_got
from tests.contract.readmodel.support import final, ids, outcome, report, shown


async def listed(verifications: SqlVerifications) -> list[str]:
    return sorted(ids((await verifications.page(Filter(tenant="acme", limit=100))).items))


async def test_what_was_published_before_and_while_it_runs_is_folded(
    world: World, verifications: SqlVerifications
) -> None:
    await world.publish(outcome("v1"), final("v1", 2), outcome("v2"))
    async with world.projecting():
        await until_got(verifications, "v1", 2)
        await world.publish(final("v2", 2))
        await until_got(verifications, "v2", 2)
        await world.publish(report("v2"))
        await until(lambda: world.measures.total("records_total", topic=topics.STATUSES) == 1)

    assert shown(await verifications.get("acme", "v2"))["attempts"][0]["status"] == "delivered"
    assert world.measures.total("records_total", stage="projector", topic=topics.OUTCOMES) == 4


async def test_a_projector_goes_on_where_the_last_one_ended(world: World, verifications: SqlVerifications) -> None:
    await world.publish(*(outcome(f"v{n}") for n in range(20)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 20)
    await world.publish(*(outcome(f"w{n}") for n in range(5)))
    async with world.projecting():
        await until_got(verifications, "w4", 1)

    assert world.measures.total("records_total") == 25, "a record was read twice"
    assert len(await listed(verifications)) == 25


async def test_several_projectors_share_the_partitions_and_take_over_from_each_other(
    world: World, verifications: SqlVerifications
) -> None:
    async with world.projecting(2) as (first, second):
        await until(lambda: not first.missing() and not second.missing())
        await world.publish(*(outcome(f"v{n}") for n in range(30)))
        await until(lambda: world.measures.total("records_total") >= 30)
        first.stop()
        await world.running[0]
        world.cluster.expire("projector", "projector-0")
        await world.publish(*(final(f"v{n}") for n in range(30)))
        for n in range(30):
            await until_got(verifications, f"v{n}", 2)

    assert len(await listed(verifications)) == 30


async def test_two_projectors_that_own_one_partition_for_a_moment_do_no_harm(
    world: World, verifications: SqlVerifications
) -> None:
    """As when one stands still for longer than its session: its group is split in two here, to keep both at it."""
    await world.publish(*(outcome(f"v{n % 10}", 1 + n // 10) for n in range(100)))
    first, second = await world.projector(), await world.projector()
    second._log.group_reader = lambda group, topics, instance: (  # type: ignore[method-assign]
        type(second._log).group_reader(second._log, "twin", topics, instance)
    )
    running = [asyncio.create_task(one.run()) for one in (first, second)]
    for n in range(10):
        await until_got(verifications, f"v{n}", 10)
    first.stop()
    second.stop()
    await asyncio.gather(*running)

    assert {shown(await verifications.get("acme", f"v{n}"))["version"] for n in range(10)} == {10}


async def test_rows_and_positions_are_of_one_moment(
    world: World, verifications: SqlVerifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that fails after its rows were written leaves neither rows nor positions."""
    original = FoldWriter.__call__
    failures = iter(["first", "second"])

    def failing(self: FoldWriter, connection: object, folding: object) -> None:
        original(self, connection, folding)  # type: ignore[arg-type]
        if next(failures, None):
            raise OSError("the connection was lost before the commit")

    monkeypatch.setattr(FoldWriter, "__call__", failing)
    monkeypatch.setattr("pipeline.readmodel.projector.RETRY_S", 0.05)
    await world.publish(outcome("v1"))
    async with world.projecting():
        await until(lambda: next(failures, "none left") == "none left")
        await until_got(verifications, "v1", 1)


async def test_what_cannot_be_read_is_counted_and_passed_over(
    world: World, verifications: SqlVerifications, capsys: pytest.CaptureFixture[str]
) -> None:
    await world.publish_bytes(topics.OUTCOMES, "v1", b"no avro at all")
    await world.publish(outcome("absurd", created_at=2**60), outcome("nul\0", 1), outcome("v1"))
    await world.publish(DeliveryStatus(verification_id="v1", attempt_id="v1.1\0", status=AttemptStatus.READ))
    async with world.projecting():
        await until_got(verifications, "v1", 1)
        await until(lambda: world.measures.total("records_total") == 5)

    assert await listed(verifications) in (["v1"], ["nul\0", "v1"])  # SQLite stores a NUL
    assert "record skipped" in capsys.readouterr().out


async def test_an_external_id_too_long_for_any_index_is_shown_all_the_same(
    world: World, verifications: SqlVerifications
) -> None:
    await world.publish(outcome("v1", external_id="x" * 10_000), outcome("v2"))
    async with world.projecting():
        await until_got(verifications, "v1", 1)
        await until_got(verifications, "v2", 1)

    assert shown(await verifications.get("acme", "v1"))["external_id"] == "x" * 10_000


async def test_while_the_database_is_away_it_waits_and_then_goes_on(
    world: World, verifications: SqlVerifications, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.readmodel.projector.RETRY_S", 0.05)
    await world.publish(outcome("v1"))
    async with world.projecting() as (projector,):
        await until_got(verifications, "v1", 1)
        await database.write(lambda connection: connection.execute(text("ALTER TABLE verifications RENAME TO gone")))
        await world.publish(final("v1", 2), outcome("v2"))
        await until(projector.missing)
        await database.write(lambda connection: connection.execute(text("ALTER TABLE gone RENAME TO verifications")))
        await until_got(verifications, "v1", 2)
        await until_got(verifications, "v2", 1)


async def test_under_another_epoch_it_begins_anew_where_the_positions_are(
    world: World, verifications: SqlVerifications, database: Database
) -> None:
    await world.publish(*(outcome(f"v{n}") for n in range(10)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 10)

        def other_tables(connection: Connection) -> None:
            for statement in ("DELETE FROM verifications", "DELETE FROM positions", "UPDATE epochs SET epoch = 2"):
                connection.execute(text(statement))

        await database.write(other_tables)
        await world.publish(outcome("v10"))
        for n in range(11):
            await until_got(verifications, f"v{n}", 1)


async def test_it_tells_how_far_it_is_behind(
    world: World, verifications: SqlVerifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.readmodel.lag.LOOK_EVERY_S", 0.05)
    await world.publish(*(outcome(f"v{n}") for n in range(40)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 40)
        await until(lambda: len(world.measures.latest("lag_records")) == 9)
        await until(lambda: not any(world.measures.latest("lag_records").values()))


async def test_it_is_ready_when_it_has_found_its_place(world: World) -> None:
    projector = await world.projector()
    assert projector.missing() == ["projector: not assigned yet"]
    running = asyncio.create_task(projector.run())
    await until(lambda: not projector.missing())
    projector.stop()
    await running


async def test_the_order_of_outcomes_and_reports_does_not_matter(url: str, world: World, database: Database) -> None:
    """A fold of the same records in two orders leaves the same rows, reports that say nothing new gone."""
    records: list[VerificationOutcome | DeliveryStatus] = []
    for n in range(20):
        told = "delivered" if n % 2 else "undelivered"
        status = AttemptStatus(told)
        known = outcome(f"v{n}").attempts[0]
        records += [outcome(f"v{n}"), report(f"v{n}", status=status)]
        if n % 3 == 0:
            records.append(final(f"v{n}", 2, attempts=[msgspec.structs.replace(known, status=status)]))
        else:
            records.append(final(f"v{n}", 2))

    async def rows(*parts: list[VerificationOutcome | DeliveryStatus]) -> list[tuple[object, ...]]:
        await database.write(
            lambda c: [c.execute(text(f"DELETE FROM {t}")) for t in ("verifications", "deliveries", "positions")]
        )
        before = world.measures.total("records_total")
        for part in parts:
            await world.publish(*part)
        async with world.projecting():
            await until(lambda: world.measures.total("records_total") - before >= len(records))
        return await database.read(
            lambda c: [
                tuple(row) for row in c.execute(text("SELECT verification_id, status FROM deliveries ORDER BY 1"))
            ]
        )

    outcomes = [record for record in records if isinstance(record, VerificationOutcome)]
    reports = [record for record in records if isinstance(record, DeliveryStatus)]
    found = await rows(outcomes, reports)
    world.cluster = World(url).cluster
    assert await rows(reports, outcomes) == found
    assert len(found) == 13
