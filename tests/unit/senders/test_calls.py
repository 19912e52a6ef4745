from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest
from structlog.testing import capture_logs

from pipeline.records.types import AttemptResult
from pipeline.runtime.api import Lane
from pipeline.senders.calls import FRESH_S, LATE, STALE, Call, CallFinished, RunningCalls
from pipeline.senders.exchange import InDoubt, NotSent
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Opened, Provider
from pipeline.senders.transport import BEFORE_FIRST_BYTE, HttpExchange
from pipeline.testing.clock import ManualClock
from tests.unit.senders.doubles import PHONE, command, key, ycloud


class Wire(HttpExchange):
    """A transport that ends each call as a test says, with the hook where the real one has it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.before_hook: Callable[[], None] = lambda: None
        self.answer: httpx.Response | Exception = httpx.Response(200, content=b'{"id":"ve_1","status":"pending"}')
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.before_hook()
        request.extensions[BEFORE_FIRST_BYTE]()
        self.sent.append(request.content)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    def __init__(self, provider: Provider | None = None) -> None:
        self.clock = ManualClock()
        self.wire = Wire()
        self.permits = Permits(
            max_concurrency=4,
            rate_per_s=100,
            partitions=1,
            monotonic_s=self.clock.monotonic_s,
            later=lambda seconds, function: None,
        )
        self.provider = provider or ycloud()
        self.calls = RunningCalls(
            provider=self.provider, exchange=self.wire, permits=self.permits, clock=self.clock, timeout_s=1.0
        )
        self.events: list[object] = []

    def begin(self, n: int = 1) -> None:
        told = command(n)
        opened = Opened(recipient=PHONE, code="482913")
        self.permits.take(0, key(told.command_id), Lane.INTERACTIVE)
        self.calls.begin(
            Call(
                partition=0,
                lane=Lane.INTERACTIVE,
                command=told,
                opened=opened,
                request=self.provider.build(told, opened, 0),
                started_s=self.clock.monotonic_s(),
                latest_at=told.send_by_at,
            ),
            self.events.append,
        )

    async def finished(self) -> CallFinished:
        await self.calls.idle(0)
        [event] = self.events
        assert isinstance(event, CallFinished)
        return event


async def test_a_full_answer_is_read_by_the_provider() -> None:
    world = World()
    world.begin()
    event = await world.finished()
    assert (event.key, event.answer.result, event.answer.provider_message_id) == (
        key("v1.1"),
        AttemptResult.ACCEPTED,
        "ve_1",
    )
    assert event.called_at == event.finished_at == world.clock.now_ms()
    assert world.permits.calls == 0


async def test_started_longer_ago_than_five_seconds_is_not_called() -> None:
    world = World()
    world.wire.before_hook = lambda: world.clock.advance(int(FRESH_S * 1_000) + 1)
    world.begin()
    event = await world.finished()
    assert (event.failure, event.called_at, event.answer.result) == (STALE, None, AttemptResult.NOT_SENT)
    assert world.wire.sent == []


async def test_a_wall_clock_set_back_does_not_make_started_fresh_again() -> None:
    world = World()

    def freeze() -> None:
        world.clock.advance(6_000)
        world.clock.jump(-60_000)

    world.wire.before_hook = freeze
    world.begin()
    assert (await world.finished()).failure == STALE


async def test_after_the_deadline_the_first_byte_does_not_leave() -> None:
    world = World()
    world.wire.before_hook = lambda: world.clock.jump(60_001)
    world.begin()
    event = await world.finished()
    assert (event.failure, event.called_at, world.wire.sent) == (LATE, None, [])


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        (InDoubt("timeout"), AttemptResult.IN_DOUBT),
        (NotSent("unreachable"), AttemptResult.NOT_SENT),
        (RuntimeError("a bug of ours"), AttemptResult.IN_DOUBT),
    ],
)
async def test_a_call_always_ends_in_an_answer(failure: Exception, result: AttemptResult) -> None:
    world = World()
    world.wire.answer = failure
    world.begin()
    event = await world.finished()
    assert event.answer.result is result
    assert (world.permits.calls, world.calls.knows(key("v1.1"))) == (0, True)


async def test_a_bug_before_the_first_byte_is_not_sent() -> None:
    world = World()

    def broken() -> None:
        raise RuntimeError

    world.wire.before_hook = broken
    world.begin()
    assert (await world.finished()).answer.result is AttemptResult.NOT_SENT


async def test_a_provider_that_cannot_read_an_answer_leaves_the_attempt_in_doubt() -> None:
    world = World()
    world.provider.interpret = None  # type: ignore[assignment,method-assign]
    world.begin()
    assert (await world.finished()).answer.result is AttemptResult.IN_DOUBT


async def test_a_bug_is_told_by_its_kind_and_place_without_what_it_broke_on(capsys: pytest.CaptureFixture[str]) -> None:
    world = World()
    world.wire.answer = ValueError(f"cannot read {PHONE.removeprefix('+')}")
    world.begin()
    await world.finished()
    logged = capsys.readouterr().out
    assert ("call_broke" in logged, "ValueError" in logged, "calls.py:" in logged) == (True, True, True)
    assert PHONE.removeprefix("+") not in logged


async def test_an_adopted_call_reports_to_its_new_task_only() -> None:
    world = World()
    world.wire.gate.clear()
    world.begin()
    await asyncio.sleep(0)
    heir: list[object] = []
    world.calls.adopt(key("v1.1"), heir.append)
    world.wire.gate.set()
    await world.calls.idle(0)
    assert (len(world.events), len(heir)) == (0, 1)


async def test_a_result_is_told_again_until_it_is_forgotten() -> None:
    world = World()
    world.begin()
    event = await world.finished()
    heir: list[object] = []
    world.calls.adopt(key("v1.1"), heir.append)
    assert heir == [event]
    world.calls.forget(key("v1.1"))
    assert not world.calls.knows(key("v1.1"))
    world.calls.adopt(key("v1.1"), heir.append)
    assert heir == [event]


async def test_a_call_begun_twice_is_made_once() -> None:
    world = World()
    world.wire.gate.clear()
    world.begin()
    world.begin()
    world.wire.gate.set()
    await world.finished()
    assert len(world.wire.sent) == 1


async def test_idle_waits_for_running_calls_of_its_partition_only() -> None:
    world = World()
    world.wire.gate.clear()
    world.begin()
    await asyncio.wait_for(world.calls.idle(1), 0.1)
    waiting = asyncio.create_task(world.calls.idle(0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    world.wire.gate.set()
    await waiting
    assert len(world.events) == 1


async def test_nothing_secret_has_a_text_form() -> None:
    world = World()
    world.begin()
    event = await world.finished()
    opened = Opened(recipient=PHONE, code="482913")
    for thing in (event, opened, world.calls):
        assert PHONE not in repr(thing)
        assert "482913" not in repr(thing)


async def test_a_provider_that_cannot_be_reached_is_in_the_log_once_in_ten_seconds_per_cause() -> None:
    world = World()
    with capture_logs() as lines:
        for n, cause in enumerate(["unreachable", "unreachable", "unresolved", "unreachable"], start=1):
            world.wire.answer = NotSent(cause)
            world.begin(n)
            await world.calls.idle(0)
        world.clock.advance(10_000)
        world.begin(5)
        await world.calls.idle(0)
    assert [(line["event"], line["provider"], line["cause"], line["left_out"]) for line in lines] == [
        ("call_failed", "ycloud", "unreachable", 0),
        ("call_failed", "ycloud", "unresolved", 0),
        ("call_failed", "ycloud", "unreachable", 2),
    ]
    assert PHONE not in str(lines)


@pytest.mark.parametrize("cause", [STALE, LATE])
async def test_a_call_that_we_ourselves_came_too_late_for_is_no_failure_of_the_provider(cause: str) -> None:
    world = World()
    world.wire.answer = NotSent(cause)
    with capture_logs() as lines:
        world.begin()
        await world.finished()
    assert lines == []
