"""A verification's life on the runtime and the log: what a stage alone cannot show of its end, and of a second code."""

from __future__ import annotations

import asyncio

from pipeline import topics
from pipeline.records.public import CodeCheck, Command, Reply, Step, VerificationOutcome, VerificationRequest
from pipeline.records.types import Channel, CommandAction, VerificationState
from pipeline.settings import PolicySettings, Settings
from pipeline.testing import virtual_time
from pipeline.testing.deployment import Deployment

PHONE = "+4915123456789"
POLICY = PolicySettings(final_state_s=60, resend_code="new", resend_cooldown_s=[5], max_resends=2)

story = virtual_time.scenario(lambda: Deployment(settings=Settings(policy=POLICY)))


async def sent(world: Deployment) -> str:
    """Publish ``v1`` and give it time to be sent; its code."""
    request = VerificationRequest(verification_id="v1", recipient=PHONE, steps=[Step(channel=Channel.SMS)])
    await world.publish(topics.REQUESTS, request, key=PHONE.encode())
    await asyncio.sleep(5)
    return world.messages()[-1]["code"]


async def check(world: Deployment, code: str, check_id: str) -> str:
    await world.publish(topics.CHECKS, CodeCheck(check_id=check_id, verification_id="v1", code=code), key=b"v1")
    await asyncio.sleep(2)
    return (await world.read(topics.REPLIES, Reply))[-1].reason


async def ends(world: Deployment) -> list[VerificationState]:
    return [outcome.state for outcome in await world.read(topics.OUTCOMES, VerificationOutcome) if outcome.is_final]


@story
async def test_an_expiry_is_published_once_also_when_nobody_ran_at_that_moment(world: Deployment) -> None:
    async with world.running():
        await sent(world)
    await asyncio.sleep(3_600)
    assert await ends(world) == []
    for _ in range(3):
        async with world.running():
            await asyncio.sleep(5)
        assert await ends(world) == [VerificationState.EXPIRED]


@story
async def test_a_final_state_stays_its_time_and_then_leaves_memory_and_changelog(world: Deployment) -> None:
    async with world.running():
        code = await sent(world)
        assert await check(world, code, "c1") == "valid"
    await asyncio.sleep(500)
    async with world.running():
        await asyncio.sleep(5)
        kept = [record.value for record in await world.records(topics.TRACKER_STATE) if record.key == b"v1"]
        assert kept[-1] is not None, "its messages are counted as delivered or not up to ten minutes after their calls"
    await asyncio.sleep(200)
    async with world.running():
        await asyncio.sleep(5)
    written = [record.value for record in await world.records(topics.TRACKER_STATE) if record.key == b"v1"]
    assert written[-1] is None
    # Who takes over knows nothing of it any more, and says nothing more.
    outcomes = await world.read(topics.OUTCOMES, VerificationOutcome)
    async with world.running():
        assert await check(world, code, "c2") == "unknown_verification"
    assert await world.read(topics.OUTCOMES, VerificationOutcome) == outcomes


@story
async def test_a_resend_with_a_new_code_sends_it_and_takes_it_and_ends_the_one_before(world: Deployment) -> None:
    async with world.running():
        first = await sent(world)
        resend = Command(command_id="m1", verification_id="v1", action=CommandAction.RESEND)
        await world.publish(topics.COMMANDS, resend, key=b"v1")
        await asyncio.sleep(5)
        second = world.messages()[-1]["code"]
        assert len(world.messages()) == 2
        assert first != second
        assert await check(world, first, "c1") == "wrong_code"
        assert await check(world, second, "c2") == "valid"
