"""The sender of one provider instance, as the runtime sees it: one task's worth.

The life of a command, each arrow one transaction::

    record ──► held, queued ──► STARTED + Begin ──► (the call) ──► FINISHED + SendResult, record finished
                   ▲                                   │
                   └────────── RELEASED ◄──────────────┘  throttled, frozen, stopped: certainly not sent

* STARTED is committed before the call begins and only for commands that hold a permit; else a crash would put hundreds
  of never-called attempts in doubt.
* The record stays held until its result is committed, so that a crash reads it again and finds the journal's word.
* Checks at a provider go the same way. Look-ups, reports and cancels (*errands*) send nobody anything: held and called
  alike, they are repeated after a crash instead of being journalled.
* Memory (the :class:`Backlog`) is a hint; the journal decides. Whatever a lost transaction had in mind is undone by
  looking at the entry again.

``handle``, ``on_event``, ``fire`` and ``restored`` are pure but for this task's own memory and the permits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeline import topics
from pipeline.clock import Clock
from pipeline.errors import PipelineError, UnknownWriter
from pipeline.model.keys import KeyRing
from pipeline.model.messages import Catalogue
from pipeline.model.reasons import Reason
from pipeline.records.codec import Codec
from pipeline.records.internal import SendCommand
from pipeline.records.journal import JournalEntry, JournalState
from pipeline.records.types import CommandKind
from pipeline.runtime.api import Deadline, Effects, Input, Lane, Post, Queue, Record, StateView
from pipeline.senders.actions import Adopt, Attach, Begin, Tick
from pipeline.senders.answers import not_sent
from pipeline.senders.backlog import Backlog, Work
from pipeline.senders.calls import CallFinished, Calls
from pipeline.senders.deadlines import latest_call_at, least_left_s
from pipeline.senders.dispatch import Dispatch
from pipeline.senders.endings import Endings
from pipeline.senders.journal import Journal
from pipeline.senders.keys import JOURNALLED, send_key, work_key
from pipeline.senders.launching import Launcher
from pipeline.senders.opening import open_command
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Provider
from pipeline.senders.references import References
from pipeline.senders.results import CANCELED, uncalled

CARRIED_OUT: Final = frozenset(CommandKind) - {CommandKind.UNKNOWN, CommandKind.CANCEL}
MAX_HELD: Final = 500
"""Commands of one queue a task holds in memory."""

INPUTS: Final[Sequence[Input]] = (
    *(Input(topics.send(channel), Lane.INTERACTIVE) for channel in topics.CHANNELS),
    *(Input(topics.bulk(topics.send(channel)), Lane.BULK) for channel in topics.CHANNELS),
    Input(topics.PROVIDER_CHECKS, urgent=True),
)
"""The same for every sender whatever its provider can do: unequal subscriptions in a group break its assignment."""


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
        catalogue: Catalogue | None = None,
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
        self._min_time_left_s = min_time_left_s
        self._max_held = max_held
        self._backlog = Backlog()
        self._draining = False
        references = References(codec=codec, capabilities=provider.capabilities, webhooks=provider.webhooks_enabled)
        self._journal = Journal(codec=codec, references=references, instance=provider.instance, process=process)
        self._dispatch = Dispatch(
            provider=provider,
            journal=self._journal,
            backlog=self._backlog,
            permits=permits,
            catalogue=catalogue or Catalogue(),
            partition=partition,
            clock=clock,
        )
        self._endings = Endings(
            provider=provider,
            codec=codec,
            key_ring=key_ring,
            journal=self._journal,
            backlog=self._backlog,
            dispatch=self._dispatch,
            partition=partition,
        )
        self._launcher = Launcher(calls=calls, permits=permits, partition=partition, clock=clock)

    # What comes in -----------------------------------------------------------------------------------------------

    def handle(self, record: Record, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """Take one command in; those of other providers are skipped by their header, undecoded."""
        effects: Effects[JournalEntry] = Effects()
        if record.header("provider") not in (None, self._instance):
            return effects
        command = self._codec.decode(SendCommand, record.value, public=False)
        if command.provider != self._provider.instance:
            return effects
        if command.kind is CommandKind.CANCEL:
            self._cancel(effects, record, command, state, now_ms)
        elif command.kind in CARRIED_OUT:
            self._take(effects, record, command, state)
        else:
            raise UnknownWriter("command: a kind this release does not know; finish the upgrade")
        self._pump(effects, state, now_ms)
        source = (record.topic, record.offset)
        if source in effects.finished:
            # Taken in and ended in one go (too late, cannot be carried): it was never held.
            effects.finished.remove(source)
            effects.hold = False
        return effects

    def _take(
        self, effects: Effects[JournalEntry], record: Record, command: SendCommand, state: StateView[JournalEntry]
    ) -> None:
        key = work_key(command)
        entry = state.get(key.encode()) if command.kind in JOURNALLED else None
        if entry is not None and entry.state is JournalState.FINISHED:
            return  # read again after a crash, or written twice: its result is out
        started = entry is not None and entry.state is JournalState.STARTED
        if command.kind not in JOURNALLED and self._calls.knows(key):
            # An earlier task of this process began it.
            started = True
            effects.actions.append(Adopt(key))
        work = self._backlog.works.get(key)
        now_s = self._clock.monotonic_s()
        if work is None:
            work = self._work(command)
            work.throttled = entry is not None and entry.throttled
            work.repeated = entry is not None and entry.repeated
            self._backlog.add(work)
            if started:
                work.started = True  # its call runs in this process and was adopted
            else:
                self._backlog.enqueue(key, now_s=now_s)
        elif work.started and not started:
            # The transaction that started it was lost before the call began.
            self._permits.free(key)
            self._backlog.enqueue(key, now_s=now_s, first=True)
        self._backlog.hold(work, (record.topic, record.offset))
        effects.hold = True

    def _work(self, command: SendCommand) -> Work:
        # Only a message must leave time to be read and typed.
        least_s = (
            least_left_s(command, self._provider.capabilities, min_time_left_s=self._min_time_left_s)
            if command.kind is CommandKind.SEND
            else 0
        )
        return Work(
            command=command,
            opened=open_command(command, self._key_ring),
            # A person waits for a check, however the message was ordered.
            lane=Lane.BULK if command.bulk and command.kind is not CommandKind.CHECK else Lane.INTERACTIVE,
            latest_at=latest_call_at(command, min_left_s=least_s),
        )

    def _cancel(
        self,
        effects: Effects[JournalEntry],
        record: Record,
        command: SendCommand,
        state: StateView[JournalEntry],
        now_ms: int,
    ) -> None:
        """Drop the queued send of the same decision; one that was taken is withdrawn where the provider can do that."""
        work = self._backlog.works.get(send_key(command))
        if work is not None and not work.started:
            self._dispatch.finish(effects, work, uncalled(work.command, CANCELED, now_ms), now_ms)
        elif work is not None:
            work.canceled = True
        elif command.provider_message_id is not None:
            self._take(effects, record, command, state)

    def on_event(self, event: object, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """A call is over, or there may be something to start."""
        effects: Effects[JournalEntry] = Effects()
        if isinstance(event, CallFinished):
            self._endings.over(effects, event, state, now_ms)
        elif isinstance(event, Tick):
            self._dispatch.woken(event)
        self._pump(effects, state, now_ms)
        return effects

    def _pump(self, effects: Effects[JournalEntry], state: StateView[JournalEntry], now_ms: int) -> None:
        if not self._draining:
            self._dispatch.pump(effects, state, now_ms)

    # State and time ----------------------------------------------------------------------------------------------

    def restored(self, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """Settle every STARTED an earlier task left: adopted, released, or in doubt."""
        effects: Effects[JournalEntry] = Effects()
        effects.actions.append(Attach())
        self._journal.settle(effects, state, self._calls, now_ms)
        return effects

    def deadline(self, value: JournalEntry) -> Deadline | None:
        """Finished entries are forgotten in time; the others end with their command."""
        return self._journal.deadline(value)

    def fire(self, key: bytes, state: StateView[JournalEntry], now_ms: int) -> Effects[JournalEntry]:
        """Forget a finished entry, unless its record would be read again after a crash.

        The timer waits for the inputs, so every record up to now has been read and those not finished are held here.
        """
        effects: Effects[JournalEntry] = Effects()
        entry = state.get(key)
        if entry is None or entry.state is not JournalState.FINISHED:
            return effects
        read_again = self._backlog.holds_before(entry.topic, entry.offset)
        self._journal.forget(effects, key, entry, read_again=read_again, now_ms=now_ms)
        return effects

    def encode(self, value: JournalEntry) -> bytes:
        """The entry as written to the changelog."""
        return self._journal.encode(value)

    def decode(self, data: bytes) -> JournalEntry:
        """The inverse of :meth:`encode`; raises UnknownWriter for a schema not known yet."""
        return self._journal.decode(data)

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
        if command.provider != self._provider.instance:
            return effects
        sent = work_key(command)
        if command.kind not in JOURNALLED:
            self._backlog.remove(sent)
            return effects
        key = sent.encode()
        entry = state.get(key)
        if entry is not None and entry.state is JournalState.FINISHED:
            return effects
        self._backlog.remove(sent)
        if entry is not None and entry.state is JournalState.STARTED and entry.result is not None:
            self._journal.close_in_doubt(effects, key, entry, entry.result, now_ms)
        else:
            failed = not_sent(Reason.PROVIDER_ERROR, "the sender failed on it three times")
            self._journal.finish(
                effects,
                command,
                (work.topic, work.offset),
                uncalled(command, failed, now_ms),
                latest_at=latest_call_at(command, min_left_s=0),
                now_ms=now_ms,
            )
        return effects

    # The outside -------------------------------------------------------------------------------------------------

    def launch(self, action: Any, post: Post) -> None:
        """Begin committed work; nothing while the task is given up, nor a send whose cancel was read with it."""
        canceled = isinstance(action, Begin) and self._backlog.is_canceled(action.call.key)
        self._launcher.launch(action, post, unwanted=self._draining or canceled)

    def room(self, queue: Queue) -> int:
        """How many more commands of this queue fit into memory; none while the task is given up."""
        return 0 if self._draining else max(0, self._max_held - self._backlog.count(queue))

    async def drain(self) -> None:
        """Begin nothing new, and return when the running calls have posted their results."""
        self._draining = True
        self._permits.disown(self._partition)
        await self._calls.idle(self._partition)
