"""A provider that asks for patience: the same attempt waits, and so does everybody who uses the account."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.records.types import AttemptResult, CommandAction, CommandKind, VerificationState
from pipeline.testing.deployment import PARTITIONS, home
from pipeline.testing.http import Answer
from pipeline.testing.simulation.world import PHONE, WRONG, World, story

SLOW_DOWN = Answer(429, b"{}", {"Retry-After": "20"})
HTTP = {"bird": "sms", "neutrino": "sms", "telesign": "sms", "thundersms": "sms", "ycloud": "sms"}
"""A ``Retry-After`` belongs to HTTP."""


@pytest.mark.parametrize("kind", HTTP)
def test_the_same_attempt_asks_again_when_the_provider_said(kind: str) -> None:
    @story(**{kind: {}})
    async def run(world: World) -> None:
        end = world.ends[kind]
        end.then("send", SLOW_DOWN)
        async with world.running():
            await world.start(steps=f"{HTTP[kind]}@{kind}", wait_s=19)
            assert end.count("send") == 1
            await asyncio.sleep(5)
        first, second = end.times("send")
        assert 20 <= second - first < 21
        outcome = await world.outcome()
        assert [(each.attempt_id, each.result) for each in outcome.attempts] == [("v1.1", AttemptResult.ACCEPTED)]
        assert world.figures.total("provider_throttled_total", provider=kind) == 1

    run()


@story(ycloud={}, neutrino={})
async def test_until_its_deadline_it_waits_and_then_it_was_not_sent(world: World) -> None:
    """Moving on at once would switch everybody to another channel at a peak."""
    world.ends["ycloud"].then("send", *[Answer(429, b"{}", {"Retry-After": "30"})] * 3)
    async with world.running():
        await world.start(steps="sms@ycloud sms@neutrino", expires_in_s=45, wait_s=80)
    assert world.ends["ycloud"].count("send") == 2
    outcome = await world.outcome()
    assert [each.reason for each in outcome.attempts] == ["throttled"]
    assert (outcome.state, outcome.reason) == (VerificationState.EXPIRED, "too_late")


def _everywhere() -> list[str]:
    """Verification ids whose commands lie in every partition, twice."""
    found: dict[int, list[str]] = {}
    for n in range(1_000):
        ids = found.setdefault(home(f"v{n}"), [])
        if len(ids) < 2:
            ids.append(f"v{n}")
    assert len(found) == PARTITIONS
    return [each for ids in found.values() for each in ids]


@story(ycloud={})
async def test_whoever_waits_for_the_slot_of_the_call_that_was_told_waits_on(world: World) -> None:
    """Its slot is free the moment the answer is there, a moment before anybody has read it."""
    world.max_concurrency = 1
    end = world.ends["ycloud"]
    end.then("send", Answer(429, b"{}", {"Retry-After": "20"}, delay_s=1))
    async with world.running():
        for n, verification_id in enumerate(_everywhere()):
            await world.start(verification_id, recipient=f"+49151234567{n:02}", steps="sms", wait_s=0)
        await asyncio.sleep(60)
    began, *others = end.times("send")
    assert len(others) == 2 * PARTITIONS
    assert min(others) - began >= 21


@story(ycloud={})
async def test_every_process_of_the_group_holds_back_whichever_was_told(world: World) -> None:
    end = world.ends["ycloud"]
    end.then("send", SLOW_DOWN)
    async with (
        world.running("router", "tracker"),
        world.running("sender", instance=0),
        world.running("sender", instance=1),
    ):
        await asyncio.sleep(5)
        first, *others = _everywhere()
        await world.start(first, steps="sms")
        for n, verification_id in enumerate(others):
            await world.start(verification_id, recipient=f"+49151234567{n:02}", steps="sms", wait_s=0)
        await asyncio.sleep(60)
    began, *later = end.times("send")
    assert len(later) == 2 * PARTITIONS
    assert min(later) - began >= 20


@story(bird={})
async def test_a_check_that_is_throttled_for_longer_than_a_person_waits_is_an_outage(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@bird")
        end = world.ends["bird"]
        end.then("check", Answer(429, b"{}", {"Retry-After": "5"}), Answer(429, b"{}", {"Retry-After": "120"}))
        await world.type(WRONG, wait_s=50)
        assert await world.reasons() == ["provider_unavailable"]
        assert (await world.outcome()).failed_checks == 0
    assert end.count("check") == 2


@story(thundersms={})
async def test_a_look_up_that_is_throttled_changes_nothing(world: World) -> None:
    end = world.ends["thundersms"]
    end.then("lookup", *[Answer(429, b"{}", {"Retry-After": "40"})] * 2)
    async with world.running():
        await world.start(steps="sms@thundersms", recipient=PHONE, wait_s=30)
        before = await world.outcome()
        end.last.status = ("sent", {"sms": "DELIVRD"})
        await asyncio.sleep(40)
    assert before.state is VerificationState.SENT
    assert (await world.outcome()).state is VerificationState.DELIVERED
    assert len(await world.orders(CommandKind.LOOKUP)) >= 3


@story(ycloud={}, neutrino={})
async def test_a_throttled_message_that_was_canceled_meanwhile_is_not_sent_after_all(world: World) -> None:
    ycloud = world.ends["ycloud"]
    ycloud.then("send", Answer(429, b"{}", {"Retry-After": "5"}, delay_s=3))
    async with world.running():
        await world.start(steps="sms@ycloud", wait_s=1)
        await world.command(CommandAction.CANCEL, wait_s=20)
    assert await world.reasons() == ["accepted"]
    assert ycloud.messages == []


@pytest.mark.parametrize("kind", HTTP)
def test_a_sender_that_dies_in_the_pause_leaves_the_attempt_to_be_sent_once_and_not_before_its_end(kind: str) -> None:
    @story(**{kind: {}})
    async def run(world: World) -> None:
        end = world.ends[kind]
        end.then("send", SLOW_DOWN)
        async with world.running("router", "tracker"):
            async with world.running("sender") as sender:
                await world.start(steps=f"sms@{kind}", wait_s=4)
                sender.crash()
            async with world.running("sender"):
                await asyncio.sleep(40)
        first, second = end.times("send")
        assert second - first >= 20
        assert [each.result for each in (await world.outcome()).attempts] == [AttemptResult.ACCEPTED]
        assert len(end.messages) == 1

    run()
