"""What only the double can do: scripts, counts and time that is slept elsewhere."""

from __future__ import annotations

import asyncio

import httpx
import pytest

pytest.importorskip("pipeline.senders.transport", reason="the transport to providers is not part of this tree")

from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.senders.transport import BEFORE_FIRST_BYTE
from pipeline.testing import virtual_time
from pipeline.testing.http import Answer, Lost, ScriptedTransport, Step, Unreachable


def request(path: str = "/send", **extensions: object) -> httpx.Request:
    return httpx.Request("POST", f"http://provider.test{path}", content=b"secret", extensions=extensions)


async def test_steps_are_played_in_order_and_one_too_many_fails_without_showing_the_body() -> None:
    transport = ScriptedTransport([Answer(201), Unreachable("tls")])
    assert (await transport.handle_async_request(request())).status_code == 201
    with pytest.raises(NotSent, match="tls"):
        await transport.handle_async_request(request())
    with pytest.raises(AssertionError, match="POST /other") as caught:
        await transport.handle_async_request(request("/other"))
    assert "secret" not in str(caught.value)


async def test_a_function_may_answer_by_the_request() -> None:
    def play(got: httpx.Request) -> Step:
        return Answer(200) if got.url.path == "/send" else Answer(404)

    transport = ScriptedTransport(play)
    assert (await transport.handle_async_request(request("/nowhere"))).status_code == 404
    assert (await transport.handle_async_request(request())).status_code == 200


def test_delays_pass_in_the_loops_time_and_calls_run_side_by_side() -> None:
    async def scenario() -> None:
        transport = ScriptedTransport(lambda _: Answer(delay_s=2), timeout_s=5)
        await asyncio.gather(*(transport.handle_async_request(request()) for _ in range(3)))
        assert asyncio.get_running_loop().time() == pytest.approx(2)
        assert (transport.most_running, transport.running) == (3, 0)

    virtual_time.run(scenario())


async def test_delays_are_slept_by_the_function_given() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    transport = ScriptedTransport([Lost(delay_s=3), Answer(delay_s=60)], timeout_s=10, sleep=sleep)
    for cause in ("connection_lost", "timeout"):
        with pytest.raises(InDoubt, match=cause):
            await transport.handle_async_request(request())
    assert slept == [3, 10]


async def test_what_was_sent_and_what_was_not_is_kept_apart() -> None:
    def refuse() -> None:
        raise LookupError("a bug in the hook")

    transport = ScriptedTransport([Answer(), Unreachable(), Lost(), Answer()])
    await transport.handle_async_request(request("/1"))
    with pytest.raises(NotSent):
        await transport.handle_async_request(request("/2"))
    with pytest.raises(InDoubt):
        await transport.handle_async_request(request("/3"))
    with pytest.raises(LookupError):
        await transport.handle_async_request(request("/4", **{BEFORE_FIRST_BYTE: refuse}))
    assert [got.url.path for got in transport.received] == ["/1", "/3"]
    assert [got.url.path for got in transport.unsent] == ["/2", "/4"]


async def test_a_closed_transport_makes_no_call() -> None:
    transport = ScriptedTransport([Answer()])
    await transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(request())
    assert transport.received == []
