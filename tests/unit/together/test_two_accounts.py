"""Two accounts of one kind side by side: each call, check, look-up, report and receipt goes to its own."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson
import pytest

from pipeline.records.types import CommandAction, VerificationState
from pipeline.testing.http import Answer, Lost
from pipeline.testing.simulation.webhooks import from_bird, from_telesign, from_thundersms, from_ycloud
from pipeline.testing.simulation.world import OTHER, PHONE, World, story
from tests.unit.together.test_checks import LONG

State = VerificationState
SECOND: dict[str, dict[str, Any]] = {
    "bird": {"access_key": "second", "signing_key": "second-signing-key"},
    "telesign": {"customer_id": "other", "api_key": base64.b64encode(b"second-key").decode()},
    "thundersms": {"access_token": "second", "webhook_secret": "second-secret"},
    "ycloud": {"api_key": "second", "webhook_secret": "whsec_second"},
}
SHOWN = {"bird": b"AccessKey second", "thundersms": b"Bearer second", "ycloud": b"second"}


def both(kind: str, *, public: bool = True, **differences: Any):  # type: ignore[no-untyped-def]
    """Decorates a story with the accounts ``first`` and ``second`` of one kind."""
    first, second = {"kind": kind} | differences, {"kind": kind} | SECOND[kind] | differences
    tenants = LONG if kind in ("bird", "telesign") else {"default": {}}
    return story(first=first, second=second, public=public, tenants=tenants)


async def _start_both(world: World, **fields: Any) -> None:
    await world.start("v1", steps="sms@first:100", recipient=PHONE, **fields)
    await world.start("v2", steps="sms@second:100", recipient=OTHER, **fields)


@pytest.mark.parametrize("kind", SECOND)
def test_each_is_called_with_its_own_credentials(kind: str) -> None:
    @both(kind)
    async def run(world: World) -> None:
        async with world.running():
            await _start_both(world)
        for name, person in (("first", PHONE), ("second", OTHER)):
            [asked] = world.ends[name].asked
            assert [each.recipient for each in world.ends[name].messages] == [person]
            headers = b"\n".join(value for _, value in asked.request.headers.raw)
            marked = SHOWN.get(kind, b"TSA other:") in headers
            assert marked is (name == "second")

    run()


@pytest.mark.parametrize("kind", ["bird", "telesign"])
def test_each_judges_its_own_codes(kind: str) -> None:
    @both(kind)
    async def run(world: World) -> None:
        first, second = world.ends["first"], world.ends["second"]
        async with world.running():
            await _start_both(world)
            second.messages[0].code = "2" + second.messages[0].code[1:]
            await world.type(second.last.code, verification_id="v1")
            await world.type(second.last.code, verification_id="v2")
            assert (first.count("check"), second.count("check")) == (1, 1)
            await world.type(first.last.code, verification_id="v1")
        assert await world.reasons("v1") == ["wrong_code", "valid"]
        assert await world.reasons("v2") == ["valid"]

    run()


@both("thundersms")
async def test_each_is_polled_for_its_own_messages_and_told_what_to_stop(world: World) -> None:
    first, second = world.ends["first"], world.ends["second"]
    async with world.running():
        await _start_both(world)
        second.last.status = ("sent", {"sms": "DELIVRD"})
        await asyncio.sleep(20)
        assert [(await world.outcome(each)).state for each in ("v1", "v2")] == [State.SENT, State.DELIVERED]
        await world.command(CommandAction.CANCEL, verification_id="v1")
    assert (first.last.canceled, second.last.canceled) == (True, False)


@both("ycloud")
async def test_each_is_searched_for_its_own_lost_messages_and_hears_of_its_own_success(world: World) -> None:
    first, second = world.ends["first"], world.ends["second"]
    for end in (first, second):
        end.then("send", Lost())
    async with world.running():
        await _start_both(world, wait_s=1)
        second.messages.clear()
        await asyncio.sleep(20)
        assert [(await world.outcome(each)).attempts[0].result for each in ("v1", "v2")] == ["accepted", "in_doubt"]
        await world.type(first.last.code, verification_id="v1")
    assert (first.count("report"), second.count("report")) == (1, 0)
    report = next(each.request for each in first.asked if each.operation == "report")
    assert orjson.loads(report.content)["verificationId"] == first.last.id


@pytest.mark.parametrize("public", [True, False], ids=["with a token", "through the correlator"])
def test_a_callback_is_believed_only_of_its_own_account(public: bool) -> None:
    @both("telesign", public=public)
    async def run(world: World) -> None:
        first, second = world.ends["first"], world.ends["second"]
        key = SECOND["telesign"]["api_key"]
        async with world.running():
            await _start_both(world)
            # Both far ends count alike, so their messages have the same id.
            assert first.last.id == second.last.id
            assert await from_telesign(world, first.last, 200, instance="first", key=key) == 401
            assert await from_telesign(world, second.last, 200, instance="second", key=key) == 200
            await asyncio.sleep(5)
        assert [(await world.outcome(each)).state for each in ("v1", "v2")] == [State.SENT, State.DELIVERED]

    run()


@both("bird")
async def test_a_report_by_recipient_is_about_a_message_of_its_own_account(world: World) -> None:
    key = SECOND["bird"]["signing_key"]
    async with world.running():
        await world.start("v1", steps="sms@first:100")
        await world.start("v2", steps="sms@second:100")
        assert await from_bird(world, PHONE, "delivered", instance="second") == 401
        assert await from_bird(world, PHONE, "delivered", instance="second", key=key) == 200
        await asyncio.sleep(5)
    assert [(await world.outcome(each)).state for each in ("v1", "v2")] == [State.SENT, State.DELIVERED]


@pytest.mark.parametrize("kind", ["thundersms", "ycloud"])
def test_a_report_with_our_reference_is_believed_only_of_the_account_that_sent_it(kind: str) -> None:
    @both(kind)
    async def run(world: World) -> None:
        first, secret = world.ends["first"], SECOND[kind].get("webhook_secret", "")
        async with world.running():
            await _start_both(world)
            if kind == "ycloud":
                told = [
                    await from_ycloud(world, first.last, "delivered", instance="second"),
                    await from_ycloud(world, first.last, "delivered", instance="second", key=secret),
                ]
            else:
                told = [
                    await from_thundersms(world, first.last, "sms", "DELIVRD", instance="second"),
                    await from_thundersms(world, first.last, "sms", "DELIVRD", instance="second", secret=secret),
                ]
            assert told == [401, 200]
            await asyncio.sleep(5)
            assert (await world.outcome("v1")).state is State.SENT
        assert world.figures.total("receipts_unmatched_total", provider="other") == 1

    run()


@both("ycloud")
async def test_the_patience_one_asks_for_is_not_the_others(world: World) -> None:
    world.ends["first"].then("send", Answer(429, b"{}", {"Retry-After": "60"}))
    async with world.running():
        await _start_both(world, wait_s=1)
        await asyncio.sleep(5)
    assert (world.ends["first"].count("send"), len(world.ends["second"].messages)) == (1, 1)
