"""Checks at a provider while processes die: asked at most once each, and what was lost is never called wrong."""

from __future__ import annotations

import asyncio

import pytest

from pipeline import topics
from pipeline.records.internal import SendResult
from pipeline.records.types import AttemptResult, CommandKind, VerificationState
from pipeline.testing.http import Lost
from pipeline.testing.simulation.world import WRONG, World
from tests.unit.together.test_checks import HOLDERS, held_by

OTHERS = ("router", "tracker", "correlator")
State = VerificationState


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_check_lost_in_a_crash_of_the_sender_is_unanswered_and_never_asked_twice(holder: str) -> None:
    @held_by(holder)
    async def run(world: World) -> None:
        end = world.ends[holder]
        async with world.running(*OTHERS):
            async with world.running("sender") as sender:
                await world.start(steps=f"sms@{holder}")
                end.takes_s["check"] = 8
                await world.type(WRONG, wait_s=2)
                assert end.count("check") == 1
                sender.crash()
            async with world.running("sender"):
                await asyncio.sleep(40)
                end.takes_s["check"] = 0
                assert await world.reasons() == ["provider_unavailable"]
                assert (await world.outcome()).failed_checks == 0
                assert end.count("check") == 1
                await world.type(end.last.code)
        assert await world.reasons() == ["provider_unavailable", "valid"]
        told = [each for each in await world.read(topics.RESULTS, SendResult) if each.kind is CommandKind.CHECK]
        assert [each.result for each in told] == [AttemptResult.IN_DOUBT, AttemptResult.ACCEPTED]

    run()


@held_by("thundersms")
async def test_verified_already_is_a_yes_for_the_very_code_whose_yes_was_lost_and_a_no_for_any_other(
    world: World,
) -> None:
    end = world.ends["thundersms"]
    async with world.running(*OTHERS):
        async with world.running("sender") as sender:
            await world.start(steps="sms@thundersms")
            end.takes_s["check"] = 8
            await world.type(end.last.code, wait_s=2)
            assert end.last.used
            sender.crash()
        end.takes_s["check"] = 0
        async with world.running("sender"):
            await asyncio.sleep(40)
            await world.type(WRONG)
            assert (await world.outcome()).failed_checks == 1
            await world.type(end.last.code)
    assert await world.reasons() == ["provider_unavailable", "wrong_code", "valid"]
    assert (await world.outcome()).verified_attempt_id == "v1.1"


@held_by("thundersms")
async def test_a_code_used_up_by_somebody_else_is_no_yes(world: World) -> None:
    """Typed at another door of the same account: nobody here ever had a doubtful answer to it."""
    async with world.running():
        await world.start(steps="sms@thundersms")
        end = world.ends["thundersms"]
        end.last.used = True
        await world.type(end.last.code)
    assert await world.reasons() == ["wrong_code"]


@held_by("thundersms")
async def test_verified_already_at_one_attempt_is_no_yes_for_the_code_that_was_in_doubt_at_another(
    world: World,
) -> None:
    async with world.running():
        await world.start(steps="sms@thundersms voice@thundersms")
        end = world.ends["thundersms"]
        await asyncio.sleep(95)
        first, second = end.messages
        end.then("check", Lost())
        await world.type(first.code)  # lost at the second, no at... the first, where it is right
    assert await world.reasons() == ["valid"]
    assert (await world.outcome()).verified_attempt_id == "v1.1"
    assert first.used
    assert not second.used


@pytest.mark.parametrize("holder", HOLDERS)
def test_the_tracker_may_die_while_a_provider_judges(holder: str) -> None:
    @held_by(holder)
    async def run(world: World) -> None:
        end = world.ends[holder]
        async with world.running("router", "sender"):
            async with world.running("tracker") as tracker:
                await world.start(steps=f"sms@{holder}")
                end.takes_s["check"] = 5
                await world.type(end.last.code, wait_s=0)
                await world.type(WRONG, wait_s=1)
                tracker.crash()
            await asyncio.sleep(100)
            async with world.running("tracker"):
                await asyncio.sleep(20)
        assert await world.reasons() == ["valid", "already_verified"]
        assert end.count("check") == 1

    run()


@held_by("bird")
async def test_a_check_nobody_carries_out_is_told_as_an_outage_and_dropped_when_the_sender_is_back(
    world: World,
) -> None:
    end = world.ends["bird"]
    async with world.running(*OTHERS):
        async with world.running("sender"):
            await world.start(steps="sms@bird", expires_in_s=300)
        await world.type(end.last.code, wait_s=60)
        assert await world.reasons() == ["provider_unavailable"]
        async with world.running("sender"):
            await asyncio.sleep(10)
            assert end.count("check") == 0, "whoever typed it was answered long ago"
            await world.type(end.last.code)
    assert await world.reasons() == ["provider_unavailable", "valid"]


@held_by("bird")
async def test_a_yes_that_comes_in_the_last_moment_of_a_call_still_counts(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird")
        end = world.ends["bird"]
        end.takes_s["check"] = 9.9
        await world.type(end.last.code, wait_s=15)
    assert await world.reasons() == ["valid"]
    assert (await world.outcome()).state is State.VERIFIED
