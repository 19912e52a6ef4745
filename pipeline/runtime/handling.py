"""Calls of the stage, and what becomes of their effects and failures; no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar, cast

import structlog
from msgspec.structs import replace

from pipeline.errors import (
    DeadLetterReason,
    Infrastructure,
    Poison,
    RecordTooLarge,
    TablesBehind,
    TaskLost,
    UnknownSchema,
    UnpublishedSchema,
    UnreadableState,
)
from pipeline.runtime.api import AsyncStage, Deadline, Effects, Record, Refusal, Stage
from pipeline.runtime.context import Batch, Context, FailedTimer
from pipeline.runtime.failures import Failures
from pipeline.runtime.frontier import Frontier
from pipeline.runtime.positions import Marks
from pipeline.runtime.store import Store
from pipeline.runtime.timers import Timers

log = structlog.get_logger(__name__)
S = TypeVar("S")

MAX_RECORD_BYTES = 900_000
"""Largest output, with key and headers; leaves room for framing under the brokers' 1 MiB."""


class Handling(Generic[S]):
    """Applies a task's stage to work; every method adds to the batch or raises.

    Raised: Infrastructure (try this work again later), TaskLost (rebuild). On either nothing of this work was added.
    """

    def __init__(
        self,
        *,
        stage: Stage[S],
        partition: int,
        context: Context,
        failures: Failures,
        store: Store[S],
        timers: Timers,
        marks: Marks,
        frontier: Frontier,
    ) -> None:
        self._stage = stage
        self._partition = partition
        self._c = context
        self._failures = failures
        self._store = store
        self._timers = timers
        self._marks = marks
        self._frontier = frontier
        self.covered: Mapping[str, int] = {}
        """Per input the last record that was fetched before the tables were last read to their ends."""

    def record(self, batch: Batch, record: Record, now_ms: int) -> None:
        """Handle one input record."""
        if self._marks.was_refused(record.topic, record.offset):
            # Its dead letter was committed while an earlier record still held the position back.
            self._counted(batch, record)
            return
        condemned = self._failures.condemned(record)
        hold, refused = False, True
        if condemned is not None:
            self._quarantine(batch, record, condemned, now_ms)
        else:
            poison: DeadLetterReason | None = None
            try:
                try:
                    effects = self._stage.handle(record, self._store, now_ms)
                    _check_sizes(effects)
                except Poison as error:
                    poison = error.reason
                    effects = self._poisoned(record, error)
                for refusal in effects.refusals:
                    self._dead_letter(effects, record, refusal, now_ms)
            except RecordTooLarge:
                self._quarantine(batch, record, DeadLetterReason.TOO_LARGE, now_ms)
            except UnreadableState as error:
                # Many of them are no fault of the entries, so they count like poison.
                batch.poison.append(DeadLetterReason.HANDLER_REFUSED)
                self._quarantine(batch, record, DeadLetterReason.HANDLER_REFUSED, now_ms, unreadable=error)
            except (Infrastructure, TaskLost) as error:
                self.held(error, record.topic, record.offset)
                raise
            except Exception as error:
                where = f"{record.topic}/{record.partition} offset {record.offset}"
                raise self._crashed(record, where, error) from error
            else:
                batch.poison.append(poison)
                if self._failures:
                    batch.done.append(record)
                hold, refused = effects.hold, poison is not None
                self._absorb(batch, effects, record)
        self._counted(batch, record, hold=hold, refused=refused)

    def _counted(self, batch: Batch, record: Record, *, hold: bool = False, refused: bool = False) -> None:
        self._marks.handled(record.topic, record.offset, hold=hold, refused=refused)
        self._frontier.handled(record.topic, record.timestamp_ms)
        batch.topics[record.topic] = batch.topics.get(record.topic, 0) + 1
        if batch.first_ms is None:
            batch.first_ms = record.timestamp_ms

    def _poisoned(self, record: Record, poison: Poison) -> Effects[S]:
        effects: Effects[S] = Effects(refusals=[Refusal(poison.reason, poison.detail, poison.verification_id)])
        if isinstance(poison, UnknownSchema):
            if record.offset > self.covered.get(record.topic, -1):
                # Its writer may have published the schema just before; reading the table to its end decides.
                raise TablesBehind(poison.detail) from None
            effects.count("schema_unknown_total", topic=record.topic)
        return effects

    def _crashed(self, work: Record | bytes | None, where: str, error: Exception) -> TaskLost:
        """What to raise for a bug of the stage, which counts against the work it was met at."""
        if work is not None:
            self._failures.crashed(work)
        return TaskLost(f"{self._stage.name} failed at {where}: {type(error).__name__}")

    def held(self, error: Exception, topic: str, item: int | bytes) -> None:
        """Count a record that waits because nobody published its schema; at once, as nothing of it is committed."""
        if isinstance(error, UnpublishedSchema) and self._failures.first_hold(topic, item):
            self._c.metrics.apply([("schema_unknown_total", 1.0, {"topic": topic})])

    def timer(self, batch: Batch, key: bytes, deadline: Deadline, now_ms: int) -> None:
        """Fire one deadline, unless the entry has changed it meanwhile."""
        try:
            present = self._present(batch, key)
        except UnreadableState as error:
            self._quarantine(batch, key, DeadLetterReason.HANDLER_REFUSED, now_ms, unreadable=error)
            return
        if present != deadline:
            if key not in self._store.changed:
                # What was told beside the entry when it was written is not what it has under these settings.
                self._timers.set(key, present)
            return
        condemned = self._failures.condemned(key)
        if condemned is not None:
            self._quarantine(batch, key, condemned, now_ms)
            return
        try:
            effects = self._stage.fire(key, self._store, now_ms)
            _check_sizes(effects)
            if self._unmoved(key, deadline, effects):
                raise AssertionError("the deadline stayed as it was, so the timer would fire for ever")
        except (Infrastructure, TaskLost) as error:
            if isinstance(error, RecordTooLarge):
                self._quarantine(batch, key, DeadLetterReason.TOO_LARGE, now_ms)
                return
            raise
        except Exception as error:
            raise self._crashed(key, "a timer", error) from error
        lateness_s = max(0.0, (now_ms - deadline.at_ms) / 1000)
        batch.counts.append(("timer_lateness_seconds", lateness_s, {"stage": self._stage.name}))
        self._absorb(batch, effects, key)
        if self._failures:
            batch.done.append(key)

    def _present(self, batch: Batch, key: bytes) -> Deadline | None:
        value = self._store.get(key)
        if value is None:
            return None
        if key in self._store.changed:
            # Of what this transaction has changed it is not known yet whether a deadline can be read from it.
            return self.entry(batch, key, value)[1]
        try:
            return self._stage.deadline(value)
        except Exception as error:
            raise self._crashed(key, "the deadline of a state entry", error) from error

    def event(self, batch: Batch, event: object, now_ms: int) -> None:
        """Handle what launched work has posted."""
        worker = cast("AsyncStage[S]", self._stage)
        self._absorb(batch, worker.on_event(event, self._store, now_ms), None)

    def entry(self, batch: Batch, key: bytes, value: S) -> tuple[bytes, Deadline | None]:
        """A changed entry as the changelog is to have it, and its deadline; failing counts against what changed it."""
        try:
            encoded, deadline = self._stage.encode(value), self._stage.deadline(value)
        except (Infrastructure, TaskLost):
            raise
        except Exception as error:
            # Of several that changed it in one transaction the last may be innocent: one by one, that shows.
            self._failures.careful = batch.items + 1
            raise self._crashed(batch.touched.get(key), "a state entry", error) from error
        if len(encoded) > MAX_RECORD_BYTES:
            work = batch.touched.get(key)
            if work is not None:
                self._failures.condemn(work, DeadLetterReason.TOO_LARGE)
            raise TaskLost(f"a state entry of {self._stage.name} has {len(encoded)} bytes")
        return encoded, deadline

    def restored(self, batch: Batch, now_ms: int) -> None:
        """Settle what a crash left open."""
        worker = cast("AsyncStage[S]", self._stage)
        self._absorb(batch, worker.restored(self._store, now_ms), None)

    def _unmoved(self, key: bytes, deadline: Deadline, effects: Effects[S]) -> bool:
        value = effects.state[key] if key in effects.state else self._store.get(key)
        return value is not None and self._stage.deadline(value) == deadline

    def _quarantine(
        self,
        batch: Batch,
        work: Record | bytes,
        reason: DeadLetterReason,
        now_ms: int,
        *,
        unreadable: UnreadableState | None = None,
    ) -> None:
        """Take work that can never succeed out of the way; what belongs to it ends in the same transaction.

        When that failed as well, less is tried each time: first without the stage's outputs, then without the record
        in its dead letter. Some answer has to get through, or the partition would stand still for ever.
        """
        failed = self._failures.quarantines(work)
        what = "record" if isinstance(work, Record) else "timer"
        detail = (
            f"the {what} failed three times over"
            if reason == DeadLetterReason.HANDLER_REFUSED
            else "its output is too large"
        )
        if unreadable is not None:
            detail = str(unreadable)
        log.error(
            "quarantined",
            action="quarantined",
            stage=self._stage.name,
            partition=self._partition,
            reason=reason,
            detail=detail,
        )
        try:
            effects = self._stage.quarantine(work, self._store, now_ms) if failed < 1 else Effects()
            _check_sizes(effects)
        except Exception:
            log.exception("quarantine failed", action="quarantine_failed", stage=self._stage.name)
            effects = Effects()
        try:
            if isinstance(work, Record):
                told = work if failed < 2 else replace(work, key=None, value=None, headers=())
                self._dead_letter(effects, told, Refusal(reason, detail), now_ms)
            else:
                encoded = self._as_written(work) if failed < 2 else None
                timer = FailedTimer(changelog=self._stage.changelog, partition=self._partition, key=work, entry=encoded)
                effects.emits.append(
                    self._c.dead_letters.for_timer(self._stage.name, timer, Refusal(reason, detail), now_ms)
                )
                effects.count("dead_letters_total", stage=self._stage.name, reason=reason)
                # Otherwise the entry's deadline stays due for ever; the stage may keep the entry with another one.
                effects.state.setdefault(work, None)
        except (Infrastructure, TaskLost):
            raise
        except Exception as error:
            raise self._crashed(work, f"the dead letter of a {what}", error) from error
        self._absorb(batch, effects, work)
        batch.done.append(work)
        # What comes next may break the task, and would take this with it each time.
        batch.closed = True

    def _as_written(self, key: bytes) -> bytes | None:
        if key not in self._store.changed:
            return self._store.written(key)
        value = self._store.changed[key]
        return None if value is None else self._stage.encode(value)

    def _dead_letter(self, effects: Effects[S], record: Record, refusal: Refusal, now_ms: int) -> None:
        told = record if refusal.source is None else refusal.source
        effects.emits.append(self._c.dead_letters.for_record(self._stage.name, told, refusal, now_ms))
        effects.count("dead_letters_total", stage=self._stage.name, reason=refusal.reason)

    def _absorb(self, batch: Batch, effects: Effects[S], work: Record | bytes | None) -> None:
        batch.items += 1
        batch.last = work
        if effects.state:
            self._store.change(effects.state)
            batch.touched.update(dict.fromkeys(effects.state, work))
        batch.emits += effects.emits
        batch.counts += effects.counts
        batch.actions += effects.actions
        for topic, offset in effects.finished:
            self._marks.release(topic, offset)


def _check_sizes(effects: Effects[S]) -> None:
    for emit in effects.emits:
        if emit.size_bytes > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"an output for {emit.topic} has {emit.size_bytes} bytes")
