"""Which waiting commands of one task start, end unsent or wait on: permits, deadlines, being woken for the rest."""

from __future__ import annotations

import dataclasses
from typing import Final

import structlog

from pipeline.clock import Clock, Seldom
from pipeline.errors import Refused, where
from pipeline.model.messages import Catalogue
from pipeline.model.reasons import Reason
from pipeline.records.internal import SendResult
from pipeline.records.journal import JournalEntry
from pipeline.records.types import CommandKind, ResultClass
from pipeline.runtime.api import Effects, Lane, StateView
from pipeline.senders.actions import Begin, Tick, WakeAfter
from pipeline.senders.answers import not_sent, rejected
from pipeline.senders.backlog import Backlog, Work
from pipeline.senders.calls import Call
from pipeline.senders.carrying import refuse_uncarried
from pipeline.senders.deadlines import code_life_s, valid_s
from pipeline.senders.journal import Journal
from pipeline.senders.keys import JOURNALLED
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Answer, Opened, Provider, Unsendable
from pipeline.senders.results import TOO_LATE, uncalled

log = structlog.get_logger(__name__)

RESTART_S: Final = 0.1
"""A command that was frozen starts again after this, so that RELEASED stands in a transaction of its own."""
_LANES: Final = tuple(Lane)
_UNBUILT: Final = not_sent(Reason.PROVIDER_ERROR, "the request could not be built")


class Dispatch:
    """The way of one task's works from the backlog to a call; pure but for the backlog, the permits and the log."""

    def __init__(
        self,
        *,
        provider: Provider,
        journal: Journal,
        backlog: Backlog,
        permits: Permits,
        catalogue: Catalogue,
        partition: int,
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._journal = journal
        self._backlog = backlog
        self._permits = permits
        self._catalogue = catalogue
        self._partition = partition
        self._clock = clock
        self._wake_at_s: float | None = None
        self._seldom = Seldom()

    def woken(self, tick: Tick) -> None:
        """A WakeAfter is over; only the one asked for last counts."""
        if tick.at_s == self._wake_at_s:
            self._wake_at_s = None

    def pump(self, effects: Effects[JournalEntry], state: StateView[JournalEntry], now_ms: int) -> None:
        """End what is too late, start what has a permit, and see to being woken for the rest."""
        now_s = self._clock.monotonic_s()
        for late in self._backlog.overdue(now_ms):
            answer = overdue_answer(throttled=late.throttled)
            self.finish(effects, late, uncalled(late.command, answer, now_ms), now_ms)
        self._backlog.wake_delayed(now_s)
        for lane in _LANES:
            while (work := self._backlog.head(lane)) is not None:
                if not self._permits.take(self._partition, work.key, lane):
                    break
                self._start(effects, work, state, now_ms, now_s)
        effects.count("in_flight", self._permits.calls, provider=self._provider.instance)
        self._permits.want(self._partition, {lane: self._backlog.waiting(lane) for lane in _LANES})
        wait_s = self._backlog.next_wake_s(now_s=now_s, now_ms=now_ms)
        if wait_s is not None and (self._wake_at_s is None or now_s + wait_s < self._wake_at_s):
            self._wake_at_s = now_s + wait_s
            effects.actions.append(WakeAfter(wait_s, self._wake_at_s))

    def wait_again(self, work: Work, *, throttled: bool, after_s: float) -> None:
        """The command may be called again and waits for its turn, until its deadline."""
        now_s = self._clock.monotonic_s()
        work.throttled = throttled
        work.not_before_s = now_s + max(after_s, RESTART_S)
        self._backlog.enqueue(work.key, now_s=now_s)

    def finish(self, effects: Effects[JournalEntry], work: Work, result: SendResult, now_ms: int) -> None:
        """Journal the result, emit it, and let its records go, all in this transaction.

        An errand's end is told to nobody.
        """
        if work.command.kind in JOURNALLED:
            source = max(work.sources)
            self._journal.finish(effects, work.command, source, result, latest_at=work.latest_at, now_ms=now_ms)
        effects.finished.extend(self._backlog.remove(work.key))

    def _start(
        self, effects: Effects[JournalEntry], work: Work, state: StateView[JournalEntry], now_ms: int, now_s: float
    ) -> None:
        command = work.command
        self._backlog.start(work)
        try:
            if command.kind is CommandKind.SEND:
                refuse_uncarried(command, self._provider.capabilities)
            opened = self._opened(work, now_ms)
            request = self._provider.build(command, opened, now_ms)
        except (Unsendable, Refused) as error:
            problem = Unsendable(Reason(error.reason), error.detail)
            if command.kind not in JOURNALLED:
                log.error(
                    "errand_refused", provider=self._provider.instance, kind=command.kind.value, cause=problem.detail
                )
            self._permits.free(work.key)
            self.finish(effects, work, uncalled(command, _unsendable(problem), now_ms), now_ms)
            return
        except Exception as error:
            # A bug of ours, or a setting that fits into no request. Raised on, it would take down the task again and
            # again, with all that waits in it; but nothing has left, so another provider may try at once.
            # Its text is not written: it may hold the number or code it broke on.
            name = type(error).__name__
            if (left_out := self._seldom.passes(now_s, name)) is not None:
                log.error(
                    "request_not_built",
                    provider=self._provider.instance,
                    error=name,
                    where=where(error),
                    left_out=left_out,
                )
            self._permits.free(work.key)
            self.finish(effects, work, uncalled(command, _UNBUILT, now_ms), now_ms)
            return
        work.tries += 1
        if command.kind in JOURNALLED:
            self._journal.start(effects, work, state.get(work.key.encode()), now_ms)
        effects.actions.append(
            Begin(
                Call(
                    partition=self._partition,
                    lane=work.lane,
                    command=command,
                    opened=opened,
                    request=request,
                    started_s=now_s,
                    latest_at=work.latest_at,
                )
            )
        )

    def _opened(self, work: Work, now_ms: int) -> Opened:
        """What the request is built from, with what only the moment of the call can tell."""
        command = work.command
        able = self._provider.capabilities.channels.get(command.channel)
        message = None
        wanted = command.kind is CommandKind.SEND and able is not None and able.text
        if wanted and self._provider.wants_text(command):
            message = self._catalogue.message(
                channel=command.channel,
                tenant=command.tenant,
                language=command.language,
                valid_s=code_life_s(command, now_ms),
                text=command.text,
                template=command.template,
                subject=command.subject,
                brand=command.brand,
                amount=command.amount,
                payee=work.opened.payee,
            )
        return dataclasses.replace(work.opened, valid_s=valid_s(command, now_ms), message=message)


def overdue_answer(*, throttled: bool) -> Answer:
    """What to tell of a command whose deadline came before a call."""
    return not_sent(Reason.THROTTLED, "throttled until its deadline") if throttled else TOO_LATE


def _unsendable(problem: Unsendable) -> Answer:
    return dataclasses.replace(rejected(ResultClass.ROUTE, problem.reason), detail=problem.detail)
