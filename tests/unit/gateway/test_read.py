from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.datastructures import QueryParams

from pipeline.gateway.read import wanted_page
from pipeline.records.public import VerificationOutcome
from pipeline.records.types import VerificationState
from tests.unit.gateway.api_bench import NOW, PHONE, ApiBench
from tests.unit.gateway.bench import assert_problem
from tests.unit.gateway.test_start import outcome


@pytest.fixture
async def api() -> AsyncIterator[ApiBench]:
    made = ApiBench()
    yield made
    await made.http.aclose()


def fold(api: ApiBench, count: int) -> None:
    """Verifications v0, v1, ... a second apart."""
    for n in range(count):
        api.model.fold(
            VerificationOutcome(
                verification_id=f"v{n}",
                version=1,
                tenant="shop",
                external_id=f"order-{n % 2}",
                state=VerificationState.SENT if n % 2 else VerificationState.PENDING,
                created_at=NOW + n * 1_000,
                updated_at=NOW + n * 1_000,
            )
        )


async def listed(api: ApiBench, **query: object) -> list[str]:
    answer = await api.get(**query)
    assert answer.status_code == 200, answer.text
    return [item["verification_id"] for item in answer.json()["items"]]


async def test_a_verification_is_there_right_after_its_start(api: ApiBench) -> None:
    started = await api.start({"recipient": PHONE, "verification_id": "v1"})
    found = await api.get("/v1")
    assert (found.status_code, found.content) == (200, started.content)
    assert found.headers["Content-Type"] == "application/json"
    assert found.headers["Cache-Control"] == "no-store"


async def test_later_it_is_told_as_its_last_outcome_has_it(api: ApiBench) -> None:
    await api.start({"recipient": PHONE, "verification_id": "v1"})
    api.model.fold(outcome("v1", version=2))
    assert (await api.get("/v1")).json()["state"] == "sent"


@pytest.mark.parametrize("path", ["/v2", "/" + "a" * 49, "/a.b", "/%00", "/%2B4915112345678", "/%F0%9F%A6%8A"])
async def test_what_is_not_there_is_404(api: ApiBench, path: str) -> None:
    assert_problem(await api.get(path), 404, "unknown_verification")


async def test_another_tenants_id_is_404_like_none(api: ApiBench) -> None:
    await api.start({"recipient": PHONE, "verification_id": "v1"})
    other, none = await api.get("/v1", caller="other"), await api.get("/v2", caller="other")
    assert_problem(other, 404, "unknown_verification")
    assert other.content == none.content
    assert await listed(api) == ["v1"]
    assert (await api.get(caller="other")).json() == {"items": [], "next_cursor": None}


async def test_the_newest_come_first_and_the_oldest_when_asked(api: ApiBench) -> None:
    fold(api, 3)
    assert await listed(api) == ["v2", "v1", "v0"]
    assert await listed(api, reverse="true") == ["v0", "v1", "v2"]


async def test_pages_follow_each_other_until_there_is_none(api: ApiBench) -> None:
    fold(api, 30)
    first = (await api.get()).json()
    assert len(first["items"]) == 25
    second = (await api.get(cursor=first["next_cursor"])).json()
    assert [len(second["items"]), second["next_cursor"]] == [5, None]
    assert await listed(api, limit="100") == [f"v{n}" for n in reversed(range(30))]
    assert len(await listed(api, limit="1")) == 1


async def test_filters_are_passed_on(api: ApiBench) -> None:
    fold(api, 4)
    assert await listed(api, state="sent") == ["v3", "v1"]
    assert await listed(api, external_id="order-0") == ["v2", "v0"]
    assert await listed(api, job_id="j") == []
    assert await listed(api, **{"from": "2025-01-02T03:04:06.678Z", "to": "2025-01-02T04:04:08.678+01:00"}) == [
        "v2",
        "v1",
    ]


@pytest.mark.parametrize(
    ("name", "given", "field", "expected"),
    [
        ("from", "2025-01-02", "from_at", 1_735_776_000_000),
        ("to", "2025-01-02", "to_at", 1_735_776_000_000 + 86_400_000),
        ("from", "2025-01-02T00:00:00Z", "from_at", 1_735_776_000_000),
        ("to", "2025-01-02T00:00:00Z", "to_at", 1_735_776_000_000),
        ("from", "2025-01-02T01:00:00.0001+01:00", "from_at", 1_735_776_000_001),
        ("from", "1969-12-31", "from_at", -86_400_000),
        ("to", "9999-12-31", "to_at", 253_402_300_800_000),
    ],
)
def test_a_date_is_its_whole_day_in_utc(name: str, given: str, field: str, expected: int) -> None:
    assert getattr(wanted_page(QueryParams({name: given}), "shop"), field) == expected


async def test_a_parameter_without_a_value_counts_as_not_given(api: ApiBench) -> None:
    fold(api, 2)
    empty = dict.fromkeys(("limit", "cursor", "reverse", "from", "to", "state", "external_id", "job_id"), "")
    assert await listed(api, **empty) == ["v1", "v0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("limit=%D9%A5", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("reverse=yes", "reverse"),
        ("state=unknown", "state"),
        ("state=SENT", "state"),
        ("from=yesterday", "from"),
        ("from=2025-02-30", "from"),
        ("from=2025-01-02T03:04:05", "from"),
        ("to=2025-01-02T03:04:05+01:00", "to"),
        ("to=0000-00-00", "to"),
        ("external_id=" + "x" * 129, "external_id"),
        ("external_id=%00", "external_id"),
        ("externalid=1", "externalid"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(api: ApiBench, query: str, field: str) -> None:
    answer = await api.get(f"?{query}")
    assert_problem(answer, 422, "invalid_field")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_an_offset_that_was_not_escaped_is_explained(api: ApiBench) -> None:
    assert "%2B" in (await api.get("?from=2025-01-02T03:04:05+01:00")).json()["detail"]


async def test_every_wrong_parameter_is_named_in_one_answer(api: ApiBench) -> None:
    answer = await api.get("?limit=0&state=x&colour=red")
    assert [error["field"] for error in answer.json()["errors"]] == ["limit", "state", "colour"]


async def test_a_cursor_of_no_list_or_of_another_one_is_400(api: ApiBench) -> None:
    fold(api, 3)
    for nonsense in ("nonsense", "x" * 257, "x" * 5_000):
        assert_problem(await api.get(cursor=nonsense), 400, "bad_cursor")
    cursor = (await api.get(limit="1")).json()["next_cursor"]
    assert_problem(await api.get(limit="1", cursor=cursor, state="sent"), 400, "bad_cursor")
    assert_problem(await api.get(limit="1", cursor=cursor, caller="other"), 400, "bad_cursor")


async def test_without_the_database_it_is_503(api: ApiBench) -> None:
    api.model.away = True
    for answer in (await api.get(), await api.get("/v1")):
        assert_problem(answer, 503, "readmodel_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("path", ["", "/v1"], ids=["whole address", "address with an id"])
async def test_a_bug_is_answered_500_with_what_every_answer_has(
    api: ApiBench, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret of somebody")

    monkeypatch.setattr(api.model.verifications, "get", broken)
    monkeypatch.setattr(api.model.verifications, "page", broken)
    answer = await api.get(path)
    assert_problem(answer, 500, "internal_error")
    assert answer.headers["X-Request-ID"] == "made-here"
    assert answer.headers["Cache-Control"] == "no-store"
    assert int(answer.headers["RateLimit-Limit"]) > 0
    assert "secret" not in answer.text
    route = "/v1/verifications/{id}" if path else "/v1/verifications"
    assert api.measures.counters["http_requests_total", route, "500"] == 1
