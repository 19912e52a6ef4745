"""The sender of one provider instance, as the runtime sees it: one task's worth.

The life of a command, each arrow one transaction::

    record ──► held, queued ──► STARTED + Begin ──► (the call) ──► FINISHED + SendResult, record finished
                   ▲                                   │
                   └────────── RELEASED ◄──────────────┘  throttled, frozen, stopped: certainly not sent

* STARTED is committed before the call begins and only for commands that hold a permit; else a crash would put hundreds
  of never-called attempts in doubt.
* The record stays held until its result is committed, so that a crash reads it again and finds the journal's word.
* Memory (the :class:`Backlog`) is a hint; the journal decides. Whatever a lost transaction had in mind is undone by
  looking at the entry again.

``handle``, ``on_event``, ``fire`` and ``restored`` are pure but for this task's own memory and the permits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from pipeline import topics
from pipeline.clock import Clock
from pipeline.errors import PipelineError
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import DeadLetterReason, Reason
from pipeline.records.codec import Codec
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.journal import JournalEntry, JournalState
from pipeline.records.types import AttemptResult, CommandKind, ResultClass
from pipeline.runtime.api import Deadline, Effects, Emit, Input, Lane, Post, Record, Refusal, StateView
from pipeline.senders.backlog import Backlog, Work
from pipeline.senders.calls import LATE, STALE, Call, CallFinished, Calls
from pipeline.senders.deadlines import latest_call_at, valid_s
from pipeline.senders.opening import open_command
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Answer, Provider, Unsendable, not_sent, rejected
from pipeline.senders.results import TOO_LATE, answered, unanswered, uncalled, unsupported

KEEP_MS: Final = 3_600_000
"""A finished entry stays this long after its command's deadline."""
LOOK_AGAIN_MS: Final = 60_000
"""... and is looked at again after this while an earlier record still holds the committed position back."""
RESTART_S: Final = 0.1
"""A command that was frozen starts again after this, so that RELEASED stands in a transaction of its own."""
MAX_HELD: Final = 500
"""Commands of one lane a task holds in memory."""

INPUTS: Final[Sequence[Input]] = (
    *(Input(topics.send(channel), Lane.INTERACTIVE) for channel in topics.CHANNELS),
    *(Input(topics.bulk(topics.send(channel)), Lane.BULK) for channel in topics.CHANNELS),
    Input(topics.PROVIDER_CHECKS),
)
"""The same for every sender whatever its provider can do: unequal subscriptions in a group break its assignment."""


@dataclass(frozen=True, slots=True)
class Attach:
    """Action: tell the permits how to wake this task."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Action: make a call whose STARTED is committed."""

    call: Call


@dataclass(frozen=True, slots=True)
class Adopt:
    """Action: get the result of a call an earlier task began."""

    command_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Action: the result is committed."""

    command_id: str


@dataclass(frozen=True, slots=True)
class WakeAfter:
    """Action: look again after some time."""

    seconds: float
    at_s: float


@dataclass(frozen=True, slots=True)
class PermitAvailable:
    """Event: permits are reserved for this task."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Event: the moment of the WakeAfter with this monotonic time has come."""

    at_s: float


class SenderStage:
    """One task of the stage ``sender.<instance>``.

    ``process`` names this process for its life and no other ever (random); ``calls`` and ``permits`` belong to the
    process and outlive the task.
    """

    inputs: Sequence[Input] = INPUTS

    def __init__(
        self,
        *,
        provider: Provider,
        codec: Codec,
        key_ring: KeyRing,
        partition: int,
        clock: Clock,
        calls: Calls,
        permits: Permits,
        process: str,
        min_time_left_s: int = 15,
        max_held: int = MAX_HELD,
    ) -> None:
        self.name = f"sender.{provider.instance}"
        self.changelog = topics.attempts(provider.instance)
        self._provider = provider
        self._instance = provider.instance.encode()
        self._codec = codec
        self._key_ring = key_ring
        self._partition = partition
        self._clock = clock
        self._calls = calls
        self._permits = permits
        self._process = process
        self._min_time_left_s = min_time_left_s
        self._max_held = max_held
        self._backlog = Backlog()
        self._draining = False
        self._wake_at_s: float | None = None

    # What comes in -----------------------------------------------------------------------------------------------

    def handle(self, record: Record, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """Take one command in; those of other providers are skipped by their header, undecoded."""
        effects: Effects[JournalEntry] = Effects()
        if record.header("provider") not in (None, self._instance):
            return effects
        command = self._codec.decode(SendCommand, record.value, public=False)
        if command.provider != self._provider.instance:
            return effects
        if command.kind is CommandKind.SEND:
            self._send(effects, record, command, state, now_ms)
        elif command.kind is CommandKind.CANCEL:
            self._cancel(effects, command, now_ms)
        elif command.kind is CommandKind.CHECK:
            self._emit(effects, unsupported(command, now_ms), bulk=command.bulk)
        else:
            detail = f"kind: {self._provider.instance} carries out no {command.kind} commands"
            effects.refusals.append(Refusal(DeadLetterReason.HANDLER_REFUSED, detail, command.verification_id))
        self._pump(effects, state, now_ms)
        source = (record.topic, record.offset)
        if source in effects.finished:
            # Taken in and ended in one go (too late, cannot be carried): it was never held.
            effects.finished.remove(source)
            effects.hold = False
        return effects

    def _send(
        self,
        effects: Effects[JournalEntry],
        record: Record,
        command: SendCommand,
        state: StateView[JournalEntry],
        now_ms: int,
    ) -> None:
        entry = state.get(command.command_id.encode())
        if entry is not None and entry.state is JournalState.FINISHED:
            return  # read again after a crash, or written twice: its result is out
        started = entry is not None and entry.state is JournalState.STARTED
        work = self._backlog.works.get(command.command_id)
        now_s = self._clock.monotonic_s()
        if work is None:
            least_s = max(self._min_time_left_s, self._min_validity_s(command))
            work = Work(
                command=command,
                opened=open_command(command, self._key_ring),
                lane=Lane.BULK if command.bulk else Lane.INTERACTIVE,
                latest_at=latest_call_at(command, min_left_s=least_s),
                throttled=entry is not None and entry.throttled,
            )
            self._backlog.add(work)
            if started:
                work.started = True  # its call runs in this process and was adopted
            else:
                self._backlog.enqueue(command.command_id, now_s=now_s)
        elif work.started and not started:
            # The transaction that started it was lost before the call began.
            self._permits.free(command.command_id)
            self._backlog.enqueue(command.command_id, now_s=now_s, first=True)
        self._backlog.hold(work, (record.topic, record.offset))
        effects.hold = True

    def _cancel(self, effects: Effects[JournalEntry], command: SendCommand, now_ms: int) -> None:
        """Drop a send that was not started; a started one cannot be called back."""
        work = self._backlog.works.get(command.attempt_id)
        if work is not None and not work.started:
            canceled = not_sent(Reason.CANCELED_BY_CALLER, "canceled before the call")
            self._finish(effects, work, uncalled(work.command, canceled, now_ms), now_ms)

    def on_event(self, event: object, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """A call is over, or there may be something to start."""
        effects: Effects[JournalEntry] = Effects()
        if isinstance(event, CallFinished):
            self._call_finished(effects, event, state, now_ms)
        elif isinstance(event, Tick) and event.at_s == self._wake_at_s:
            self._wake_at_s = None
        self._pump(effects, state, now_ms)
        return effects

    def _call_finished(
        self, effects: Effects[JournalEntry], event: CallFinished, state: StateView[JournalEntry], now_ms: int
    ) -> None:
        effects.actions.append(Forget(event.command_id))
        key = event.command_id.encode()
        entry = state.get(key)
        if entry is None or entry.state is not JournalState.STARTED or entry.result is None:
            return  # told twice (adopted just as it ended): settled already
        answer = event.answer
        provider = self._provider.instance
        if event.called_at is not None:
            effects.count(
                "provider_request_seconds",
                event.seconds,
                provider=provider,
                operation=CommandKind.SEND.value,
                result="throttled" if answer.throttled else answer.result.value,
            )
        if answer.unmapped or answer.alarm is not None:
            effects.count("unmapped_answers_total", provider=provider)
        if answer.throttled:
            effects.count("provider_throttled_total", provider=provider)
            if answer.pauses_provider:
                self._permits.pause(answer.retry_after_s or RESTART_S)
        if answer.throttled or event.failure == STALE:
            self._release(effects, event, entry)
            return
        if event.failure == LATE:
            answer = self._overdue_answer(entry.throttled)
        result = answered(entry.result, answer, called_at=event.called_at, finished_at=event.finished_at)
        work = self._backlog.works.get(event.command_id)
        if work is not None:
            self._measure_time_to_send(effects, work.command, event)
            self._finish(effects, work, result, now_ms)
        else:
            # Adopted, and its record not read again yet: when it is, the journal says FINISHED.
            self._close(effects, key, entry, result, now_ms)

    def _release(self, effects: Effects[JournalEntry], event: CallFinished, entry: JournalEntry) -> None:
        """Certainly not sent: the same attempt waits for its turn again, until its deadline."""
        throttled = event.answer.throttled
        effects.state[event.command_id.encode()] = replace(
            entry, state=JournalState.RELEASED, process="", throttled=throttled
        )
        work = self._backlog.works.get(event.command_id)
        if work is None:
            return  # its record will be read again
        now_s = self._clock.monotonic_s()
        work.throttled = throttled
        work.not_before_s = now_s + max((event.answer.retry_after_s or 0.0) if throttled else 0.0, RESTART_S)
        self._backlog.enqueue(event.command_id, now_s=now_s)

    # Starting what may start -------------------------------------------------------------------------------------

    def _pump(self, effects: Effects[JournalEntry], state: StateView[JournalEntry], now_ms: int) -> None:
        """End what is too late, start what has a permit, and see to being woken for the rest."""
        if self._draining:
            return
        now_s = self._clock.monotonic_s()
        for late in self._backlog.overdue(now_ms):
            answer = self._overdue_answer(late.throttled)
            self._finish(effects, late, uncalled(late.command, answer, now_ms), now_ms)
        self._backlog.wake_delayed(now_s)
        for lane in Lane:
            while (work := self._backlog.head(lane)) is not None:
                if not self._permits.take(self._partition, work.command.command_id, lane):
                    break
                self._start(effects, work, state, now_ms, now_s)
        effects.count("in_flight", self._permits.calls, provider=self._provider.instance)
        self._permits.want(self._partition, {lane: self._backlog.waiting(lane) for lane in Lane})
        wait_s = self._backlog.next_wake_s(now_s=now_s, now_ms=now_ms)
        if wait_s is not None and (self._wake_at_s is None or now_s + wait_s < self._wake_at_s):
            self._wake_at_s = now_s + wait_s
            effects.actions.append(WakeAfter(wait_s, self._wake_at_s))

    def _start(
        self, effects: Effects[JournalEntry], work: Work, state: StateView[JournalEntry], now_ms: int, now_s: float
    ) -> None:
        command = work.command
        self._backlog.start(work)
        opened = dataclasses.replace(work.opened, valid_s=valid_s(command, now_ms))
        try:
            request = self._provider.build(command, opened, now_ms)
        except Unsendable as problem:
            self._permits.free(command.command_id)
            answer = uncalled(command, _unsendable(problem), now_ms)
            self._finish(effects, work, answer, now_ms)
            return
        before = state.get(command.command_id.encode())
        topic, offset = max(work.sources)
        effects.state[command.command_id.encode()] = JournalEntry(
            state=JournalState.STARTED,
            topic=topic,
            offset=offset,
            bulk=command.bulk,
            process=self._process,
            started_at=now_ms,
            tries=1 if before is None else before.tries + 1,
            throttled=work.throttled,
            result=unanswered(command, now_ms),
            keep_until_at=work.latest_at + KEEP_MS,
        )
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

    def _finish(self, effects: Effects[JournalEntry], work: Work, result: SendResult, now_ms: int) -> None:
        """Journal the result, emit it, and let its records go, all in this transaction."""
        key = work.command.command_id.encode()
        topic, offset = max(work.sources)
        entry = JournalEntry(topic=topic, offset=offset, bulk=work.command.bulk, keep_until_at=work.latest_at + KEEP_MS)
        self._close(effects, key, entry, result, now_ms)
        effects.finished.extend(self._backlog.remove(work.command.command_id))

    def _close(
        self, effects: Effects[JournalEntry], key: bytes, entry: JournalEntry, result: SendResult, now_ms: int
    ) -> None:
        # The result itself is not needed any more; what stays must only say that there was one.
        effects.state[key] = replace(
            entry,
            state=JournalState.FINISHED,
            result=None,
            process="",
            keep_until_at=max(entry.keep_until_at, now_ms + KEEP_MS),
        )
        if result.result is AttemptResult.IN_DOUBT:
            effects.count("in_doubt_total", provider=self._provider.instance)
        self._emit(effects, result, bulk=entry.bulk)

    def _emit(self, effects: Effects[JournalEntry], result: SendResult, *, bulk: bool) -> None:
        effects.emits.append(
            Emit(
                topics.lane(topics.RESULTS, bulk),
                result.verification_id.encode(),
                self._codec.encode(result),
                headers=self._codec.headers(result),
            )
        )

    def _measure_time_to_send(self, effects: Effects[JournalEntry], command: SendCommand, event: CallFinished) -> None:
        """Later attempts waited on purpose, so only the first says how fast we are."""
        if command.n == 1 and event.called_at is not None and command.requested_at:
            seconds = max(0, event.called_at - command.requested_at) / 1_000
            effects.count("time_to_send_seconds", seconds, lane="bulk" if command.bulk else "interactive")

    def _overdue_answer(self, throttled: bool) -> Answer:
        return not_sent(Reason.THROTTLED, "throttled until its deadline") if throttled else TOO_LATE

    def _min_validity_s(self, command: SendCommand) -> int:
        able = self._provider.capabilities.channels.get(command.channel)
        return able.min_validity_s if able is not None else 0

    # State and time ----------------------------------------------------------------------------------------------

    def restored(self, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """Settle every STARTED an earlier task left: adopted, released, or in doubt."""
        effects: Effects[JournalEntry] = Effects()
        effects.actions.append(Attach())
        for key, entry in state.items():
            command_id = key.decode()
            known = self._calls.knows(command_id)
            if entry.state is not JournalState.STARTED or entry.result is None:
                if known:
                    effects.actions.append(Forget(command_id))  # the commit was ours; only the word of it was lost
            elif known:
                effects.actions.append(Adopt(command_id))
            elif entry.process == self._process:
                # This process wrote STARTED, and would know the call had it begun: the transaction was committed, but
                # the task was lost before it heard so. No other process can have begun it, as it had settled it.
                effects.state[key] = replace(entry, state=JournalState.RELEASED, process="")
            else:
                self._close(effects, key, entry, replace(entry.result, finished_at=now_ms), now_ms)
        return effects

    def deadline(self, value: JournalEntry) -> Deadline | None:
        """Finished entries are forgotten in time; the others end with their command."""
        if value.state is not JournalState.FINISHED:
            return None
        return Deadline(value.keep_until_at, Lane.BULK if value.bulk else Lane.INTERACTIVE)

    def fire(self, key: bytes, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """Forget a finished entry, unless its record would be read again after a crash.

        The timer waits for the inputs, so every record up to now has been read and those not finished are held here.
        """
        effects: Effects[JournalEntry] = Effects()
        entry = state.get(key)
        if entry is None or entry.state is not JournalState.FINISHED:
            return effects
        if self._backlog.holds_before(entry.topic, entry.offset):
            effects.state[key] = replace(entry, keep_until_at=now_ms + LOOK_AGAIN_MS)
        else:
            effects.state[key] = None
        return effects

    def encode(self, value: JournalEntry) -> bytes:
        """The entry as written to the changelog."""
        return self._codec.encode(value)

    def decode(self, data: bytes) -> JournalEntry:
        """The inverse of :meth:`encode`; raises UnknownWriter for a schema not known yet."""
        return self._codec.decode(JournalEntry, data, public=False)

    def quarantine(self, work: Record | bytes, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """End a command whose handling failed three times over: in doubt if it was started, else not sent."""
        effects: Effects[JournalEntry] = Effects()
        if isinstance(work, bytes):
            effects.state[work] = None
            return effects
        try:
            command = self._codec.decode(SendCommand, work.value, public=False)
        except PipelineError:
            return effects  # the dead letter is all there can be
        if command.provider != self._provider.instance or command.kind is not CommandKind.SEND:
            return effects
        key = command.command_id.encode()
        entry = state.get(key)
        if entry is not None and entry.state is JournalState.FINISHED:
            return effects
        self._backlog.remove(command.command_id)
        if entry is not None and entry.state is JournalState.STARTED and entry.result is not None:
            self._close(effects, key, entry, replace(entry.result, finished_at=now_ms), now_ms)
        else:
            latest = latest_call_at(command, min_left_s=0)
            fresh = JournalEntry(
                topic=work.topic, offset=work.offset, bulk=command.bulk, keep_until_at=latest + KEEP_MS
            )
            failed = not_sent(Reason.PROVIDER_ERROR, "the sender failed on it three times")
            self._close(effects, key, fresh, uncalled(command, failed, now_ms), now_ms)
        return effects

    # The outside -------------------------------------------------------------------------------------------------

    def launch(self, action: Any, post: Post) -> None:
        """Begin committed work."""
        match action:
            case Begin(call) if self._draining:
                # Nothing is begun any more; the release still gets into the last transaction of this task.
                self._permits.free(call.command.command_id)
                answer = not_sent(detail="the sender stops")
                post(
                    CallFinished(
                        command_id=call.command.command_id,
                        answer=answer,
                        called_at=None,
                        finished_at=self._clock.now_ms(),
                        failure=STALE,
                    )
                )
            case Begin(call):
                self._calls.begin(call, post)
            case Adopt(command_id):
                self._calls.adopt(command_id, post)
            case Forget(command_id):
                self._calls.forget(command_id)
            case WakeAfter(seconds, at_s):
                self._calls.later(seconds, lambda: post(Tick(at_s)))
            case Attach():
                self._permits.own(self._partition, lambda: post(PermitAvailable()))
                post(PermitAvailable())
            case _:
                raise TypeError(f"not an action of this stage: {type(action).__name__}")

    def room(self, lane: Lane) -> int:
        """How many more commands of this lane fit into memory; none while the task is given up."""
        return 0 if self._draining else max(0, self._max_held - self._backlog.count(lane))

    async def drain(self) -> None:
        """Begin nothing new, and return when the running calls have posted their results."""
        self._draining = True
        self._permits.disown(self._partition)
        await self._calls.idle(self._partition)


def _unsendable(problem: Unsendable) -> Answer:
    return dataclasses.replace(rejected(ResultClass.ROUTE, problem.reason), detail=problem.detail)
