"""At whatever moment a call fails, double and transport say the same of it: what it is, and whether it was sent."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("pipeline.senders.transport", reason="the transport to providers is not part of this tree")

from pipeline.senders.exchange import CallFailed, InDoubt, NotSent
from pipeline.testing.http import Answer
from tests.contract.http.conftest import Line
from tests.contract.http.faults import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS.values(), ids=[name.replace(" ", "-") for name in FAULTS])
async def test_each_failure_has_one_kind_and_cause_and_reaches_the_provider_once_or_never(
    line: Line, fault: Fault
) -> None:
    line.breaks(fault)
    ran: list[bool] = []
    with pytest.raises(CallFailed) as caught:
        await line.call(b"once", hook=lambda: ran.append(True))
    assert (type(caught.value), caught.value.cause) == (fault.failure, fault.cause)
    assert ran == ([True] if fault.arrives else [])
    assert line.seen == ([b"once"] if fault.arrives else [])


@pytest.mark.parametrize("failure", [NotSent("stale"), InDoubt("odd"), RuntimeError("a bug"), ValueError("a bug")])
async def test_whatever_the_hook_raises_comes_out_and_nothing_was_sent(line: Line, failure: Exception) -> None:
    line.steps = [Answer()]

    def refuse() -> None:
        raise failure

    with pytest.raises((type(failure), NotSent)):
        await line.call(hook=refuse)
    await asyncio.sleep(0.02)
    assert line.seen == []


async def test_a_caller_that_gives_up_is_let_go_and_the_next_call_is_as_good_as_any(line: Line) -> None:
    line.steps = [Answer(delay_s=0.2), Answer()]
    calling = asyncio.create_task(line.call(b"given up"))
    async with asyncio.timeout(20):
        while not line.seen:  # noqa: ASYNC110 - the provider has no event for this
            await asyncio.sleep(0.001)
    calling.cancel()
    await asyncio.wait({calling})
    assert calling.cancelled()
    assert (await line.call(b"next")).status_code == 200
    assert line.seen == [b"given up", b"next"]


async def test_calls_at_once_get_each_its_own_answer(line: Line) -> None:
    line.steps = [Answer(200 + number) for number in range(5)]
    answers = await asyncio.gather(*(line.call(b"%d" % number) for number in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 201, 202, 203, 204]
    assert sorted(line.seen) == [b"%d" % number for number in range(5)]


async def test_what_runs_when_the_transport_is_closed_is_in_doubt(line: Line) -> None:
    line.steps = [Answer(delay_s=0.2)]
    calling = asyncio.create_task(line.call(b"cut off"))
    async with asyncio.timeout(20):
        while not line.seen:  # noqa: ASYNC110 - the provider has no event for this
            await asyncio.sleep(0.001)
    await line.transport.aclose()
    with pytest.raises(InDoubt) as caught:
        await calling
    assert caught.value.cause == "connection_lost"


@pytest.mark.parametrize("used", [False, True])
async def test_a_closed_transport_makes_no_call(line: Line, used: bool) -> None:
    line.steps = [Answer(), Answer()]
    if used:
        await line.call(b"before")
    await line.transport.aclose()
    await line.transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await line.call(b"late")
    assert line.seen == ([b"before"] if used else [])
