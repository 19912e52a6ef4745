"""A bug of ours in one provider, met while a request is built or an answer is read: it hurts nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.records.types import AttemptResult, CommandKind, VerificationState
from pipeline.testing.simulation.world import OTHER, World, story

State = VerificationState


def _breaks(world: World, provider: str, function: str, kind: CommandKind, times: int = 1) -> None:
    """``build`` or ``interpret`` of this provider raises at the next commands of a kind."""
    made: Any = world.providers[provider]
    whole: Callable[..., Any] = getattr(made, function)
    left = [times]

    def broken(command: Any, *arguments: Any) -> Any:
        if command.kind is kind and left[0]:
            left[0] -= 1
            raise ZeroDivisionError("a bug")
        return whole(command, *arguments)

    setattr(made, function, broken)


@story(ycloud={}, neutrino={})
async def test_a_request_that_cannot_be_built_was_not_sent_and_another_provider_sends_at_once(world: World) -> None:
    _breaks(world, "ycloud", "build", CommandKind.SEND)
    async with world.running():
        await world.start("v1", steps="sms sms@neutrino")
        await world.start("v2", steps="sms@ycloud", recipient=OTHER)
    first, second = (await world.outcome("v1")).attempts
    assert (first.provider, first.result, second.provider) == ("ycloud", AttemptResult.NOT_SENT, "neutrino")
    assert [each.recipient for each in world.ends["ycloud"].messages] == [OTHER]
    assert world.figures.total("task_rebuilds_total") == 0


@story(ycloud={}, neutrino={})
async def test_an_answer_that_cannot_be_read_leaves_its_message_in_doubt_and_no_other(world: World) -> None:
    _breaks(world, "ycloud", "interpret", CommandKind.SEND)
    async with world.running():
        await world.start("v1", steps="sms@ycloud:200")
        await world.start("v2", steps="sms@ycloud", recipient=OTHER)
        assert (await world.outcome("v1")).attempts[0].result is AttemptResult.IN_DOUBT
        assert (await world.outcome("v2")).attempts[0].result is AttemptResult.ACCEPTED
        assert world.ends["ycloud"].count("send") == 2
        await asyncio.sleep(20)
        assert (await world.outcome("v1")).attempts[0].result is AttemptResult.ACCEPTED, "a look-up finds it"


@pytest.mark.parametrize("function", ["build", "interpret"])
def test_a_check_that_meets_one_is_unanswered_and_the_next_is_judged(function: str) -> None:
    @story(bird={})
    async def run(world: World) -> None:
        async with world.running():
            await world.start(steps="sms@bird")
            _breaks(world, "bird", function, CommandKind.CHECK)
            await world.type("999999")
            assert (await world.outcome()).failed_checks == 0
            await world.type(world.ends["bird"].last.code)
        assert await world.reasons() == ["provider_unavailable", "valid"]

    run()


@pytest.mark.parametrize("function", ["build", "interpret"])
@pytest.mark.parametrize("kind", [CommandKind.LOOKUP, CommandKind.CANCEL])
def test_an_errand_that_meets_one_stops_nothing_behind_it(function: str, kind: CommandKind) -> None:
    @story(thundersms={}, ycloud={})
    async def run(world: World) -> None:
        thunder = world.ends["thundersms"]
        async with world.running():
            await world.start(steps="sms@thundersms:200 sms@ycloud")
            _breaks(world, "thundersms", function, kind, times=50)
            await asyncio.sleep(20)
            await world.type(thunder.last.code)
            await world.start("v2", steps="sms@thundersms", recipient=OTHER)
        assert await world.reasons() == ["valid"]
        assert (await world.outcome("v2")).state is State.SENT
        assert world.figures.total("task_rebuilds_total") == 0

    run()


@story(ycloud={}, neutrino={})
async def test_a_webhook_that_meets_one_is_asked_for_again_and_the_gateway_goes_on(world: World) -> None:
    made: Any = world.providers["ycloud"]
    async with world.running():
        await world.start(steps="sms@ycloud:200")
        made.verify_signature, whole = (lambda *_, **__: 1 // 0), made.verify_signature
        assert await world.webhook("ycloud", b"{}", {}) == 500
        made.verify_signature = whole
        assert await world.webhook("ycloud", b"{}", {}) == 401
