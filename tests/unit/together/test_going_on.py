"""Bird's resend and failover: one verification of Bird's is sent again or goes on, and its one code stays right."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from pipeline.records.types import AttemptResult, Channel, CommandAction, VerificationState
from pipeline.testing.http import Answer, Lost
from pipeline.testing.simulation.webhooks import from_bird
from pipeline.testing.simulation.world import BIRD_SMS, BIRD_WHATSAPP, GOING_ON, PHONE, PHONES, WRONG, World, story

PLAN = "sms@bird:20 whatsapp@bird:20"


def _operations(world: World) -> list[str]:
    return [each.operation for each in world.ends["bird"].asked]


def _places(world: World, operation: str) -> list[int]:
    asked = [each.request for each in world.ends["bird"].asked if each.operation == operation]
    return [orjson.loads(request.content)["stepIndex"] for request in asked]


@story(bird=PHONES | GOING_ON)
async def test_the_next_channel_is_the_same_verification_and_its_code_is_right(world: World) -> None:
    bird = world.ends["bird"]
    async with world.running():
        await world.start(steps=PLAN, wait_s=25)
        assert bird.last.channels == (BIRD_SMS, BIRD_WHATSAPP)
        assert (_operations(world), _places(world, "failover")) == (["send", "failover"], [1])
        await world.type(WRONG)
        await world.type(bird.last.code)
    assert await world.reasons() == ["wrong_code", "valid"]
    outcome = await world.outcome()
    assert [(each.channel, each.result) for each in outcome.attempts] == [
        (Channel.SMS, AttemptResult.ACCEPTED),
        (Channel.WHATSAPP, AttemptResult.ACCEPTED),
    ]
    assert len({each.provider_message_id for each in outcome.attempts}) == 1
    assert (outcome.state, outcome.verified_attempt_id) == (VerificationState.VERIFIED, "v1.2")
    assert bird.count("check") == 2, "one for each typed code"


@story(bird=PHONES | GOING_ON)
async def test_each_channel_has_its_own_delivery(world: World) -> None:
    async with world.running():
        await world.start(steps=PLAN, wait_s=25)
        await from_bird(world, PHONE, "delivered", channel_id=BIRD_WHATSAPP)
        await asyncio.sleep(10)
    statuses = [each.status.value for each in (await world.outcome()).attempts]
    assert statuses == ["none", "delivered"]


@story(bird=PHONES | GOING_ON)
async def test_a_resend_is_the_same_verification_where_there_is_no_other_route(world: World) -> None:
    bird = world.ends["bird"]
    async with world.running():
        await world.start(steps="sms@bird", wait_s=40)
        await world.command(CommandAction.RESEND)
        assert (_operations(world), _places(world, "resend")) == (["send", "resend"], [0])
        await world.type(bird.last.code)
    assert await world.reasons() == ["accepted", "valid"]
    assert (await world.outcome()).verified_attempt_id == "v1.2"


@story(bird=PHONES | GOING_ON)
async def test_what_was_gone_on_to_is_resent_where_it_is(world: World) -> None:
    async with world.running():
        await world.start(steps=PLAN, wait_s=60)
        await world.command(CommandAction.RESEND)
    assert (_operations(world), _places(world, "resend")) == (["send", "failover", "resend"], [1])


@story(bird=PHONES)
async def test_without_their_paths_each_is_a_new_verification(world: World) -> None:
    bird = world.ends["bird"]
    async with world.running():
        await world.start(steps=PLAN, wait_s=60)
        await world.command(CommandAction.RESEND)
        assert _operations(world) == ["send"] * 3
        await world.type(bird.messages[0].code)
    assert [each.channels for each in bird.messages] == [(BIRD_SMS,), (BIRD_WHATSAPP,), (BIRD_WHATSAPP,)]
    assert (await world.reasons())[-1] == "valid", "every code that is out is right"


@pytest.mark.parametrize("step", ["resend", "failover"])
def test_where_a_verification_is_sent_no_more_a_new_one_is_made(step: str) -> None:
    """That one is over says nothing against Bird, and for many accounts it is the only route."""

    @story(bird=PHONES | GOING_ON)
    async def run(world: World) -> None:
        bird = world.ends["bird"]
        bird.then(step, Answer(404, b'{"message":"no such verification"}'))
        async with world.running():
            await world.start(steps=PLAN if step == "failover" else "sms@bird", wait_s=40)
            if step == "resend":
                await world.command(CommandAction.RESEND, wait_s=5)
            assert _operations(world) == ["send", step, "send"]
            await world.type(bird.last.code)
        assert [each.result for each in (await world.outcome()).attempts] == [
            AttemptResult.ACCEPTED,
            AttemptResult.REJECTED,
            AttemptResult.ACCEPTED,
        ]
        assert (await world.reasons())[-1] == "valid"

    run()


@story(bird=PHONES | GOING_ON, ycloud={})
async def test_with_another_provider_of_the_step_that_one_is_taken(world: World) -> None:
    world.ends["bird"].then("failover", Answer(404, b'{"message":"no such verification"}'))
    async with world.running():
        await world.start(steps="sms@bird:20 whatsapp", wait_s=25)
    attempts = (await world.outcome()).attempts
    assert [(each.provider, each.result) for each in attempts] == [
        ("bird", AttemptResult.ACCEPTED),
        ("bird", AttemptResult.REJECTED),
        ("ycloud", AttemptResult.ACCEPTED),
    ]


@pytest.mark.parametrize("step", ["resend", "failover"])
def test_one_whose_answer_was_lost_is_not_asked_for_twice(step: str) -> None:
    @story(bird=PHONES | GOING_ON | {"get_path": "/verify/{id}", "list_path": "/verify"})
    async def run(world: World) -> None:
        bird = world.ends["bird"]
        bird.then(step, Lost())
        async with world.running():
            await world.start(steps=PLAN if step == "failover" else "sms@bird", wait_s=40)
            if step == "resend":
                await world.command(CommandAction.RESEND)
            await asyncio.sleep(100)
            await world.type(bird.last.code)
        assert bird.count(step) == 1
        assert (await world.reasons())[-1] == "valid", "Bird still judges the code it made"
        assert (await world.outcome()).attempts[1].result is AttemptResult.IN_DOUBT

    run()


@story(bird=PHONES | GOING_ON)
async def test_after_the_answer_to_a_typed_code_was_lost_a_resend_brings_a_new_one(world: World) -> None:
    """Bird may have said yes to it, and would accept it no more."""
    bird = world.ends["bird"]
    bird.then("check", Lost())
    async with world.running():
        await world.start(steps="sms@bird", wait_s=40)
        for _ in range(2):
            await world.type(bird.last.code)
        await world.command(CommandAction.RESEND)
        assert _operations(world) == ["send", "check", "check", "send"]
        await world.type(bird.last.code)
    assert await world.reasons() == ["provider_unavailable", "provider_unavailable", "accepted", "valid"]


@story(bird=PHONES | GOING_ON)
async def test_a_wrong_code_is_wrong_although_the_answer_to_going_on_was_lost(world: World) -> None:
    """What arrived has no id of its own that could be asked about; but its code is that of the message before."""
    bird = world.ends["bird"]
    bird.then("failover", Lost())
    async with world.running():
        await world.start(steps=PLAN, wait_s=30)
        await from_bird(world, PHONE, "delivered", channel_id=BIRD_WHATSAPP)
        await asyncio.sleep(10)
        await world.type(WRONG)
        await world.type(bird.last.code)
    assert await world.reasons() == ["wrong_code", "valid"]
    outcome = await world.outcome()
    assert (outcome.failed_checks, outcome.verified_attempt_id) == (1, "v1.2")
    assert bird.count("check") == 2, "one for each typed code"
