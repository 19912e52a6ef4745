"""Asking providers what became of a message: of lost answers, and where nobody tells."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.records.types import AttemptResult, AttemptStatus, CommandKind, VerificationState
from pipeline.testing.http import Answer, Lost, Unreachable
from pipeline.testing.simulation.world import World, story

State = VerificationState
LOST = Lost(delay_s=10, cause="timeout")
PLAN = "sms@ycloud:60 sms@neutrino"


@story(ycloud={}, neutrino={})
async def test_a_lost_answer_that_is_found_delivered_starts_no_next_step(world: World) -> None:
    ycloud = world.ends["ycloud"]
    ycloud.then("send", LOST)
    async with world.running():
        await world.start(steps=PLAN, wait_s=12)
        assert (await world.outcome()).attempts[0].result is AttemptResult.IN_DOUBT
        ycloud.last.status = "delivered"
        await asyncio.sleep(180)
    outcome = await world.outcome()
    assert (outcome.state, [each.status for each in outcome.attempts]) == (State.DELIVERED, [AttemptStatus.DELIVERED])
    assert outcome.attempts[0].result is AttemptResult.ACCEPTED
    assert outcome.attempts[0].provider_message_id == ycloud.last.id
    assert (world.ends["neutrino"].count("send"), ycloud.count("list"), ycloud.count("send")) == (0, 1, 1)


@story(ycloud={}, neutrino={})
async def test_one_that_is_not_found_stays_in_doubt_until_its_step_has_had_its_time(world: World) -> None:
    ycloud = world.ends["ycloud"]
    ycloud.then("send", LOST)
    async with world.running():
        await world.start(steps=PLAN, wait_s=12)
        ycloud.messages.clear()
        await asyncio.sleep(46)
        assert world.ends["neutrino"].count("send") == 0
        await asyncio.sleep(100)
    outcome = await world.outcome()
    assert [each.result for each in outcome.attempts] == [AttemptResult.IN_DOUBT, AttemptResult.ACCEPTED]
    assert (ycloud.count("list"), ycloud.count("send")) == (3, 1)


@story(ycloud={}, neutrino={})
async def test_a_look_up_that_is_lost_itself_changes_nothing_and_the_next_one_finds_it(world: World) -> None:
    ycloud = world.ends["ycloud"]
    ycloud.then("send", LOST)
    ycloud.then("list", Lost(), Unreachable())
    async with world.running():
        await world.start(steps="sms@ycloud:200", wait_s=60)
        outcome = await world.outcome()
        assert (outcome.version, outcome.attempts[0].result) == (2, AttemptResult.IN_DOUBT)
        ycloud.last.status = "delivered"
        await asyncio.sleep(80)
    assert (await world.outcome()).state is State.DELIVERED
    assert ycloud.count("list") == 2


@story(thundersms={}, neutrino={})
async def test_a_message_that_is_polled_is_asked_for_until_it_arrived(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running():
        await world.start(steps="sms@thundersms sms@neutrino", wait_s=20)
        assert (await world.outcome()).state is State.SENT
        thunder.last.status = ("sent", {"sms": "DELIVRD"})
        await asyncio.sleep(250)
    assert thunder.count("lookup") == 3
    assert world.ends["neutrino"].count("send") == 0


@story(thundersms={}, neutrino={})
async def test_a_polled_message_that_failed_moves_on_at_once(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running():
        await world.start(steps="sms@thundersms:200 sms@neutrino", wait_s=7)
        thunder.last.status = ("sent", {"sms": "UNDELIV"})
        await asyncio.sleep(13)
        (attempt, second, *_) = (await world.outcome()).attempts
        assert attempt.status is AttemptStatus.FAILED
        assert second.provider == "neutrino"
        await asyncio.sleep(100)
    assert thunder.count("lookup") == 2, "nobody asks for a message that failed"


@story(thundersms={}, neutrino={})
async def test_a_lost_answer_that_told_the_id_all_the_same_is_asked_for_by_it(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running("router", "tracker", "correlator"), world.running("sender"):
        await world.start("v0", steps="sms@thundersms", recipient="+4915123456780")
        known = thunder.last
        thunder.then("send", Answer.json({"id": known.id, "status": "on its way"}))
        await world.start(steps="sms@thundersms:200 sms@neutrino")
        outcome = await world.outcome()
        assert outcome.attempts[0].result is AttemptResult.IN_DOUBT
        assert world.figures.total("unmapped_answers_total", provider="thundersms") == 1
        known.status = ("sent", {"sms": "DELIVRD"})
        await asyncio.sleep(60)
    outcome = await world.outcome()
    assert (outcome.state, outcome.attempts[0].result) == (State.DELIVERED, AttemptResult.ACCEPTED)


@story(bird={"list_path": "/verify"}, neutrino={})
async def test_a_found_message_of_bird_can_be_checked(world: World) -> None:
    bird = world.ends["bird"]
    bird.then("send", LOST)
    async with world.running():
        await world.start(steps="sms@bird:200", wait_s=5)
        await world.type(bird.last.code)
        await asyncio.sleep(20)
        await world.type(bird.last.code)
    assert await world.reasons() == ["provider_unavailable", "valid"]


@story(bird={"list_path": "/verify"}, tenants={"default": {"code_length": 4, "min_code_length": 4}})
async def test_a_message_whose_code_became_longer_than_planned_is_found_by_the_length_it_was_sent_with(
    world: World,
) -> None:
    bird = world.ends["bird"]
    bird.then("send", LOST)
    async with world.running():
        await world.start(steps="sms@bird:200", wait_s=25)
        assert len(bird.last.code) == 6
        await world.type(bird.last.code)
    assert await world.reasons() == ["valid"]


@pytest.mark.parametrize("dies", ["sender", "tracker"])
def test_a_restart_in_between_asks_again_and_harms_nothing(dies: str) -> None:
    @story(thundersms={}, neutrino={})
    async def run(world: World) -> None:
        thunder = world.ends["thundersms"]
        others = {"router", "tracker", "correlator", "sender"} - {dies}
        async with world.running(*others):
            async with world.running(dies) as process:
                await world.start(steps="sms@thundersms:200 sms@neutrino", wait_s=4)
                thunder.takes_s["lookup"] = 5
                await asyncio.sleep(4)
                assert thunder.count("lookup") == 1
                process.crash()
            await asyncio.sleep(30)
            thunder.last.status = ("sent", {"sms": "DELIVRD"})
            async with world.running(dies):
                await asyncio.sleep(100)
        outcome = await world.outcome()
        assert (outcome.state, len(outcome.attempts)) == (State.DELIVERED, 1)
        assert thunder.count("send") == 1
        assert thunder.count("lookup") <= 3

    run()


@story(thundersms={}, neutrino={})
async def test_a_sender_that_was_away_does_not_look_up_what_is_too_late_to_be_asked(world: World) -> None:
    thunder = world.ends["thundersms"]
    async with world.running("router", "tracker", "correlator"):
        async with world.running("sender"):
            await world.start(steps="sms@thundersms:60", expires_in_s=600, wait_s=3)
        await asyncio.sleep(400)
        asked = await world.orders(CommandKind.LOOKUP)
        assert len(asked) == 6
        async with world.running("sender"):
            await asyncio.sleep(100)
        assert thunder.count("lookup") == 0
