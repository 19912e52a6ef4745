"""What a transport to providers promises: from the error it is certain whether anything may have been sent."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("pipeline.senders.transport", reason="the transport to providers is not part of this tree")

from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.testing.http import Answer, Lost, Unreachable
from tests.contract.http.conftest import TIMEOUT_S, Line


async def test_a_full_answer_of_any_status_is_a_response(line: Line) -> None:
    line.steps = [Answer.json({"id": "m1"}), Answer(500, b"broken"), Answer(429, b"", {"retry-after": "7"})]
    first, second, third = [await line.call() for _ in range(3)]
    assert (first.status_code, first.json()) == (200, {"id": "m1"})
    assert first.headers["content-type"] == "application/json"
    assert (second.status_code, second.content) == (500, b"broken")
    assert (third.status_code, third.headers["retry-after"]) == (429, "7")


async def test_the_provider_gets_the_body_once(line: Line) -> None:
    line.steps = [Answer()]
    await line.call(b"exactly this")
    assert line.seen == [b"exactly this"]


async def test_without_a_connection_nothing_was_sent(line: Line) -> None:
    line.steps = [Unreachable()]
    with pytest.raises(NotSent) as caught:
        await line.call()
    assert caught.value.cause == "unreachable"
    assert line.seen == []


async def test_a_connection_lost_before_the_answer_is_in_doubt_and_not_repeated(line: Line) -> None:
    line.steps = [Lost()]
    with pytest.raises(InDoubt) as caught:
        await line.call(b"once")
    assert caught.value.cause == "connection_lost"
    assert line.seen == [b"once"]


async def test_an_answer_later_than_the_timeout_is_in_doubt(line: Line) -> None:
    line.steps = [Answer(delay_s=3 * TIMEOUT_S)]
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(InDoubt) as caught:
        await line.call(b"slow")
    assert caught.value.cause == "timeout"
    assert asyncio.get_running_loop().time() - began_s < 2.5 * TIMEOUT_S
    assert line.seen == [b"slow"]


async def test_the_hook_runs_before_the_provider_sees_anything(line: Line) -> None:
    line.steps = [Answer()]
    seen_then: list[bool] = []
    await line.call(hook=lambda: seen_then.append(line.seen == []))
    assert seen_then == [True]
    assert line.seen == [b"body"]


async def test_a_hook_that_raises_keeps_the_request_from_being_sent(line: Line) -> None:
    line.steps = [Answer()]

    def too_old() -> None:
        raise NotSent("stale")

    with pytest.raises(NotSent, match="stale"):
        await line.call(hook=too_old)
    await asyncio.sleep(0.02)
    assert line.seen == []


async def test_the_hook_does_not_run_without_a_connection(line: Line) -> None:
    line.steps = [Unreachable()]
    ran: list[bool] = []
    with pytest.raises(NotSent):
        await line.call(hook=lambda: ran.append(True))
    assert ran == []
