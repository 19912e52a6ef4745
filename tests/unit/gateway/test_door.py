"""Who may come in: keys, scopes, and what is said to who may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from pipeline.gateway import keys as gateway_keys
from tests.unit.gateway.bench import assert_problem
from tests.unit.gateway.entrance import DESK_KEY, SHOP_KEY, Entrance, bearer, sha256, stored_key


@pytest.fixture
async def entrance() -> AsyncIterator[Entrance]:
    made = Entrance()
    await made.keys.refresh()
    yield made
    await made.http.aclose()


def assert_unauthenticated(answer: httpx.Response) -> None:
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [SHOP_KEY, DESK_KEY])
async def test_a_key_of_the_settings_opens_hashed_or_in_clear(entrance: Entrance, key: str) -> None:
    assert (await entrance.get(key=key)).status_code == 200


async def test_a_handler_is_told_whose_key_it_is_and_of_which_tenant(entrance: Entrance) -> None:
    await entrance.get(key=DESK_KEY)
    [caller] = entrance.callers
    assert (caller.name, caller.tenant, caller.scopes) == ("desk", "other", frozenset({"read"}))


async def test_without_a_key_nobody_comes_in(entrance: Entrance) -> None:
    assert_unauthenticated(await entrance.http.get("/v1/things"))
    assert entrance.callers == []


NEARLY = [
    b"",
    b"Bearer",
    b"Bearer ",
    SHOP_KEY.encode(),
    b"Basic " + SHOP_KEY.encode(),
    b"Token " + SHOP_KEY.encode(),
    b"Bearer" + SHOP_KEY.encode(),
    b"Bearer\t" + SHOP_KEY.encode(),
    b"Bearer " + SHOP_KEY.encode() + b" ",
    b"Bearer " + SHOP_KEY.encode() + b" more",
    b"Bearer x, Bearer " + SHOP_KEY.encode(),
    b"Bearer Bearer " + SHOP_KEY.encode(),
    b"Bearer " + SHOP_KEY.encode()[:-1],
    b"Bearer " + SHOP_KEY.encode() + b"\xff",
    b"Bearer " + "schlüssel".encode(),
    b"Bearer " + SHOP_KEY.lower().encode(),
    b"Bearer " + b"k" * 257,
    b"Bearer " + b"k" * 30_000,
    b"Bearer " + sha256(SHOP_KEY).encode(),
    b"Bearer\x00" + SHOP_KEY.encode(),
    b"Bearer " + SHOP_KEY.encode() + b"\x00",
]


@pytest.mark.parametrize("given", NEARLY, ids=[repr(each[:40]) for each in NEARLY])
async def test_nearly_a_key_is_none(entrance: Entrance, given: bytes) -> None:
    answer = await entrance.http.get("/v1/things", headers=[(b"Authorization", given)])
    assert_unauthenticated(answer)
    assert entrance.callers == []


@pytest.mark.parametrize("first", [SHOP_KEY, "wrong"])
async def test_of_two_headers_none_counts_even_when_both_are_right(entrance: Entrance, first: str) -> None:
    headers = [("Authorization", f"Bearer {first}"), ("authorization", f"Bearer {SHOP_KEY}")]
    assert_unauthenticated(await entrance.http.get("/v1/things", headers=headers))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_may_be_written_in_any_case(entrance: Entrance, scheme: str) -> None:
    answer = await entrance.http.get("/v1/things", headers={"Authorization": f"{scheme} {SHOP_KEY}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("place", ["query", "cookie", "basic", "x_api_key"])
async def test_a_key_elsewhere_than_in_its_header_is_not_looked_for(entrance: Entrance, place: str) -> None:
    answer = await {
        "query": lambda: entrance.http.get("/v1/things", params={"access_token": SHOP_KEY}),
        "cookie": lambda: entrance.http.get("/v1/things", headers={"Cookie": f"Authorization=Bearer {SHOP_KEY}"}),
        "basic": lambda: entrance.http.get("/v1/things", auth=(SHOP_KEY, "")),
        "x_api_key": lambda: entrance.http.get("/v1/things", headers={"X-API-Key": SHOP_KEY}),
    }[place]()
    assert_unauthenticated(answer)


async def test_a_missing_scope_is_403_and_named(entrance: Entrance) -> None:
    answer = await entrance.post(key=DESK_KEY)
    assert_problem(answer, 403, "missing_scope")
    assert answer.json()["scope"] == "start"
    assert "`start`" in answer.json()["detail"]
    assert entrance.callers == []


async def test_health_and_webhooks_need_no_key(entrance: Entrance) -> None:
    assert (await entrance.http.get("/healthz")).status_code == 200
    assert (await entrance.http.get("/readyz")).status_code == 200
    assert (await entrance.http.post("/v1/webhooks/ycloud", content=b"[]")).status_code == 401
    assert (await entrance.http.post("/v1/webhooks/nobody", content=b"[]")).json()["reason"] == "unknown_provider"


async def test_the_last_comparison_of_a_key_takes_constant_time(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(gateway_keys.hmac, "compare_digest", lambda a, b: compared.append((a, b)) is not None)
    assert_unauthenticated(await entrance.get())
    digest = bytes.fromhex(sha256(SHOP_KEY))
    assert compared == [(digest, digest)]


async def test_a_key_of_a_tenant_that_is_not_configured_is_401_and_logged_once() -> None:
    lost = "vk_lost_" + "a" * 43
    entrance = Entrance(tenants=["other"])
    await entrance.database.api_keys.add(stored_key(lost, name="lost", tenant="gone"))
    with capture_logs() as lines:
        for _ in range(3):
            await entrance.keys.refresh()
            assert_unauthenticated(await entrance.get(key=lost))
    assert_unauthenticated(await entrance.get(key=SHOP_KEY))
    told = [line for line in lines if line["event"] == "api_key_without_tenant"]
    assert [(line["name"], line["tenant"]) for line in told] == [("lost", "gone")]


async def test_wrong_keys_are_logged_seldom_and_never_with_the_key_and_remembered_not_at_all(
    entrance: Entrance,
) -> None:
    with capture_logs() as lines:
        for number in range(300):
            assert_unauthenticated(await entrance.get(key=f"vk_guess_{number:043}"))
        entrance.clock.advance(10_000)
        await entrance.get(key="vk_guess_once_more")
    assert [(line["event"], line["cause"], line["left_out"]) for line in lines] == [
        ("api_key_refused", "unknown", 0),
        ("api_key_refused", "unknown", 299),
    ]
    assert "vk_guess" not in repr(lines)
    assert len(entrance.limits) == 0


async def test_the_names_of_keys_are_in_no_metric(entrance: Entrance) -> None:
    await entrance.get()
    await entrance.get(key=DESK_KEY)
    assert "shop" not in repr(entrance.measures.counters)
    assert entrance.measures.counters[("http_requests_total", "/v1/things", "200")] == 2


async def test_an_absent_database_is_503_and_to_be_asked_again(entrance: Entrance) -> None:
    answer = await entrance.get("/v1/away")
    assert_problem(answer, 503, "readmodel_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_failing_handler_is_500_without_a_word_of_why(entrance: Entrance) -> None:
    answer = await entrance.http.get("/v1/broken", headers=bearer(SHOP_KEY))
    assert_problem(answer, 500, "internal_error")
    assert "Zero" not in answer.text
