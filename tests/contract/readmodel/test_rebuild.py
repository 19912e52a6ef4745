"""`readmodel rebuild` folds everything anew while the old tables serve, on either engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, text

from pipeline.errors import ReadModelUnavailable, UsageError
from pipeline.readmodel import rebuild, shadow
from pipeline.readmodel.database import Database
from pipeline.readmodel.positions import TOPICS
from pipeline.readmodel.rebuild import Progress, Rebuild, Rebuilt
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.runtime.log import TopicPartition
from tests.contract.readmodel.database import DatabaseUnderTest
from tests.contract.readmodel.projecting import PARTITIONS, World, until, until_got
from tests.contract.readmodel.support import final, outcome, report, shown, start

Rows = list[tuple[Any, ...]]


def quiet(_: Progress) -> None:
    """Nobody looks."""


async def rebuilt(world: World, tell: Any = quiet) -> Rebuilt:
    return await Rebuild(settings=world.settings, log=await world.log(), decoder=world.decoder(), tell=tell).run()


async def rows_of(database: Database, table: str) -> Rows:
    found = await database.read(lambda c: [tuple(row) for row in c.execute(text(f"SELECT * FROM {table}")).all()])
    return sorted(found, key=repr)


async def everything(database: Database) -> dict[str, Rows]:
    return {table: await rows_of(database, table) for table in ("verifications", "deliveries")}


async def spoil(database: Database) -> None:
    """As a mistake of the program would."""
    await database.write(
        lambda c: c.execute(text("UPDATE verifications SET state = 'spoiled', view = :v"), {"v": b"{}"})
    )


async def test_afterwards_everything_is_as_folded_from_the_first_record(world: World, database: Database) -> None:
    await world.publish(*(outcome(f"v{n}", 1 + n % 3) for n in range(60)))
    await world.publish(*(final(f"v{n}", 5) for n in range(0, 60, 2)), *(report(f"v{n}") for n in range(0, 60, 4)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 105)
    before = await everything(database)
    assert len(before["deliveries"]) == 15
    await spoil(database)

    told = await rebuilt(world)

    assert await everything(database) == before
    assert told == (105, 0, 2)
    assert not await database.read(shadow.left_over)


async def test_gets_are_answered_and_projectors_go_on_while_it_runs(
    world: World, database: Database, verifications: SqlVerifications
) -> None:
    await world.publish(*(outcome(f"v{n}") for n in range(300)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 300)
        await spoil(database)
        ended = asyncio.Event()
        seen: list[int] = []
        published: list[int] = []

        async def get() -> None:
            last = 0
            while not ended.is_set():
                found = await verifications.get("acme", "live")
                version = shown(found)["version"] if found is not None else 0
                assert version >= last, "a get went back in time"
                last = version
                seen.append(version)
                await asyncio.sleep(0.001)

        async def publish() -> None:
            version = 0
            while not ended.is_set():
                version += 1
                await world.publish(outcome("live", version), outcome(f"new{version}"))
                published.append(version)
                await asyncio.sleep(0.01)

        beside = [asyncio.create_task(get()), asyncio.create_task(publish())]
        await until(lambda: max(seen, default=0) > 3)
        during = len(seen)
        await rebuilt(world)
        await asyncio.sleep(0.2)
        ended.set()
        await asyncio.gather(*beside)
        assert len(seen) > during
        await until_got(verifications, "live", published[-1])
        await until_got(verifications, f"new{published[-1]}", 1)

    after = await everything(database)
    assert not [row for row in after["verifications"] if "spoiled" in row]
    await rebuilt(world)
    assert await everything(database) == after


async def test_a_projector_goes_on_from_the_positions_of_the_new_tables(
    world: World, database: Database, verifications: SqlVerifications
) -> None:
    await world.publish(outcome("v1"))
    async with world.projecting() as (projector,):
        await until_got(verifications, "v1", 1)
        await rebuilt(world)
        await world.publish(final("v1"))
        await until_got(verifications, "v1", 2)
        assert not projector.missing()


async def test_what_the_topics_hold_no_more_and_what_they_do_not_hold_yet_is_kept(
    world: World, database: Database, verifications: SqlVerifications, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.publish(*(final(f"v{n}") for n in range(30)), *(report(f"v{n}") for n in range(30)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 60)
    before = await everything(database)
    opened: list[DatabaseUnderTest] = []
    gateway = await DatabaseUnderTest(url, opened.append).open()
    await gateway.ledger.start(start("started"))
    for topic in TOPICS:
        for number in range(PARTITIONS):
            where = TopicPartition(topic, number)
            ends = await (await world.log()).end_offsets([where])
            world.cluster.delete_before(where, ends[where])
    await world.publish(outcome("after"))

    original = Rebuild._carry_over

    async def and_start(self: Rebuild) -> int:
        carried_over = await original(self)
        await gateway.ledger.start(start("started late"))
        return carried_over

    monkeypatch.setattr(Rebuild, "_carry_over", and_start)

    told = await rebuilt(world)

    assert told.carried_over == 31
    assert shown(await verifications.get("acme", "started"))["version"] == 0
    assert shown(await verifications.get("acme", "started late"))["version"] == 0
    assert shown(await verifications.get("acme", "after"))["version"] == 1
    left = await everything(database)
    assert left["deliveries"] == before["deliveries"]
    assert [row for row in left["verifications"] if row[0].startswith("v")] == before["verifications"]
    await gateway.close()


@pytest.mark.parametrize("phase", ["reading", "indexing", "carrying over", "catching up"])
async def test_killed_at_any_moment_it_leaves_the_old_tables_and_can_be_run_again(
    world: World, database: Database, phase: str
) -> None:
    class Killed(BaseException):
        """Nothing of the program catches it."""

    def kill(progress: Progress) -> None:
        reached.append(progress.phase)
        if progress.phase == phase and (phase != "catching up" or progress.done):
            raise Killed

    reached: list[str] = []
    await world.publish(*(outcome(f"v{n}") for n in range(60)))
    async with world.projecting():
        await until(lambda: world.measures.total("records_total") == 60)
    before = await everything(database)
    if phase == "catching up":
        original = Rebuild._carry_over

        async def and_more(self: Rebuild) -> int:
            await world.publish(outcome("later"))
            return await original(self)

        Rebuild._carry_over = and_more  # type: ignore[method-assign]
    try:
        with pytest.raises(Killed):
            await rebuilt(world, kill)
    finally:
        if phase == "catching up":
            Rebuild._carry_over = original  # type: ignore[method-assign]
    assert reached[-1] == phase
    assert await everything(database) == before

    assert (await rebuilt(world)).epoch == 2
    assert [row for row in (await everything(database))["verifications"] if row[0] != "later"] == before[
        "verifications"
    ]


async def test_it_can_be_run_again_and_again(world: World, database: Database) -> None:
    """Names of tables and indexes are given back each time."""
    await world.publish(*(outcome(f"v{n}") for n in range(5)))

    assert [(await rebuilt(world)).epoch for _ in range(4)] == [2, 3, 4, 5]
    assert len((await everything(database))["verifications"]) == 5


async def test_a_swap_that_is_put_off_loses_nothing_that_was_folded_in_it(
    world: World, database: Database, verifications: SqlVerifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction is rolled back, and what it read of the topics must be read again by the next try."""
    await world.publish(*(outcome(f"v{n}") for n in range(5)))
    catch_up, lock = Rebuild._catch_up, shadow.Shadow.lock
    tries: list[int] = []

    async def and_fall_behind(self: Rebuild, phase: str) -> None:
        await catch_up(self, phase)
        if phase == "catching up" and not tries:
            await world.publish(final("v1"), outcome("later"))
            await until(lambda: world.measures.total("records_total") == 7)

    def taken(self: shadow.Shadow, connection: Connection) -> None:
        tries.append(len(tries))
        if len(tries) == 1:
            raise ReadModelUnavailable("somebody reads for long")
        lock(self, connection)

    monkeypatch.setattr(Rebuild, "_catch_up", and_fall_behind)
    monkeypatch.setattr(shadow.Shadow, "lock", taken)
    monkeypatch.setattr(rebuild, "PAUSE_S", 0.01)
    async with world.projecting():
        await until_got(verifications, "v4", 1)

        assert (await rebuilt(world)).records == 7
        assert len(tries) == 2
        assert shown(await verifications.get("acme", "later"))["version"] == 1
        assert shown(await verifications.get("acme", "v1"))["version"] == 2


async def test_two_at_once_are_refused(world: World, database: Database) -> None:
    await world.publish(*(outcome(f"v{n}") for n in range(5)))
    refused: list[str] = []
    asking: list[asyncio.Task[None]] = []

    async def second() -> None:
        with pytest.raises(UsageError) as error:
            await rebuilt(world)
        refused.append(str(error.value))

    def during(progress: Progress) -> None:
        if progress.phase == "reading" and not asking:
            asking.append(asyncio.create_task(second()))

    original = Rebuild._carry_over

    async def slowly(self: Rebuild) -> int:
        await asking[0]
        return await original(self)

    Rebuild._carry_over = slowly  # type: ignore[method-assign]
    try:
        await rebuilt(world, during)
    finally:
        Rebuild._carry_over = original  # type: ignore[method-assign]
    assert refused == ["another rebuild of this database is running"]


async def test_it_tells_how_far_it_is(world: World, database: Database) -> None:
    await world.publish(*(outcome(f"v{n}") for n in range(120)))
    told: list[Progress] = []

    await rebuilt(world, told.append)

    reading = [(one.done, one.total) for one in told if one.phase == "reading"]
    assert reading == sorted(reading)
    assert reading[-1] == (120, 120)
    assert len(reading) > 1
