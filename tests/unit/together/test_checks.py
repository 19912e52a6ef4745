"""Codes that Bird, Telesign or ThunderSMS made: typed codes go to them, and come back as one answer each."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.records.public import Step
from pipeline.records.types import Channel, CommandAction, VerificationState
from pipeline.testing.http import Answer, Lost, Unreachable
from pipeline.testing.simulation.world import PHONE, WRONG, World, story

HOLDERS = ("bird", "telesign", "thundersms")
LONG = {"default": {"code_length": 12}}
"""Longer than Telesign and ThunderSMS take from us, so that they make their own."""
State = VerificationState


def held_by(holder: str, **more: object):  # type: ignore[no-untyped-def]
    """Decorates a story with one provider that makes the code."""
    return story(**{holder: {}}, tenants=LONG, **more)


@pytest.mark.parametrize("holder", HOLDERS)
def test_of_two_right_answers_at_the_same_moment_one_is_accepted(holder: str) -> None:
    @held_by(holder)
    async def run(world: World) -> None:
        async with world.running():
            await world.start(steps=f"sms@{holder}")
            end = world.ends[holder]
            end.takes_s["check"] = 3
            await world.type(end.last.code, wait_s=0)
            await world.type(end.last.code, wait_s=20)
        assert await world.reasons() == ["valid", "already_verified"]
        assert end.count("check") == 1
        outcome = await world.outcome()
        assert (outcome.state, outcome.verified_attempt_id, outcome.failed_checks) == (State.VERIFIED, "v1.1", 0)

    run()


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_wrong_code_counts_one_and_the_last_of_them_ends_it(holder: str) -> None:
    @held_by(holder)
    async def run(world: World) -> None:
        async with world.running():
            await world.start(steps=f"sms@{holder}")
            await world.type(WRONG)
            outcome = await world.outcome()
            assert (outcome.failed_checks, outcome.checks_left, outcome.is_final) == (1, 2, False)
            for _ in range(3):
                await world.type(WRONG)
        assert await world.reasons() == ["wrong_code"] * 3 + ["too_many_checks"]
        assert (await world.outcome()).reason == "checks_exhausted"
        assert world.ends[holder].count("check") == 3

    run()


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("outage", [Unreachable(), Lost(), Lost(delay_s=10, cause="timeout"), Answer(503), Answer(401)])
def test_an_outage_is_told_as_one_and_counts_nothing(holder: str, outage: Unreachable | Lost | Answer) -> None:
    @held_by(holder)
    async def run(world: World) -> None:
        async with world.running():
            await world.start(steps=f"sms@{holder}")
            end = world.ends[holder]
            end.then("check", outage)
            await world.type(WRONG, wait_s=15)
            outcome = await world.outcome()
            assert (outcome.failed_checks, outcome.checks_left) == (0, 3)
            await world.type(end.last.code)
        assert await world.reasons() == ["provider_unavailable", "valid"]
        assert end.count("check") == (1 if isinstance(outage, Unreachable) else 2), "nothing is asked twice by itself"

    run()


@story(ycloud={}, bird={}, telesign={}, routes={"rules": []})
async def test_our_own_code_is_compared_first_and_asks_nobody(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird sms@ycloud")
        await world.command(CommandAction.FAILOVER)
        await world.type(world.ends["ycloud"].last.code)
    assert await world.reasons() == ["accepted", "valid"]
    assert (await world.outcome()).verified_attempt_id == "v1.2"
    assert world.ends["bird"].count("check") == 0


@held_by("thundersms", bird={}, telesign={})
async def test_several_holders_are_asked_newest_first_until_one_says_yes(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird sms@telesign sms@thundersms")
        for _ in range(2):
            await world.command(CommandAction.FAILOVER)
        await world.type(WRONG)
        assert (await world.outcome()).failed_checks == 1
        first, second, third = (world.ends[name] for name in ("bird", "telesign", "thundersms"))
        asked = [each.times("check")[0] for each in (third, second, first)]
        assert asked == sorted(asked)
        await world.type(second.last.code)
    assert (await world.reasons())[2:] == ["wrong_code", "valid"]
    assert (third.count("check"), second.count("check"), first.count("check")) == (2, 2, 1)
    assert (await world.outcome()).verified_attempt_id == "v1.2"


@held_by("telesign", bird={})
async def test_of_several_holders_one_that_is_away_leaves_a_wrong_code_unjudged_and_a_right_one_right(
    world: World,
) -> None:
    async with world.running():
        await world.start(steps="sms@bird sms@telesign")
        await world.command(CommandAction.FAILOVER)
        world.ends["telesign"].then("check", Unreachable(), Unreachable())
        await world.type(WRONG)
        assert (await world.outcome()).failed_checks == 0
        await world.type(world.ends["bird"].last.code)
    assert (await world.reasons())[1:] == ["provider_unavailable", "valid"]
    assert (await world.outcome()).verified_attempt_id == "v1.1"


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize(("late_ms", "reason"), [(0, "valid"), (1, "expired")])
def test_a_check_is_in_time_when_it_was_appended_though_the_provider_answers_after_the_expiry(
    holder: str, late_ms: int, reason: str
) -> None:
    @held_by(holder)
    async def run(world: World) -> None:
        async with world.running():
            await world.start(steps=f"sms@{holder}", expires_in_s=60)
            end = world.ends[holder]
            end.takes_s["check"] = 6
            expires_at = (await world.outcome()).expires_at
            await asyncio.sleep((expires_at + late_ms - world.clock.now_ms()) / 1_000)
            await world.type(end.last.code, wait_s=20)
        assert await world.reasons() == [reason]
        assert (await world.outcome()).state is (State.VERIFIED if reason == "valid" else State.EXPIRED)

    run()


@held_by("bird")
async def test_a_repeated_check_gets_the_same_reply_and_asks_nobody_again(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird")
        world.ends["bird"].takes_s["check"] = 3
        for wait_s in (1, 5, 1):  # while it is asked, and after
            await world.type(WRONG, check_id="c-1", wait_s=wait_s)
    replies = await world.replies()
    assert {reply.request_id for reply in replies} == {"c-1"}
    assert len(replies) >= 2
    assert all(reply == replies[0] for reply in replies)
    assert (await world.outcome()).failed_checks == 1
    assert world.ends["bird"].count("check") == 1


@held_by("bird")
async def test_a_check_waits_behind_another_and_is_judged_after_it(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird")
        end = world.ends["bird"]
        end.takes_s["check"] = 4
        await world.type(WRONG, wait_s=1)
        await world.type(end.last.code, wait_s=20)
    assert await world.reasons() == ["wrong_code", "valid"]
    first, second = end.times("check")
    assert second - first >= 4, "one outstanding at a time"


@held_by("bird")
async def test_no_more_wait_than_there_are_checks_left_and_never_more_than_three(world: World) -> None:
    async with world.running():
        await world.start("v1", steps="sms@bird")
        await world.start("v2", steps="sms@bird", max_checks=10, recipient="+4915123456780")
        world.ends["bird"].takes_s["check"] = 4
        for verification_id in ("v1", "v2"):
            for _ in range(6):
                await world.type(WRONG, wait_s=0, verification_id=verification_id)
        await asyncio.sleep(60)
    assert sorted(await world.reasons("v1")) == ["too_many_checks"] * 3 + ["wrong_code"] * 3
    assert sorted(await world.reasons("v2")) == ["too_many_checks"] * 2 + ["wrong_code"] * 4
    assert (await world.outcome("v2")).failed_checks == 4


@held_by("bird")
async def test_a_cancel_answers_the_outstanding_check_and_a_late_yes_changes_nothing(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird")
        end = world.ends["bird"]
        end.takes_s["check"] = 5
        await world.type(end.last.code, wait_s=1)
        await world.command(CommandAction.CANCEL, wait_s=20)
    assert await world.reasons() == ["accepted", "not_active"]
    assert (await world.outcome()).state is State.CANCELED


@held_by("bird")
async def test_the_expiry_waits_for_the_outstanding_check_and_for_those_behind_it(world: World) -> None:
    async with world.running():
        await world.start(steps=[Step(channel=Channel.SMS, provider="bird")], recipient=PHONE, expires_in_s=60)
        end = world.ends["bird"]
        end.then("check", Lost(delay_s=10, cause="timeout"))
        end.takes_s["check"] = 3
        await asyncio.sleep(56)
        await world.type(WRONG, wait_s=0.5)
        await world.type(end.last.code, wait_s=0.5)
        await asyncio.sleep(6)
        assert not (await world.outcome()).is_final, "its time is over, but two checks in time are not answered"
        await asyncio.sleep(30)
    assert await world.reasons() == ["provider_unavailable", "valid"]
    assert (await world.outcome()).state is State.VERIFIED
