"""Codes that providers made, numbers and addresses: in no topic of ours, no log and no metric, in whatever form."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import MutableMapping
from typing import Any

from structlog.testing import capture_logs

from pipeline import topics
from pipeline.records.types import VerificationState
from pipeline.testing.http import Answer, Lost, Unreachable
from pipeline.testing.simulation.webhooks import from_bird, from_telesign, from_thundersms, from_ycloud
from pipeline.testing.simulation.world import MAIL, PHONE, World, story
from tests.acceptance.leaks import leaks
from tests.unit.together.test_checks import LONG

TYPED = "71350284"
DOORS = {topics.REQUESTS, topics.CHECKS}
"""Where other software writes codes and numbers in clear."""


async def _everything(world: World, logs: list[MutableMapping[str, Any]]) -> dict[str, bytes]:
    """All that was written, by place."""
    places = {"metrics": world.figures.shown(), "logs": "\n".join(map(_shown, logs)).encode()}
    for topic in {each.name for each in world.topics} - DOORS:
        records = await world.records(topic)
        parts = [part for each in records for part in (each.key, each.value, repr(each.headers).encode())]
        places[topic] = b"\n".join(part or b"" for part in parts)
    assert len(places[topics.RESULTS]) > 100
    assert len(places[topics.TRACKER_STATE]) > 100
    return places


def _shown(entry: MutableMapping[str, Any]) -> str:
    """An entry before any redaction, with the whole error where it has one."""
    error = entry.get("exc_info")
    told = traceback.format_exception(error) if isinstance(error, BaseException) else []
    return repr(dict(entry)) + "".join(told)


@story(neutrino={}, tenants=LONG)
async def test_a_code_told_in_the_answer_is_compared_by_us_and_sealed_everywhere(world: World) -> None:
    neutrino = world.ends["neutrino"]
    with capture_logs() as logs:
        async with world.running():
            await world.start(steps="sms@neutrino")
            assert neutrino.last.made
            await world.type(TYPED)
            assert (await world.outcome()).failed_checks == 1
            await world.type(neutrino.last.code)
    assert await world.reasons() == ["wrong_code", "valid"]
    assert (await world.outcome()).state is VerificationState.VERIFIED
    assert neutrino.count("send") == len(neutrino.asked), "nobody was asked"
    assert leaks([neutrino.last.code, TYPED, PHONE, PHONE[1:]], await _everything(world, logs)) == []


@story(neutrino={}, tenants=LONG)
async def test_without_the_answer_nobody_knows_the_code_so_nothing_typed_is_called_wrong(world: World) -> None:
    neutrino = world.ends["neutrino"]
    neutrino.then("send", Lost())
    async with world.running():
        await world.start(steps="sms@neutrino")
        await world.type(neutrino.last.code)
    assert await world.reasons() == ["provider_unavailable"]
    assert (await world.outcome()).failed_checks == 0


@story(
    bird={"list_path": "/verify"}, neutrino={}, smtp={}, telesign={}, thundersms={}, ycloud={},
    tenants={"default": {"code_length": 12}, "short": {}},
)  # fmt: skip
async def test_no_code_number_or_address_shows_whatever_happens_to_it(world: World) -> None:
    """Sent, made, failed over, in doubt, typed rightly and wrongly, judged, lost, reported, answered with nonsense."""
    ends = world.ends
    people = {name: f"+49151234567{n}0" for n, name in enumerate(ends)} | {"smtp": MAIL}
    tenants = {"ycloud": "short", "smtp": "short"}
    kept: list[str] = [TYPED]
    with capture_logs() as logs:
        async with world.running("router", "tracker", "correlator"):
            async with world.running("sender") as sender:
                for name in ends:
                    channel = "email" if name == "smtp" else "sms"
                    if name == "bird":
                        ends[name].then("send", Lost())
                    await world.start(
                        name,
                        steps=f"{channel}@{name} {channel}@{name}",
                        recipient=people[name],
                        tenant=tenants.get(name, "default"),
                        end_user_ip="203.0.113.77",
                        wait_s=0,
                    )
                await asyncio.sleep(3)
                kept += [message.code for end in ends.values() for message in end.messages]
                for name in ("telesign", "thundersms"):
                    text = f'{{"message": "code {ends[name].last.code} for {people[name]}"}}'.encode()
                    # Only ThunderSMS tells a right code typed before from a wrong one.
                    third = Lost() if name == "thundersms" else Unreachable()
                    ends[name].then("check", Answer(200, text), Answer(500, text), third)
                for name in ends:
                    for code in (TYPED, ends[name].last.code, ends[name].last.code):
                        await world.type(code, verification_id=name, wait_s=0)
                await from_telesign(world, ends["telesign"].last, 200)
                await from_bird(world, people["bird"], "delivered")
                await from_thundersms(world, ends["thundersms"].last, "sms", "UNDELIV")
                await from_ycloud(world, ends["ycloud"].last, "delivered", code=ends["ycloud"].last.code)
                await asyncio.sleep(5)
                sender.crash()
            async with world.running("sender"):
                await asyncio.sleep(90)
                for name in ends:
                    await world.type(ends[name].last.code, verification_id=name, wait_s=0)
                await asyncio.sleep(5)
    kept += [message.code for end in ends.values() for message in end.messages]
    assert len(set(kept)) > 6
    assert {(await world.outcome(name)).state for name in ends} == {VerificationState.VERIFIED}
    numbers = [person.removeprefix("+") for person in people.values()]
    assert leaks([*set(kept), *numbers, MAIL, "203.0.113.77"], await _everything(world, logs)) == []
    assert logs
