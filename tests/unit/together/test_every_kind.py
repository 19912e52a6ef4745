"""What holds for providers of every kind alike: one call per attempt, whatever happens to it."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.records.types import AttemptResult
from pipeline.testing.http import Answer, Lost, Step, Unreachable
from pipeline.testing.simulation.world import ENDS, MAIL, PHONE, World, story

KINDS = {kind: "email" if kind == "smtp" else "sms" for kind in ENDS}
ODD = {"smtp": Answer(399)} | dict.fromkeys(
    ("bird", "neutrino", "telesign", "thundersms", "ycloud"), Answer(200, b"<html>it works</html>")
)
"""Answers in no table."""
FAULTS: dict[str, tuple[Step, AttemptResult, int]] = {
    "refused": (Unreachable(), AttemptResult.NOT_SENT, 0),
    "reset after reading": (Lost(), AttemptResult.IN_DOUBT, 1),
    "hangs": (Lost(delay_s=10, cause="timeout"), AttemptResult.IN_DOUBT, 1),
    "500 after sending": (Answer(500), AttemptResult.IN_DOUBT, 1),
}
MAIL_SAYS = {"500 after sending": (Answer(554), AttemptResult.REJECTED, 1)}
"""Of mail a refusal is certain at every stage."""


def alone(kind: str, **more: object):  # type: ignore[no-untyped-def]
    return story(**{kind: {}}, **more)


async def _send(world: World, kind: str, wait_s: float = 12) -> None:
    recipient = MAIL if kind == "smtp" else PHONE
    await world.start(steps=f"{KINDS[kind]}@{kind}:200", recipient=recipient, wait_s=wait_s)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_makes_a_second_call_of_an_attempt(kind: str, fault: str) -> None:
    @alone(kind)
    async def run(world: World) -> None:
        step, result, calls = MAIL_SAYS.get(fault, FAULTS[fault]) if kind == "smtp" else FAULTS[fault]
        end = world.ends[kind]
        end.then("send", step)
        async with world.running():
            await _send(world, kind)
        [attempt] = (await world.outcome()).attempts
        assert (attempt.result, end.count("send")) == (result, calls)

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_in_no_table_is_counted_and_in_doubt(kind: str) -> None:
    @alone(kind)
    async def run(world: World) -> None:
        end = world.ends[kind]
        end.then("send", ODD[kind])
        async with world.running():
            await _send(world, kind, wait_s=3)
        [attempt] = (await world.outcome()).attempts
        assert (attempt.result, attempt.reason) == (AttemptResult.IN_DOUBT, "in_doubt")
        assert world.figures.total("unmapped_answers_total", provider=kind) == 1
        assert world.figures.total("in_doubt_total", provider=kind) == 1
        assert end.count("send") == 1

    run()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.1, 1.0, 3.0], ids="{}s".format)
def test_a_sender_killed_at_any_moment_calls_each_attempt_at_most_once(kind: str, after_s: float) -> None:
    @alone(kind)
    async def run(world: World) -> None:
        end = world.ends[kind]
        end.takes_s["send"] = 2
        async with world.running("router", "tracker", "correlator"):
            async with world.running("sender") as sender:
                await asyncio.sleep(2)
                await _send(world, kind, wait_s=after_s)
                sender.crash()
            async with world.running("sender"):
                await asyncio.sleep(10)
        [attempt] = (await world.outcome()).attempts
        calls = end.count("send")
        assert (attempt.result, calls) in [
            (AttemptResult.ACCEPTED, 1),
            (AttemptResult.IN_DOUBT, 1),
            (AttemptResult.IN_DOUBT, 0),
        ]
        if after_s == 1:
            assert (attempt.result, calls) == (AttemptResult.IN_DOUBT, 1), "it died in the call"

    run()
