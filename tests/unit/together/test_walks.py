"""Providers that go on to further channels by themselves: no step is sent twice, whoever sends it."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.records.types import Channel, CommandAction, CommandKind, VerificationState
from pipeline.testing.http import Lost
from pipeline.testing.simulation.webhooks import from_telesign, from_thundersms
from pipeline.testing.simulation.world import World, story

State = VerificationState
WALKING = {"walk_channels": True, "requires_receipts": True}
PLAN = "whatsapp@thundersms:20 sms@thundersms:20 viber@thundersms:20 sms@ycloud"
SMART = {"smart_verify": True, "smart_own_code": True}
FIVE = {"default": {"code_length": 5, "min_code_length": 5}}


@story(thundersms=WALKING, ycloud={})
async def test_three_channels_are_one_call_and_the_channel_it_has_come_to_is_shown(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running():
        await world.start(steps=PLAN, wait_s=3)
        assert thunder.last.channels == ("whatsapp", "sms", "viber")
        assert [each.used_channel for each in (await world.outcome()).attempts] == [None]
        thunder.last.status = ("sent", {"whatsapp": "failed", "sms": "sent"})
        await asyncio.sleep(22)
        outcome = await world.outcome()
        assert (outcome.step_index, outcome.channel) == (1, Channel.SMS)
        assert outcome.attempts[0].used_channel is Channel.SMS
        thunder.last.status = ("sent", {"whatsapp": "failed", "sms": "UNDELIV", "viber": "delivered"})
        await asyncio.sleep(40)
    outcome = await world.outcome()
    assert (outcome.state, outcome.step_index, outcome.channel) == (State.DELIVERED, 2, Channel.VIBER)
    assert (thunder.count("send"), world.ends["ycloud"].count("send")) == (1, 0)


@story(thundersms=WALKING, ycloud={})
async def test_failover_goes_to_the_step_after_the_walk(world: World) -> None:
    async with world.running():
        await world.start(steps=PLAN)
        await world.command(CommandAction.FAILOVER)
    reply = (await world.replies())[-1]
    assert (reply.ok, reply.step_index) == (True, 3)
    assert (world.ends["thundersms"].count("send"), world.ends["ycloud"].count("send")) == (1, 1)


@story(thundersms=WALKING, ycloud={})
async def test_when_all_its_channels_failed_the_next_step_begins_at_once(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running():
        await world.start(steps=PLAN)
        thunder.last.status = ("sent", {"whatsapp": "failed", "sms": "UNDELIV", "viber": "BLACKLST"})
        await asyncio.sleep(6)
    assert [(each.step_index, each.provider) for each in (await world.outcome()).attempts] == [
        (0, "thundersms"),
        (3, "ycloud"),
    ]


@pytest.mark.parametrize("word", ["failed", "BLACKLST"])
def test_a_report_that_one_channel_failed_ends_no_walk(word: str) -> None:
    """It goes on to the next channel by itself: beside it, a message of ours would reach the person a second time."""

    @story(thundersms=WALKING, ycloud={})
    async def run(world: World) -> None:
        thunder = world.ends["thundersms"]
        async with world.running():
            await world.start(steps=PLAN)
            thunder.last.status = ("sent", {"whatsapp": word, "sms": "sent"})
            assert await from_thundersms(world, thunder.last, "whatsapp", word) == 200
            await asyncio.sleep(15)
            outcome = await world.outcome()
            assert [each.provider for each in outcome.attempts] == ["thundersms"]
            assert outcome.state is State.SENT
            await from_thundersms(world, thunder.last, "sms", "DELIVRD")
            await asyncio.sleep(60)
        outcome = await world.outcome()
        assert (outcome.state, len(outcome.attempts)) == (State.DELIVERED, 1)
        assert (thunder.count("send"), world.ends["ycloud"].count("send")) == (1, 0)

    run()


@story(thundersms=WALKING, ycloud={})
async def test_a_walk_whose_answer_was_lost_has_the_waits_of_all_its_steps_before_the_next_one(world: World) -> None:
    world.ends["thundersms"].then("send", Lost(delay_s=10, cause="timeout"))
    async with world.running():
        await world.start(steps=PLAN, wait_s=55)
        assert world.ends["ycloud"].count("send") == 0
        await asyncio.sleep(30)
    assert (world.ends["thundersms"].count("send"), world.ends["ycloud"].count("send")) == (1, 1)


@story(thundersms=WALKING, ycloud={}, neutrino={})
async def test_a_walk_is_canceled_when_the_code_of_another_attempt_was_typed(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running():
        await world.start(steps=PLAN + " sms@neutrino")
        await world.command(CommandAction.FAILOVER)
        await world.type(world.ends["ycloud"].last.code)
        assert thunder.last.canceled
        assert thunder.count("cancel") == 1
    assert [each.provider for each in await world.orders(CommandKind.CANCEL)] == ["thundersms"]


@story(thundersms=WALKING)
async def test_a_walk_is_also_canceled_when_it_was_its_own_code(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running():
        await world.start(steps="whatsapp@thundersms:20 sms@thundersms")
        await world.type(thunder.last.code)
    assert thunder.last.canceled


@pytest.mark.parametrize("own", [True, False], ids=["our code", "its own code"])
def test_an_automatic_plan_goes_to_smart_verify_as_a_whole(own: bool) -> None:
    @story(telesign=SMART if own else {"smart_verify": True}, neutrino={}, tenants=FIVE)
    async def run(world: World) -> None:
        telesign = world.ends["telesign"]
        async with world.running():
            await world.start()
            assert (telesign.last.channels, telesign.last.made) == (("sms", "voice"), not own)
            outcome = await world.outcome()
            assert outcome.attempts[0].used_channel is Channel.SMS
            assert [each.provider for each in outcome.steps] == ["telesign", "telesign"]
            await asyncio.sleep(200)
            assert telesign.count("send") == 1
            assert world.ends["neutrino"].count("send") == 0
            await world.type(telesign.last.code)
        assert await world.reasons() == ["valid"]

    run()


@story(telesign=SMART, neutrino={}, tenants=FIVE, public=False)
async def test_a_failed_text_message_of_smart_verify_is_followed_by_its_own_call(world: World) -> None:
    telesign = world.ends["telesign"]
    async with world.running():
        await world.start()
        assert await from_telesign(world, telesign.last, 207) == 200
        await asyncio.sleep(20)
        assert [each.provider for each in (await world.outcome()).attempts] == ["telesign"]
        await from_telesign(world, telesign.last, 100)
        await asyncio.sleep(20)
    assert (await world.outcome()).state is State.DELIVERED
    assert (telesign.count("send"), world.ends["neutrino"].count("send")) == (1, 0)
