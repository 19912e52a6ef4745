"""What providers are told when a person has verified: the one whose message it was of the success, others to stop."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from pipeline import topics
from pipeline.records.internal import SendResult
from pipeline.records.types import CommandAction, CommandKind, VerificationState
from pipeline.testing.http import Lost, Unreachable
from pipeline.testing.simulation.world import World, story
from tests.unit.together.test_checks import LONG

State = VerificationState
REPORTED = ("ycloud", "telesign")


def _reports(world: World, provider: str) -> list[str]:
    """The message each report to this provider names."""
    asked = [each.request for each in world.ends[provider].asked if each.operation == "report"]
    if provider == "telesign":
        return [request.url.path.rpartition("/")[2] for request in asked]
    return [orjson.loads(request.content)["verificationId"] for request in asked]


@pytest.mark.parametrize("provider", REPORTED)
def test_the_success_is_told_for_the_message_it_came_from_and_once(provider: str) -> None:
    @story(ycloud={}, telesign={})
    async def run(world: World) -> None:
        async with world.running():
            await world.start(steps=f"sms@ycloud sms@telesign sms@{provider}")
            for _ in range(2):
                await world.command(CommandAction.FAILOVER)
            await world.type(world.ends[provider].last.code, wait_s=10)
        assert (await world.outcome()).verified_attempt_id == "v1.3"
        assert _reports(world, provider) == [world.ends[provider].last.id]
        assert world.ends["ycloud"].count("report") + world.ends["telesign"].count("report") == 1

    run()


@story(ycloud={})
async def test_our_code_goes_along_with_the_report(world: World) -> None:
    ycloud = world.ends["ycloud"]
    async with world.running():
        await world.start(steps="sms@ycloud", code="40519283")
        await world.type("4051 9283")
    [report] = [each.request for each in ycloud.asked if each.operation == "report"]
    assert orjson.loads(report.content) == {"verificationId": ycloud.last.id, "code": "40519283"}


@pytest.mark.parametrize("provider", REPORTED)
def test_it_is_told_also_when_the_answer_to_the_send_comes_after_the_verification(provider: str) -> None:
    @story(ycloud={}, telesign={})
    async def run(world: World) -> None:
        end = world.ends[provider]
        end.takes_s["send"] = 8
        async with world.running():
            await world.start(steps=f"sms@{provider}", wait_s=3)
            await world.type(end.last.code)
            assert (await world.outcome()).state is State.VERIFIED
            assert end.count("report") == 0
            await asyncio.sleep(10)
        assert _reports(world, provider) == [end.last.id]

    run()


@pytest.mark.parametrize("provider", REPORTED)
def test_a_report_cut_off_by_a_crash_is_told_again_and_changes_nothing(provider: str) -> None:
    @story(ycloud={}, telesign={})
    async def run(world: World) -> None:
        end = world.ends[provider]
        async with world.running("router", "tracker", "correlator"):
            async with world.running("sender") as sender:
                await world.start(steps=f"sms@{provider}")
                end.takes_s["report"] = 5
                await world.type(end.last.code)
                final = await world.outcome()
                sender.crash()
            async with world.running("sender"):
                await asyncio.sleep(45)
        assert _reports(world, provider) == [end.last.id] * 2
        assert await world.outcome() == final
        assert end.count("send") == 1

    run()


@story(ycloud={})
async def test_a_report_that_never_arrives_is_given_up_after_three_tries(world: World) -> None:
    ycloud = world.ends["ycloud"]
    ycloud.then("report", Lost(), Unreachable(), Lost(), Lost())
    async with world.running():
        await world.start(steps="sms@ycloud")
        await world.type(ycloud.last.code, wait_s=30)
    assert ycloud.count("report") == 2


@story(telesign={}, tenants=LONG)
async def test_a_provider_that_judged_its_own_code_is_told_nothing(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@telesign")
        await world.type(world.ends["telesign"].last.code, wait_s=10)
    assert await world.reasons() == ["valid"]
    assert world.ends["telesign"].count("report") == 0


@story(thundersms={}, ycloud={})
async def test_a_message_nobody_needs_any_more_is_withdrawn(world: World) -> None:
    async with world.running():
        await world.start(steps="sms@thundersms sms@ycloud", code_length=8)
        await world.command(CommandAction.FAILOVER)
        # Both carry our code: the last message is credited with it.
        await world.type(world.ends["ycloud"].last.code)
    assert world.ends["thundersms"].last.canceled
    assert len(await world.orders(CommandKind.CANCEL)) == 1


@story(thundersms={})
async def test_a_message_whose_verification_is_canceled_is_withdrawn_when_its_answer_comes(world: World) -> None:
    thunder = world.ends["thundersms"]
    thunder.takes_s["send"] = 6
    async with world.running():
        await world.start(steps="sms@thundersms")
        await world.command(CommandAction.CANCEL)
        assert thunder.count("cancel") == 0
        await asyncio.sleep(10)
    assert thunder.last.canceled
    assert (thunder.count("send"), thunder.count("cancel")) == (1, 1)


@story(ycloud={})
async def test_a_send_that_waits_for_the_rate_is_dropped_by_a_cancel(world: World) -> None:
    world.rate_per_s = 0.2
    ycloud = world.ends["ycloud"]
    async with world.running():
        await asyncio.sleep(1)
        await world.start("v0", steps="sms@ycloud", recipient="+4915123456780")
        await world.start("v1", steps="sms@ycloud", wait_s=1)
        await world.command(CommandAction.CANCEL, wait_s=30)
    assert [each.recipient for each in ycloud.messages] == ["+4915123456780"]
    outcome = await world.outcome()
    assert outcome.state is State.CANCELED


@pytest.mark.parametrize("away_s", [0.0, 20.0])
def test_a_message_whose_cancel_lay_unread_beside_it_is_not_sent(away_s: float) -> None:
    """A sender that was away finds both in one read."""

    @story(ycloud={})
    async def run(world: World) -> None:
        async with world.running("router", "tracker"):
            await world.start(steps="sms@ycloud")
            await world.command(CommandAction.CANCEL, wait_s=2 + away_s)
            async with world.running("sender"):
                await asyncio.sleep(10)
        assert world.ends["ycloud"].asked == []
        [result] = await world.read(topics.RESULTS, SendResult)
        assert (result.result, result.reason, result.called_at) == ("not_sent", "canceled_by_caller", None)
        assert (await world.outcome()).state is State.CANCELED
        assert world.figures.total("in_doubt_total") == 0

    run()
