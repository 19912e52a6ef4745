"""An id used for two people at once: the attempts of both decisions have the same names, maybe at the same provider."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from pipeline import topics
from pipeline.readmodel.database import Database
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.readmodel.view import to_json
from pipeline.records.types import AttemptStatus
from tests.contract.readmodel.projecting import CODEC, World, until, until_got
from tests.contract.readmodel.support import ReadModelUnderTest, attempt, final, report, shown

WON, LOST = "v1_1_abcdef", "v1_1_zzzzzz"
LOSERS = report("v1", status=AttemptStatus.READ)


def _end() -> bytes:
    return to_json(final("v1"))


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_late_report_of_the_decision_that_lost_is_shown_nowhere(
    model: ReadModelUnderTest, is_first: bool
) -> None:
    if is_first:
        await model.fold(LOSERS, reference=LOST)
    await model.fold(final("v1"))
    if not is_first:
        await model.fold(LOSERS, reference=LOST)
    assert await model.verifications.get("acme", "v1") == _end()


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("winners", [WON, None])
async def test_nor_does_it_take_the_place_of_the_report_of_the_one_that_won(
    model: ReadModelUnderTest, is_first: bool, winners: str | None
) -> None:
    """It tells more, but not of this message; one whose writer told no reference is believed."""
    if is_first:
        await model.fold(LOSERS, reference=LOST)
    await model.fold(report("v1"), reference=winners)
    if not is_first:
        await model.fold(LOSERS, reference=LOST)
    await model.fold(final("v1"))
    assert shown(await model.verifications.get("acme", "v1"))["attempts"][0]["status"] == AttemptStatus.DELIVERED


async def test_of_reports_with_and_without_reference_the_one_that_tells_most_is_shown(
    model: ReadModelUnderTest,
) -> None:
    sent = attempt("v1", status=AttemptStatus.QUEUED)
    await model.fold(final("v1", attempts=[sent]))
    await model.fold(report("v1", status=AttemptStatus.UNDELIVERED), reference=WON)
    await model.fold(report("v1"))
    assert shown(await model.verifications.get("acme", "v1"))["attempts"][0]["status"] == AttemptStatus.DELIVERED
    await model.fold(report("v1", status=AttemptStatus.READ), reference=WON)
    read = shown(await model.verifications.get("acme", "v1"))["attempts"][0]
    assert (read["status"], read["reason"]) == (AttemptStatus.READ, None)


async def test_a_projector_reads_the_reference_and_keeps_nothing_of_the_one_that_lost(
    world: World, database: Database, verifications: SqlVerifications
) -> None:
    others = (LOST.encode(), b"v1_2_abcdef", b"x" * 5_000, b"\xff\x00", b"")
    for reference in others:
        headers = (("reference", reference),)
        await world.publish_bytes(topics.STATUSES, "v1", CODEC.encode(LOSERS), headers=headers)
    headers = (("reference", WON.encode()),)
    await world.publish_bytes(topics.STATUSES, "v1", CODEC.encode(report("v1")), headers=headers)
    async with world.projecting():
        await until(lambda: world.measures.total("records_total", topic=topics.STATUSES) == len(others) + 1)
        # Before the end nobody knows whose message it is, but whose it cannot be.
        assert await _references(database) == [WON, LOST]
        await world.publish(final("v1"))
        await until_got(verifications, "v1", 2)
    assert await _references(database) == [WON]
    assert shown(await verifications.get("acme", "v1"))["attempts"][0]["status"] == AttemptStatus.DELIVERED


async def _references(database: Database) -> list[str]:
    return await database.read(
        lambda connection: list(connection.execute(text("SELECT reference FROM deliveries ORDER BY 1")).scalars())
    )
