"""What the journal says of a command and how that changes: STARTED, RELEASED, FINISHED, forgotten.

Pure: every function reads entries and puts what follows into the effects of one transaction.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from pipeline import topics
from pipeline.records.codec import Codec
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.journal import JournalEntry, JournalState
from pipeline.records.types import AttemptResult, CommandKind
from pipeline.runtime.api import URGENT, Deadline, Effects, Emit, Lane, StateView
from pipeline.senders.actions import Adopt, Forget
from pipeline.senders.backlog import Source, Work
from pipeline.senders.calls import Calls
from pipeline.senders.keys import work_key
from pipeline.senders.references import References
from pipeline.senders.results import unanswered

KEEP_MS: Final = 3_600_000
"""A finished entry stays this long after its command's deadline."""
LOOK_AGAIN_MS: Final = 60_000
"""... and is looked at again after this while an earlier record still holds the committed position back."""


class Journal:
    """The journal of the sender of ``instance``, as written by one process (``process``: its random name)."""

    def __init__(self, *, codec: Codec, references: References, instance: str, process: str) -> None:
        self._codec = codec
        self._references = references
        self._instance = instance
        self._process = process

    def start(self, effects: Effects[JournalEntry], work: Work, before: JournalEntry | None, now_ms: int) -> None:
        """From the commit on, a command that is never heard of again counts as in doubt."""
        command = work.command
        topic, offset = max(work.sources)
        effects.state[work.key.encode()] = JournalEntry(
            state=JournalState.STARTED,
            topic=topic,
            offset=offset,
            bulk=command.bulk,
            process=self._process,
            started_at=now_ms,
            tries=1 if before is None else before.tries + 1,
            throttled=work.throttled,
            repeated=work.repeated,
            result=unanswered(command, now_ms),
            keep_until_at=work.latest_at + KEEP_MS,
        )
        effects.emits.extend(self._references.started(command, now_ms))

    def release(
        self,
        effects: Effects[JournalEntry],
        key: bytes,
        entry: JournalEntry,
        *,
        throttled: bool,
        repeated: bool | None = None,
    ) -> None:
        """Certainly not sent: the same attempt may be started again."""
        again = entry.repeated if repeated is None else repeated
        effects.state[key] = replace(
            entry, state=JournalState.RELEASED, process="", throttled=throttled, repeated=again
        )

    def finish(
        self,
        effects: Effects[JournalEntry],
        command: SendCommand,
        source: Source,
        result: SendResult,
        *,
        latest_at: int,
        now_ms: int,
    ) -> None:
        """End a command whose last record lies at ``source`` and emit its result."""
        entry = JournalEntry(topic=source[0], offset=source[1], bulk=command.bulk, keep_until_at=latest_at + KEEP_MS)
        self.close(effects, work_key(command).encode(), entry, result, now_ms)

    def close(
        self, effects: Effects[JournalEntry], key: bytes, entry: JournalEntry, result: SendResult, now_ms: int
    ) -> None:
        """End a command from its entry alone and emit its result."""
        # The result itself is not needed any more; what stays must only say that there was one.
        effects.state[key] = replace(
            entry,
            state=JournalState.FINISHED,
            result=None,
            process="",
            keep_until_at=max(entry.keep_until_at, now_ms + KEEP_MS),
        )
        if result.result is AttemptResult.IN_DOUBT:
            effects.count("in_doubt_total", provider=self._instance)
        self.emit(effects, result, bulk=entry.bulk)

    def close_in_doubt(
        self, effects: Effects[JournalEntry], key: bytes, entry: JournalEntry, result: SendResult, now_ms: int
    ) -> None:
        """End a started command whose answer nobody will learn; ``result`` is what its STARTED said of that case."""
        self.close(effects, key, entry, replace(result, finished_at=now_ms), now_ms)

    def emit(self, effects: Effects[JournalEntry], result: SendResult, *, bulk: bool) -> None:
        """Tell the tracker, and the correlator where it needs it."""
        headers = self._codec.headers(result)
        if result.kind is CommandKind.CHECK:
            headers += ((URGENT, b""),)  # a person has typed a code, and waits
        effects.emits.append(
            Emit(
                topics.lane(topics.RESULTS, bulk),
                result.verification_id.encode(),
                self._codec.encode(result),
                headers=headers,
            )
        )
        effects.emits.extend(self._references.accepted(result, bulk=bulk))

    def settle(self, effects: Effects[JournalEntry], state: StateView[JournalEntry], calls: Calls, now_ms: int) -> None:
        """End every STARTED that an earlier task left: adopted, released, or in doubt."""
        for key, entry in state.items():
            sent = key.decode()
            known = calls.knows(sent)
            if entry.state is not JournalState.STARTED or entry.result is None:
                if known:
                    effects.actions.append(Forget(sent))  # the commit was ours; only the word of it was lost
            elif known:
                effects.actions.append(Adopt(sent))
            elif entry.process == self._process:
                # This process wrote STARTED, and would know the call had it begun: the transaction was committed, but
                # the task was lost before it heard so. No other process can have begun it, as it had settled it.
                self.release(effects, key, entry, throttled=entry.throttled)
            else:
                self.close_in_doubt(effects, key, entry, entry.result, now_ms)

    def deadline(self, entry: JournalEntry) -> Deadline | None:
        """Finished entries are forgotten in time; the others end with their command."""
        if entry.state is not JournalState.FINISHED:
            return None
        return Deadline(entry.keep_until_at, Lane.BULK if entry.bulk else Lane.INTERACTIVE)

    def forget(
        self, effects: Effects[JournalEntry], key: bytes, entry: JournalEntry, *, read_again: bool, now_ms: int
    ) -> None:
        """Drop a finished entry, or keep it while its record would be read again after a crash."""
        effects.state[key] = replace(entry, keep_until_at=now_ms + LOOK_AGAIN_MS) if read_again else None

    def encode(self, entry: JournalEntry) -> bytes:
        """The entry as written to the changelog."""
        return self._codec.encode(entry)

    def decode(self, data: bytes) -> JournalEntry:
        """The inverse of :meth:`encode`; raises UnknownWriter for a schema not known yet."""
        return self._codec.decode(JournalEntry, data, public=False)
