"""Verifications are got and listed as the API shows them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import ReadModelUnavailable, Refused
from pipeline.readmodel.ports import Filter, Page
from pipeline.readmodel.view import to_json
from pipeline.records.public import StepView
from pipeline.records.types import AttemptStatus, Channel, VerificationState
from tests.contract.readmodel.support import NOW, ReadModelUnderTest, attempt, final, ids, outcome, report, shown, start


async def pages(model: ReadModelUnderTest, wanted: Filter) -> list[list[str]]:
    """All pages of a list, each as its ids."""
    found: list[list[str]] = []
    while True:
        page = await model.verifications.page(wanted)
        found.append(ids(page.items))
        if page.next_cursor is None:
            return found
        wanted = replace(wanted, cursor=page.next_cursor)


async def page_of(model: ReadModelUnderTest, **filters: Any) -> Page:
    return await model.verifications.page(Filter(tenant="acme", **filters))


async def test_an_outcome_can_be_got_as_the_api_shows_it(model: ReadModelUnderTest) -> None:
    record = outcome("v1", 2, external_id="order-1", metadata={"k": "ü"})
    await model.fold(record)

    assert await model.verifications.get("acme", "v1") == to_json(record)


async def test_what_is_not_there_or_another_tenant_s_is_not_found(model: ReadModelUnderTest) -> None:
    await model.fold(outcome("v1"))

    assert await model.verifications.get("acme", "v2") is None
    assert await model.verifications.get("other", "v1") is None
    assert await model.verifications.get("acme", "v1\0") is None


async def test_an_older_version_never_replaces_a_newer_one(model: ReadModelUnderTest) -> None:
    await model.fold(outcome("v1", 3))
    await model.fold(outcome("v1", 2), outcome("v1", 1))
    await model.fold(outcome("v1", 3, state=VerificationState.PENDING))

    found = shown(await model.verifications.get("acme", "v1"))
    assert (found["version"], found["state"]) == (3, "sent")


async def test_of_several_versions_in_one_batch_the_last_counts(model: ReadModelUnderTest) -> None:
    await model.fold(outcome("v1", 1), outcome("v1", 3), outcome("v1", 2))

    assert shown(await model.verifications.get("acme", "v1"))["version"] == 3


async def test_the_first_outcome_replaces_what_the_gateway_wrote_at_the_start(model: ReadModelUnderTest) -> None:
    await model.ledger.start(start("v1", created_at=NOW + 500))
    await model.fold(outcome("v1", 1, created_at=NOW))

    assert shown(await model.verifications.get("acme", "v1"))["version"] == 1


async def test_a_start_never_replaces_an_outcome_that_was_folded_before(model: ReadModelUnderTest) -> None:
    await model.fold(outcome("v1", 1))
    await model.ledger.start(start("v1"))

    assert shown(await model.verifications.get("acme", "v1"))["version"] == 1


# --- what is told after the end ------------------------------------------------------------------------------------


async def test_a_report_after_the_final_outcome_is_seen_in_its_attempt(model: ReadModelUnderTest) -> None:
    await model.fold(final("v1"))
    await model.fold(report("v1", cost="0.05", currency="USD"))

    found = shown(await model.verifications.get("acme", "v1"))
    assert found["state"] == "verified"
    assert found["attempts"][0]["status"] == "delivered"
    assert found["attempts"][0]["delivered_at"] == "2025-11-22T00:00:05.000Z"
    assert (found["attempts"][0]["cost"], found["attempts"][0]["currency"]) == ("0.05", "USD")
    listed = await page_of(model)
    assert shown(listed.items[0]) == found


async def test_a_report_that_was_read_before_the_final_outcome_is_seen_as_well(model: ReadModelUnderTest) -> None:
    await model.fold(report("v1"))
    await model.fold(final("v1"))

    assert shown(await model.verifications.get("acme", "v1"))["attempts"][0]["status"] == "delivered"


async def test_a_report_before_the_end_is_left_to_the_tracker(model: ReadModelUnderTest) -> None:
    record = outcome("v1")
    await model.fold(record, report("v1"))

    assert await model.verifications.get("acme", "v1") == to_json(record)


async def test_only_a_report_that_tells_more_changes_an_attempt(model: ReadModelUnderTest) -> None:
    delivered = final("v1", attempts=[attempt("v1", status=AttemptStatus.DELIVERED, delivered_at=NOW + 3_000)])
    await model.fold(delivered, report("v1", status=AttemptStatus.UNDELIVERED), report("v1", occurred_at=NOW))

    assert await model.verifications.get("acme", "v1") == to_json(delivered)


@pytest.mark.parametrize("orders", [(AttemptStatus.UNDELIVERED, AttemptStatus.READ)] * 2, ids=["there", "back"])
async def test_of_several_reports_the_one_that_tells_most_counts(
    model: ReadModelUnderTest, orders: tuple[AttemptStatus, ...], request: pytest.FixtureRequest
) -> None:
    back = "back" in request.node.name
    await model.fold(final("v1"))
    for status in reversed(orders) if back else orders:
        await model.fold(report("v1", status=status))

    found = shown(await model.verifications.get("acme", "v1"))["attempts"][0]
    assert (found["status"], found["reason"]) == ("read", None)


async def test_a_failed_delivery_is_told_with_its_reason(model: ReadModelUnderTest) -> None:
    await model.fold(
        final("v1"), report("v1", status=AttemptStatus.UNDELIVERED, reason="recipient_blocked"),
        final("v2"), report("v2", status=AttemptStatus.UNDELIVERED),
    )  # fmt: skip

    told = [shown(await model.verifications.get("acme", vid))["attempts"][0] for vid in ("v1", "v2")]
    assert [(one["status"], one["reason"], one["delivered_at"]) for one in told] == [
        ("undelivered", "recipient_blocked", None),
        ("undelivered", "undelivered", None),
    ]


async def test_a_report_of_another_attempt_or_provider_changes_nothing(model: ReadModelUnderTest) -> None:
    record = final("v1")
    await model.fold(record, report("v1", n=2), report("v1", provider="neutrino"))

    assert await model.verifications.get("acme", "v1") == to_json(record)


async def test_a_failure_of_one_channel_of_a_walk_is_no_failure_of_its_attempt(model: ReadModelUnderTest) -> None:
    steps = [
        StepView(index=0, channel=Channel.SMS, provider="t"),
        StepView(index=1, channel=Channel.VOICE, provider="t"),
    ]
    record = final("v1", steps=steps, attempts=[attempt("v1", provider="t")])
    await model.fold(record, report("v1", provider="t", status=AttemptStatus.UNDELIVERED))

    assert await model.verifications.get("acme", "v1") == to_json(record)


async def test_a_time_that_cannot_be_is_not_shown(model: ReadModelUnderTest) -> None:
    await model.fold(final("v1"), report("v1", occurred_at=0))

    found = shown(await model.verifications.get("acme", "v1"))["attempts"][0]
    assert found["delivered_at"] == "2025-11-22T00:00:05.100Z"


# --- lists ---------------------------------------------------------------------------------------------------------


async def test_a_list_shows_the_newest_first_and_ends_with_no_cursor(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(7)))

    assert await pages(model, Filter(tenant="acme", limit=3)) == [["v6", "v5", "v4"], ["v3", "v2", "v1"], ["v0"]]


async def test_reversed_it_shows_the_oldest_first(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(5)))

    found = await pages(model, Filter(tenant="acme", limit=3, reverse=True))
    assert found == [["v0", "v1", "v2"], ["v3", "v4"]]


async def test_a_last_page_that_is_full_has_no_cursor(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(4)))

    assert await pages(model, Filter(tenant="acme", limit=2)) == [["v3", "v2"], ["v1", "v0"]]


@pytest.mark.parametrize("reverse", [False, True])
async def test_verifications_of_one_millisecond_are_each_shown_once(model: ReadModelUnderTest, reverse: bool) -> None:
    await model.fold(*(outcome(f"v{n}") for n in range(10)))

    found = await pages(model, Filter(tenant="acme", limit=3, reverse=reverse))
    assert [one for page in found for one in page] == sorted((f"v{n}" for n in range(10)), reverse=not reverse)


async def test_a_cursor_is_stable_while_verifications_are_added(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + 10 * n) for n in range(4)))
    first = await page_of(model, limit=2)

    await model.fold(outcome("newer", created_at=NOW + 100), outcome("between", created_at=NOW + 5))
    second = await page_of(model, limit=25, cursor=first.next_cursor)

    assert ids(first.items) == ["v3", "v2"]
    assert ids(second.items) == ["v1", "between", "v0"]


async def test_only_the_tenant_s_own_are_listed(model: ReadModelUnderTest) -> None:
    await model.fold(outcome("v1"), outcome("v2", tenant="other"))

    assert ids((await page_of(model)).items) == ["v1"]
    assert ids((await model.verifications.page(Filter(tenant="other"))).items) == ["v2"]


async def test_each_filter_narrows_the_list_and_they_combine(model: ReadModelUnderTest) -> None:
    await model.fold(
        outcome("v1", created_at=NOW + 1, external_id="a", job_id="j"),
        final("v2", created_at=NOW + 2, external_id="a", job_id="j"),
        final("v3", created_at=NOW + 3, external_id="a"),
        final("v4", created_at=NOW + 4, job_id="j"),
    )

    async def found(**filters: Any) -> list[str]:
        return ids((await page_of(model, reverse=True, **filters)).items)

    assert await found() == ["v1", "v2", "v3", "v4"]
    assert await found(state=VerificationState.VERIFIED) == ["v2", "v3", "v4"]
    assert await found(external_id="a") == ["v1", "v2", "v3"]
    assert await found(job_id="j") == ["v1", "v2", "v4"]
    assert await found(state=VerificationState.VERIFIED, external_id="a", job_id="j") == ["v2"]
    assert await found(external_id="a\0") == []


async def test_from_is_included_and_to_is_not(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(5)))

    found = await page_of(model, from_at=NOW + 1, to_at=NOW + 3, reverse=True)
    assert ids(found.items) == ["v1", "v2"]


async def test_dates_and_filters_hold_on_later_pages_too(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n, job_id="j" if n % 2 else None) for n in range(10)))

    found = await pages(model, Filter(tenant="acme", limit=2, from_at=NOW + 2, to_at=NOW + 9, job_id="j"))
    assert found == [["v7", "v5"], ["v3"]]


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"reverse": True},
        {"state": VerificationState.SENT},
        {"external_id": "a"},
        {"job_id": "j"},
        {"from_at": NOW - 1},
        {"to_at": NOW + 1_000},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_a_cursor_of_another_list_is_refused(model: ReadModelUnderTest, other: dict[str, Any]) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(3)))
    page = await page_of(model, limit=1)

    with pytest.raises(Refused) as refused:
        await model.verifications.page(replace(Filter(tenant="acme", cursor=page.next_cursor), **other))
    assert (refused.value.reason, refused.value.field) == ("invalid_field", "cursor")


@pytest.mark.parametrize("cursor", ["", "x", "ü", "AAAA", "W10", "a" * 10_000, "bnVsbA", "WyJ4IiwxLCJ2Il0"])
async def test_a_cursor_that_is_none_of_ours_is_refused(model: ReadModelUnderTest, cursor: str) -> None:
    with pytest.raises(Refused):
        await page_of(model, cursor=cursor)


@pytest.mark.parametrize(
    ("place", "at"),
    [
        (0, "0" * 12),
        (1, True),
        (1, 1.5),
        (1, "1"),
        (1, None),
        (1, -1),
        (1, 1 << 63),
        (2, 1),
        (2, None),
        (2, "v\0"),
        (2, []),
    ],
)
async def test_a_cursor_that_somebody_changed_is_refused(model: ReadModelUnderTest, place: int, at: object) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(3)))
    given = (await page_of(model, limit=1)).next_cursor
    assert given is not None
    told = json.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
    told[place] = at

    with pytest.raises(Refused):
        await page_of(model, cursor=base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode())


async def test_the_page_size_may_change_from_page_to_page(model: ReadModelUnderTest) -> None:
    await model.fold(*(outcome(f"v{n}", created_at=NOW + n) for n in range(4)))
    first = await page_of(model, limit=1)

    assert ids((await page_of(model, limit=100, cursor=first.next_cursor)).items) == ["v2", "v1", "v0"]


async def test_a_database_that_is_away_is_told_as_such(model: ReadModelUnderTest) -> None:
    await model.away()

    with pytest.raises(ReadModelUnavailable):
        await model.verifications.get("acme", "v1")
    with pytest.raises(ReadModelUnavailable):
        await page_of(model)
