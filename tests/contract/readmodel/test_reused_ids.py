"""An id that is used again after the horizon: nothing of the earlier verification is shown as the later one's."""

from __future__ import annotations

from pipeline.readmodel.ports import Filter
from pipeline.readmodel.view import to_json
from pipeline.records.types import AttemptStatus
from tests.contract.readmodel.support import HORIZON_MS, NOW, ReadModelUnderTest, final, outcome, report, shown


async def test_a_late_report_of_the_earlier_one_is_not_joined_though_the_attempts_have_one_name(
    model: ReadModelUnderTest,
) -> None:
    await model.fold(final("v1"), report("v1"))
    assert shown(await model.verifications.get("acme", "v1"))["attempts"][0]["status"] == AttemptStatus.DELIVERED
    second = final("v1", created_at=NOW + HORIZON_MS)

    await model.fold(outcome("v1", created_at=NOW + HORIZON_MS))
    await model.fold(second)

    assert await model.verifications.get("acme", "v1") == to_json(second)
    assert (await model.verifications.page(Filter(tenant="acme"))).items == [to_json(second)]


async def test_an_earlier_one_read_again_takes_no_place(model: ReadModelUnderTest) -> None:
    second = outcome("v1", created_at=NOW + HORIZON_MS)

    await model.fold(second)
    await model.fold(final("v1"))

    assert await model.verifications.get("acme", "v1") == to_json(second)
