"""What follows from a call that is over: its result, another try later, patience for everybody."""

from __future__ import annotations

from typing import Final

from pipeline import topics
from pipeline.model.keys import KeyRing
from pipeline.model.reasons import Reason
from pipeline.records.codec import Codec
from pipeline.records.internal import ProviderHealth
from pipeline.records.journal import JournalEntry, JournalState
from pipeline.runtime.api import Effects, Emit, StateView
from pipeline.senders.actions import Forget
from pipeline.senders.backlog import Backlog, Work
from pipeline.senders.calls import LATE, STALE, CallFinished, pause_s
from pipeline.senders.dispatch import Dispatch, overdue_answer
from pipeline.senders.errands import AGAIN_S, found, is_worth_another_try
from pipeline.senders.figures import count_call, count_time_to_send
from pipeline.senders.journal import Journal
from pipeline.senders.keys import JOURNALLED
from pipeline.senders.opening import seal_made
from pipeline.senders.provider import Answer, Provider
from pipeline.senders.results import CANCELED, answered, uncalled

TELL_MS: Final = 500
"""A pause is told to the other processes when it ends so much later than the one told last."""


class Endings:
    """Settles the calls of one task; pure but for the backlog."""

    def __init__(
        self,
        *,
        provider: Provider,
        codec: Codec,
        key_ring: KeyRing,
        journal: Journal,
        backlog: Backlog,
        dispatch: Dispatch,
        partition: int,
    ) -> None:
        self._provider = provider
        self._codec = codec
        self._key_ring = key_ring
        self._journal = journal
        self._backlog = backlog
        self._dispatch = dispatch
        self._partition = partition
        self._paused_until_at = 0

    def over(
        self, effects: Effects[JournalEntry], event: CallFinished, state: StateView[JournalEntry], now_ms: int
    ) -> None:
        """Settle the command of a call: its result, another try, or nothing more."""
        effects.actions.append(Forget(event.key))
        work = self._backlog.works.get(event.key)
        entry = state.get(event.key.encode())
        if event.kind in JOURNALLED:
            if entry is None or entry.state is not JournalState.STARTED or entry.result is None:
                return  # told twice (adopted just as it ended): settled already
            self._call_over(effects, event, entry, work, now_ms)
        elif work is not None:
            self._errand_over(effects, event, work, now_ms)
        count_call(effects, self._provider.instance, event)
        if (seconds := pause_s(event.answer)) is not None:
            self._pause(effects, seconds, now_ms)

    def _call_over(
        self,
        effects: Effects[JournalEntry],
        event: CallFinished,
        entry: JournalEntry,
        work: Work | None,
        now_ms: int,
    ) -> None:
        answer = event.answer
        if answer.throttled or event.failure == STALE or (answer.repeat and not entry.repeated):
            if work is None or not work.canceled:
                self._release(effects, event, entry, work)
                return
            answer = CANCELED
        elif event.failure == LATE:
            answer = overdue_answer(throttled=entry.throttled)
        assert entry.result is not None
        sealed = seal_made(entry.result.verification_id, answer.made_code, self._key_ring)
        result = answered(
            entry.result, answer, called_at=event.called_at, finished_at=event.finished_at, code_sealed=sealed
        )
        if work is not None:
            count_time_to_send(effects, work.command, event)
            self._dispatch.finish(effects, work, result, now_ms)
        else:
            # Adopted, and its record not read again yet: when it is, the journal says FINISHED.
            self._journal.close(effects, event.key.encode(), entry, result, now_ms)

    def _release(
        self, effects: Effects[JournalEntry], event: CallFinished, entry: JournalEntry, work: Work | None
    ) -> None:
        throttled, repeat = event.answer.throttled, event.answer.repeat
        repeated = entry.repeated or repeat
        self._journal.release(effects, event.key.encode(), entry, throttled=throttled, repeated=repeated)
        if work is not None:  # else its record will be read again
            work.repeated = repeated
            self._dispatch.wait_again(work, throttled=throttled, after_s=_patience_s(event.answer))

    def _errand_over(self, effects: Effects[JournalEntry], event: CallFinished, work: Work, now_ms: int) -> None:
        command, answer = work.command, event.answer
        if answer.throttled or event.failure == STALE or (answer.repeat and not work.repeated):
            work.repeated = work.repeated or answer.repeat
            self._dispatch.wait_again(work, throttled=answer.throttled, after_s=_patience_s(answer))
            return
        if is_worth_another_try(command, answer, work.tries):
            self._dispatch.wait_again(work, throttled=False, after_s=AGAIN_S)
            return
        result = found(command, event, self._provider.capabilities)
        if result is not None:
            self._journal.emit(effects, result, bulk=command.bulk)
        self._dispatch.finish(effects, work, uncalled(command, answer, now_ms), now_ms)

    def _pause(self, effects: Effects[JournalEntry], seconds: float, now_ms: int) -> None:
        """Tell everybody who uses the same credentials, by way of the log; this process holds back already."""
        until_at = now_ms + round(seconds * 1_000)
        if until_at < self._paused_until_at + TELL_MS:
            return  # the others know already
        self._paused_until_at = until_at
        health = ProviderHealth(
            provider=self._provider.instance,
            task=self._partition,
            reason=Reason.THROTTLED,
            paused_until_at=until_at,
            valid_until_at=until_at,
            updated_at=now_ms,
        )
        key = f"{self._provider.instance}:{self._partition}".encode()
        effects.emits.append(
            Emit(
                topics.PROVIDER_HEALTH,
                key,
                self._codec.encode(health),
                partition=self._partition,
                headers=self._codec.headers(health),
            )
        )


def _patience_s(answer: Answer) -> float:
    return (answer.retry_after_s or 0.0) if answer.throttled else 0.0
