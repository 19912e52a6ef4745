"""Keys of the database: how soon a gateway knows what became of them, and what it does while it cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from pipeline.gateway.keys import KnownKeys
from pipeline.readmodel.ports import StoredKey
from pipeline.settings import ApiKeySettings, GatewaySettings
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from tests.unit.gateway.bench import assert_problem
from tests.unit.gateway.entrance import DESK_KEY, SHOP_KEY, Entrance, sha256, stored_key

KEY = "vk_stored_" + "k" * 43


async def known(entrance: Entrance) -> bool:
    """Whether the stored key opens; the settings' keys do in any case."""
    assert (await entrance.get(key=DESK_KEY)).status_code == 200
    return (await entrance.get(key=KEY)).status_code == 200


async def started() -> Entrance:
    """A door whose keys are read in the background, in virtual time."""
    entrance = Entrance()
    entrance.clock.bind(asyncio.get_running_loop().time)
    await entrance.keys.start()
    return entrance


def test_a_key_made_or_revoked_is_known_within_the_time_of_the_settings() -> None:
    async def story() -> None:
        entrance = await started()
        assert not await known(entrance)
        await asyncio.sleep(1)
        await entrance.database.api_keys.add(stored_key(KEY))
        await asyncio.sleep(4)
        assert await known(entrance)
        await entrance.database.api_keys.revoke("stored", at_ms=entrance.clock.now_ms())
        await asyncio.sleep(4)
        assert_problem(await entrance.get(key=KEY), 401, "unauthenticated")
        await entrance.keys.stop()

    virtual_time.run(story())


def test_one_reading_that_fails_does_not_break_the_promise() -> None:
    async def story() -> None:
        entrance = await started()
        await entrance.database.api_keys.add(stored_key(KEY))
        await asyncio.sleep(4)
        await entrance.database.api_keys.revoke("stored", at_ms=1)
        entrance.database.away = True
        await asyncio.sleep(2)
        entrance.database.away = False
        await asyncio.sleep(2)
        assert not await known(entrance)
        await entrance.keys.stop()

    virtual_time.run(story())


def test_keys_outlive_an_absent_database_for_a_time_and_are_known_again_when_it_is_back() -> None:
    async def story() -> None:
        entrance = await started()
        await entrance.database.api_keys.add(stored_key(KEY))
        await asyncio.sleep(4)
        entrance.database.away = True
        await asyncio.sleep(56)
        assert await known(entrance)
        await asyncio.sleep(10)
        # It may have been revoked meanwhile; but a 401 would tell the holder of a good key to give up.
        assert_problem(await entrance.get(key=KEY), 503, "readmodel_unavailable")
        assert_problem(await entrance.get(key="vk_never_seen"), 503, "readmodel_unavailable")
        assert (await entrance.get(key=DESK_KEY)).status_code == 200
        entrance.database.away = False
        await asyncio.sleep(4)
        assert await known(entrance)
        assert_problem(await entrance.get(key="vk_never_seen"), 401, "unauthenticated")
        await entrance.keys.stop()

    virtual_time.run(story())


async def test_before_the_database_was_read_once_no_key_is_called_wrong() -> None:
    entrance = Entrance()
    entrance.database.away = True
    await entrance.keys.start()
    answer = await entrance.get(key=KEY)
    assert_problem(answer, 503, "readmodel_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await entrance.get(key=SHOP_KEY)).status_code == 200
    assert_problem(await entrance.http.get("/v1/things"), 401, "unauthenticated")
    await entrance.keys.stop()


def test_keys_are_known_as_soon_as_the_database_answers_for_the_first_time() -> None:
    async def story() -> None:
        entrance = Entrance()
        entrance.database.away = True
        entrance.clock.bind(asyncio.get_running_loop().time)
        await entrance.keys.start()
        await asyncio.sleep(10.1)
        entrance.database.away = False
        await entrance.database.api_keys.add(stored_key(KEY))
        assert_problem(await entrance.get(key=KEY), 503, "readmodel_unavailable")
        await asyncio.sleep(0.5)
        assert await known(entrance)
        await entrance.keys.stop()

    virtual_time.run(story())


async def test_without_a_database_the_settings_say_it_all() -> None:
    entrance = Entrance(with_database=False)
    await entrance.keys.start()
    assert_problem(await entrance.get(key=KEY), 401, "unauthenticated")
    assert (await entrance.get(key=SHOP_KEY)).status_code == 200
    await entrance.keys.stop()


class Stuck:
    """A database that does as told, and not what was promised of it."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = False
        self.breaks = False

    async def all(self) -> Sequence[StoredKey]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.breaks:
            raise ZeroDivisionError
        return [stored_key(KEY)]

    async def add(self, key: StoredKey) -> bool:
        raise NotImplementedError

    async def revoke(self, name: str, *, at_ms: int) -> bool:
        raise NotImplementedError


@pytest.mark.parametrize("how", ["hangs", "breaks"])
def test_neither_a_hanging_database_nor_a_bug_ends_the_reading(how: str) -> None:
    async def story() -> None:
        clock, database = ManualClock(), Stuck()
        clock.bind(asyncio.get_running_loop().time)
        keys = KnownKeys(
            settings=GatewaySettings(keys_refresh_s=4), tenants=["default"], stored=database, clock=clock, timeout_s=1
        )
        await keys.start()
        assert keys.find(KEY.encode()) is not None
        setattr(database, how, True)
        with capture_logs() as lines:
            await asyncio.sleep(60)
        assert database.asked > 15
        assert keys.find(KEY.encode()) is not None
        assert 1 < len(lines) < 8
        assert {line["event"] for line in lines} == {"api_keys_not_read"}
        await keys.stop()

    virtual_time.run(story())


def test_start_does_not_wait_for_a_database_longer_than_it_may_take() -> None:
    async def story() -> None:
        database = Stuck()
        database.hangs = True
        keys = KnownKeys(
            settings=GatewaySettings(), tenants=["default"], stored=database, clock=ManualClock(), timeout_s=1
        )
        began_s = asyncio.get_running_loop().time()
        await keys.start()
        assert asyncio.get_running_loop().time() - began_s <= 1.01
        assert not keys.complete
        await keys.stop()

    virtual_time.run(story())


async def test_a_key_in_both_places_is_that_of_the_settings() -> None:
    entrance = Entrance(api_keys={"near": ApiKeySettings(key_sha256=sha256(KEY), scopes=["check"])})
    await entrance.database.api_keys.add(stored_key(KEY, name="far"))
    await entrance.keys.refresh()
    holder = entrance.keys.find(KEY.encode())
    assert holder is not None
    assert (holder.caller.name, holder.caller.scopes) == ("near", frozenset({"check"}))


async def test_a_key_that_was_revoked_at_any_time_opens_nothing() -> None:
    entrance = Entrance()
    await entrance.database.api_keys.add(stored_key(KEY, revoked_at=2**62))
    await entrance.keys.refresh()
    assert entrance.keys.find(KEY.encode()) is None
