"""A person who has typed a code waits for nobody's message: checks go before sends, however many of those wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pipeline import topics
from pipeline.records.public import Step, VerificationRequest
from pipeline.records.types import Channel, CodeHolder
from pipeline.testing.deployment import home
from pipeline.testing.simulation.world import World, story
from tests.unit.senders.doubles import command


async def _crowd(world: World, count: int, *, bulk: bool = False) -> None:
    """As many messages that are to be sent from the partition of ``v1``."""
    for n in range(count):
        told = command(
            verification_id=f"w{n}",
            provider="bird",
            code_holder=CodeHolder.PROVIDER,
            bulk=bulk,
            send_by_at=world.clock.now_ms() + 300_000,
        )
        topic = topics.lane(topics.send(Channel.SMS), bulk)
        await world.publish(topic, told, partition=home("v1"), headers=(("provider", b"bird"),))


@pytest.mark.parametrize("waiting", [200, 700], ids=["held by the sender", "more than it holds"])
def test_a_check_does_not_wait_behind_sends_that_wait_for_the_rate(waiting: int) -> None:
    @story(bird={})
    async def run(world: World) -> None:
        world.rate_per_s = 8.0
        async with world.running():
            await world.start(steps="sms@bird", expires_in_s=600)
            await _crowd(world, waiting)
            await asyncio.sleep(5)
            end = world.ends["bird"]
            sent = end.count("send")
            assert 1 < sent < 60, "the others wait"
            await world.type(end.messages[0].code, wait_s=3)
            assert await world.reasons() == ["valid"]

    run()


@pytest.mark.parametrize("fields", [{}, {"job_id": "j1", "row": 1}], ids=["of a login", "of a bulk run"])
def test_a_check_does_not_wait_behind_bulk(fields: dict[str, Any]) -> None:
    @story(bird={})
    async def run(world: World) -> None:
        world.rate_per_s = 8.0
        async with world.running():
            request = VerificationRequest(
                verification_id="v1",
                recipient="+4915123456789",
                steps=[Step(channel=Channel.SMS, provider="bird")],
                expires_in_s=600,
                **fields,
            )
            topic = topics.lane(topics.REQUESTS, bool(fields))
            await world.publish(topic, request, key=b"+4915123456789")
            await asyncio.sleep(2)
            await _crowd(world, 200, bulk=True)
            await asyncio.sleep(5)
            await world.type(world.ends["bird"].messages[0].code, wait_s=3)
            assert await world.reasons() == ["valid"]

    run()
