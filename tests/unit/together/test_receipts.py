"""Delivery reports that come in at the gateway: each to the attempt it is about, or to none."""

from __future__ import annotations

import asyncio

import pytest

from pipeline import topics
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus, VerificationState
from pipeline.testing.simulation.webhooks import WEBHOOKS, from_bird, from_telesign, from_thundersms, from_ycloud
from pipeline.testing.simulation.world import OTHER, PHONE, World, story

State = VerificationState
PLAN = "sms@telesign:60 sms@ycloud"
ELSEWHERE = "dGVsZXNpZ24tb3RoZXIta2V5"


async def _statuses(world: World) -> list[str]:
    return [f"{each.attempt_id} {each.status}" for each in await world.read(topics.STATUSES, DeliveryStatus)]


@story(telesign={}, ycloud={})
async def test_a_callback_to_the_address_with_the_token_finds_its_attempt(world: World) -> None:
    telesign = world.ends["telesign"]
    async with world.running():
        await world.start(steps=PLAN, code_length=6)
        assert await from_telesign(world, telesign.last, 200) == 200
        await asyncio.sleep(80)
    assert (await world.outcome()).state is State.DELIVERED
    assert world.ends["ycloud"].count("send") == 0


@pytest.mark.parametrize("late", [False, True], ids=["after the answer", "before the answer"])
def test_a_callback_without_a_token_is_placed_by_the_correlator(late: bool) -> None:
    @story(telesign={}, ycloud={}, public=False)
    async def run(world: World) -> None:
        telesign = world.ends["telesign"]
        telesign.takes_s["send"] = 6 if late else 0
        async with world.running():
            await world.start(steps=PLAN)
            assert telesign.last.callback_url is None
            assert await from_telesign(world, telesign.last, 200) == 200
            await asyncio.sleep(3)
            assert ((await world.outcome()).state is State.DELIVERED) is not late
            await asyncio.sleep(77)
        assert (await world.outcome()).state is State.DELIVERED
        assert world.ends["ycloud"].count("send") == 0

    run()


@story(telesign={}, ycloud={})
async def test_a_forged_token_or_signature_tells_nothing(world: World) -> None:
    telesign = world.ends["telesign"]
    async with world.running():
        await world.start("v1", steps=PLAN)
        await world.start("v2", steps=PLAN, recipient=OTHER)
        one, other = telesign.messages
        assert one.callback_url is not None
        assert other.callback_url is not None
        token = other.callback_url.rpartition(".")[2]
        forged = one.callback_url.removeprefix(WEBHOOKS).rpartition(".")[0] + f".{token}"
        assert await from_telesign(world, one, 207, to=forged) == 200
        assert await from_telesign(world, one, 207, key=ELSEWHERE) == 401
        await asyncio.sleep(5)
    assert await _statuses(world) == []
    assert world.figures.total("webhooks_total", provider="telesign", result="bad_signature") == 1
    assert world.figures.total("webhooks_total", provider="telesign", result="ignored") == 1


@story(bird={}, ycloud={})
async def test_a_report_of_bird_finds_its_attempt_by_whom_it_was_for(world: World) -> None:
    async with world.running():
        await world.start("v1", steps="sms@bird:60 sms@ycloud")
        await world.start("v2", steps="sms@bird:60 sms@ycloud", recipient=OTHER)
        assert await from_bird(world, PHONE, "delivered") == 200
        await asyncio.sleep(10)
        assert [(await world.outcome(each)).state for each in ("v1", "v2")] == [State.DELIVERED, State.SENT]
        await from_bird(world, OTHER, "delivery_failed")
        await asyncio.sleep(10)
    assert [each.provider for each in (await world.outcome("v2")).attempts] == ["bird", "ycloud"]


@story(bird={})
async def test_of_two_messages_it_may_mean_it_means_neither(world: World) -> None:
    async with world.running():
        for verification_id in ("v1", "v2"):
            await world.start(verification_id, steps="sms@bird")
        assert await from_bird(world, PHONE, "delivered") == 200
        await asyncio.sleep(10)
        assert [(await world.outcome(each)).state for each in ("v1", "v2")] == [State.SENT, State.SENT]
    assert await _statuses(world) == []
    assert world.figures.total("receipts_unmatched_total", provider="bird") == 1


@story(telesign={}, bird={}, thundersms={}, ycloud={}, public=False)
async def test_repeated_deliveries_change_nothing(world: World) -> None:
    plan = {"v1": "telesign", "v2": "bird", "v3": "thundersms", "v4": "ycloud"}
    people = {each: f"+491512345671{n}" for n, each in enumerate(plan)}
    ends = world.ends
    async with world.running():
        for verification_id, provider in plan.items():
            await world.start(verification_id, steps=f"sms@{provider}", recipient=people[verification_id])
        versions = []
        for _ in range(3):
            await from_telesign(world, ends["telesign"].last, 200)
            await from_bird(world, people["v2"], "delivered")
            await from_thundersms(world, ends["thundersms"].last, "sms", "DELIVRD")
            await from_ycloud(world, ends["ycloud"].last, "delivered")
            await asyncio.sleep(6)
            outcomes = [await world.outcome(each) for each in plan]
            assert {each.state for each in outcomes} == {State.DELIVERED}
            versions.append([each.version for each in outcomes])
    assert versions == [versions[0]] * 3
    assert world.figures.total("receipts_unmatched_total") == 0
    assert world.figures.total("delivery_seconds_count") == 4


@story(telesign={}, ycloud={}, public=False)
async def test_a_correlator_that_was_away_places_what_came_meanwhile(world: World) -> None:
    telesign = world.ends["telesign"]
    async with world.running("router", "tracker", "sender"):
        async with world.running("correlator") as correlator:
            await asyncio.sleep(2)
            correlator.crash()
        await world.start(steps="sms@telesign")
        await from_telesign(world, telesign.last, 200)
        await asyncio.sleep(40)
        async with world.running("correlator"):
            await asyncio.sleep(10)
    assert (await world.outcome()).attempts[0].status is AttemptStatus.DELIVERED


@story(telesign={}, ycloud={})
async def test_a_report_after_the_end_is_published_and_changes_no_outcome(world: World) -> None:
    telesign = world.ends["telesign"]
    async with world.running():
        await world.start(steps=PLAN)
        await world.type(telesign.last.code)
        final = await world.outcome()
        await from_telesign(world, telesign.last, 200)
        await asyncio.sleep(3)
    assert final.is_final
    assert await world.outcome() == final
    assert await _statuses(world) == ["v1.1 delivered"]
