"""The calls that run, or ran and whose result is not yet committed; they belong to the process, not to a task.

A task may be rebuilt, or lose its transaction, while its calls run. The new task asks :meth:`RunningCalls.knows` and
*adopts* them: it gets their result as if it had begun them. A result stays here until its transaction is committed and
the task says :meth:`RunningCalls.forget`, for a result lost together with its transaction would be in doubt for ever
although this process knows it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from pipeline.clock import Clock, Seldom
from pipeline.errors import where
from pipeline.records.internal import SendCommand
from pipeline.records.types import CommandKind
from pipeline.runtime.api import Lane, Post
from pipeline.senders.answers import in_doubt, not_sent
from pipeline.senders.exchange import Exchange, InDoubt, NotSent
from pipeline.senders.keys import work_key
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Answer, Opened, Provider
from pipeline.settings.providers import DRAIN_S

log = structlog.get_logger(__name__)

FRESH_S: Final = 5.0
"""How old STARTED may be when the first byte leaves. A process that froze for longer may have lost its partition to one
that already called the attempt in doubt (the session timeout is 30 s), so it must not call any more."""
SHORTEST_PAUSE_S: Final = 0.1
"""When a provider asks for patience and does not say for how long."""
STALE: Final = "stale"
"""Cause: STARTED was too old for a call; the command may be started again."""
LATE: Final = "late"
"""Cause: the deadline came before the first byte."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Call:
    """One call to make."""

    partition: int
    lane: Lane
    command: SendCommand
    opened: Opened
    request: Any
    """As the provider's client takes it."""
    started_s: float
    """Monotonic time before STARTED was committed."""
    latest_at: int
    """No first byte after this (epoch milliseconds)."""

    @property
    def key(self) -> str:
        """See :func:`pipeline.senders.keys.work_key`."""
        return work_key(self.command)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished:
    """Event: what became of a call."""

    key: str
    """The :func:`work_key` of its command."""
    kind: CommandKind = CommandKind.SEND
    answer: Answer
    called_at: int | None
    """When the first byte could leave; None: it never did."""
    finished_at: int
    seconds: float = 0.0
    """From then to the full answer."""
    failure: str | None = None
    """The cause when there was no full answer; ``stale`` and ``late`` are ours, the others the transport's."""


class Calls(Protocol):
    """What a stage needs of the running calls."""

    def knows(self, key: str) -> bool:
        """Whether this process runs the call, or holds a result nobody has committed."""

    def begin(self, call: Call, post: Post) -> None:
        """Make the call; :class:`CallFinished` comes through ``post``."""

    def adopt(self, key: str, post: Post) -> None:
        """Have the result of a known call posted here instead, at once when it is there already."""

    def forget(self, key: str) -> None:
        """Its result is committed."""

    async def idle(self, partition: int) -> None:
        """Return when no call of the partition runs, at the latest after the call timeout and some seconds."""

    def later(self, seconds: float, function: Callable[[], None]) -> object:
        """Call ``function`` after some time."""


@dataclass(slots=True)
class _Running:
    call: Call
    post: Post
    task: asyncio.Task[None] | None = None
    called_at: int | None = None
    called_s: float = 0.0
    finished: CallFinished | None = None


@dataclass(slots=True, kw_only=True)
class RunningCalls:
    """Makes the calls of one provider instance in this process."""

    provider: Provider
    exchange: Exchange
    permits: Permits
    clock: Clock
    timeout_s: float
    _calls: dict[str, _Running] = field(default_factory=dict)
    _seldom: Seldom = field(default_factory=Seldom, init=False)

    def knows(self, key: str) -> bool:
        """Whether this process runs the call, or holds a result nobody has committed."""
        return key in self._calls

    def begin(self, call: Call, post: Post) -> None:
        """Make the call; :class:`CallFinished` comes through ``post``. A call that is known is only adopted."""
        key = call.key
        if key in self._calls:
            # One STARTED, one call: a second begin can only be a mistake, and must not cost somebody a second message.
            log.error("call_begun_twice", provider=self.provider.instance, verification_id=call.command.verification_id)
            self.adopt(key, post)
            return
        running = _Running(call, post)
        self._calls[key] = running
        self.permits.begun(key, call.lane)
        running.task = asyncio.get_running_loop().create_task(self._run(running))

    def adopt(self, key: str, post: Post) -> None:
        """Have the result of a known call posted here instead, at once when it is there already."""
        running = self._calls.get(key)
        if running is None:
            return
        running.post = post
        if running.finished is not None:
            post(running.finished)

    def forget(self, key: str) -> None:
        """Its result is committed."""
        self._calls.pop(key, None)

    async def idle(self, partition: int) -> None:
        """Return when no call of the partition runs, at the latest after the call timeout and some seconds."""
        tasks = [
            running.task
            for running in self._calls.values()
            if running.call.partition == partition and running.task is not None and not running.task.done()
        ]
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=self.timeout_s + DRAIN_S)
        if left:
            log.error("calls_outlived_drain", provider=self.provider.instance, calls=len(left))

    def later(self, seconds: float, function: Callable[[], None]) -> object:
        """Call ``function`` after some time."""
        return asyncio.get_running_loop().call_later(seconds, function)

    async def _run(self, running: _Running) -> None:
        key = running.call.key
        failure: str | None = None
        try:
            answer = await self._call(running)
        except NotSent as error:
            failure = error.cause
            answer = not_sent(detail=failure)
        except InDoubt as error:
            failure = error.cause
            answer = in_doubt(failure)
        except Exception as error:
            # A bug of ours; what it means for the person depends only on whether a byte may have left. Its text is not
            # written: it may hold the number or code it broke on.
            log.error("call_broke", provider=self.provider.instance, error=type(error).__name__, where=where(error))
            failure = "internal error"
            answer = in_doubt(failure) if running.called_at is not None else not_sent(detail=failure)
        finally:
            self.permits.free(key)
        self._log(answer, failure)
        running.finished = CallFinished(
            key=key,
            kind=running.call.command.kind,
            answer=answer,
            called_at=running.called_at,
            finished_at=self.clock.now_ms(),
            seconds=self.clock.monotonic_s() - running.called_s if running.called_at is not None else 0.0,
            failure=failure,
        )
        running.post(running.finished)

    def _log(self, answer: Answer, failure: str | None) -> None:
        name = self.provider.instance
        # Late and stale are our own doing. A provider that is away, or says something odd, does so to every call: one
        # line tells it.
        told = None if failure in (None, LATE, STALE) else self._seldom.passes(self.clock.monotonic_s(), failure)
        if told is not None:
            log.warning("call_failed", provider=name, cause=failure, result=answer.result.value, left_out=told)
        if answer.alarm is not None:
            told = self._seldom.passes(self.clock.monotonic_s(), "alarm", answer.alarm)
            if told is not None:
                log.error("provider_alarm", provider=name, alarm=answer.alarm, left_out=told)
        if answer.unmapped:
            told = self._seldom.passes(self.clock.monotonic_s(), "unmapped")
            if told is not None:
                log.warning("unmapped_answer", provider=name, detail=answer.detail, left_out=told)

    async def _call(self, running: _Running) -> Answer:
        call = running.call

        def before_first_byte() -> None:
            if self.clock.monotonic_s() - call.started_s > FRESH_S:
                raise NotSent(STALE)
            now_ms = self.clock.now_ms()
            if now_ms > call.latest_at:
                raise NotSent(LATE)
            running.called_at = now_ms
            running.called_s = self.clock.monotonic_s()

        response = await self.exchange.exchange(call.request, before_first_byte)
        answer = self.provider.interpret(call.command, call.opened, response)
        if (seconds := pause_s(answer)) is not None:
            # At once: the slot that is free in a moment is another task's before this answer is read.
            self.permits.pause(seconds)
        return answer


def pause_s(answer: Answer) -> float | None:
    """For how many seconds nobody may call the provider after this answer; None when it asked for no patience."""
    return (answer.retry_after_s or SHORTEST_PAUSE_S) if answer.throttled and answer.pauses_provider else None
