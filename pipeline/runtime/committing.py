"""One batch becomes one transaction: its outputs, the changed state, and how far the inputs were handled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import structlog

from pipeline.errors import DeadLetterReason, RecordTooLarge
from pipeline.runtime.api import Deadline, Emit, Measure, Stage
from pipeline.runtime.context import Batch, Context
from pipeline.runtime.deadline_header import deadline_header
from pipeline.runtime.failures import Failures
from pipeline.runtime.handling import Handling
from pipeline.runtime.log import TopicPartition, Writer
from pipeline.runtime.pace import Pace
from pipeline.runtime.partition import partition_for
from pipeline.runtime.positions import Marks
from pipeline.runtime.restore import POSITION_KEY, encode_position
from pipeline.runtime.store import Store
from pipeline.runtime.timers import Timers

log = structlog.get_logger(__name__)
S = TypeVar("S")


class Committing(Generic[S]):
    """The transactions of one task."""

    def __init__(
        self,
        *,
        stage: Stage[S],
        partition: int,
        partitions: int,
        context: Context,
        writer: Writer,
        failures: Failures,
        handling: Handling[S],
        store: Store[S],
        timers: Timers,
        marks: Marks,
        pace: Pace,
    ) -> None:
        self._stage = stage
        self._partition = partition
        self._partitions = partitions
        self._c = context
        self._writer = writer
        self._failures = failures
        self._handling = handling
        self._store = store
        self._timers = timers
        self._marks = marks
        self._pace = pace
        self._counts: dict[str, int] = {}
        self._uncommitted_since_s: float | None = None
        self._riding: list[Measure] = []
        """What was counted of records whose offsets ride: read again after a crash, they are counted again."""

    async def commit(self, batch: Batch, *, force: bool = False) -> None:
        """Commit the batch and what was changed with it; ``force`` also the offsets that ride.

        Raises the writer's errors, after which the task must be rebuilt.
        """
        outputs = [await self._placed(emit) for emit in batch.emits]
        entries, deadlines = self._changed(batch)
        outputs += entries
        marks = self._marks.pending()
        committed = bool(outputs or (marks and (force or self._ridden_enough())))
        if committed:
            await self._transact(batch, outputs, marks)
            self._store.commit({emit.key: emit.value for emit in entries if emit.key is not None})
            for key, deadline in deadlines:
                self._timers.set(key, deadline)
        name = self._stage.name
        decodes, self._store.decodes = self._store.decodes, 0
        if decodes:
            batch.counts.append(("state_decodes_total", float(decodes), {"stage": name}))
        batch.counts += [("records_total", float(n), {"stage": name, "topic": t}) for t, n in batch.topics.items()]
        if committed or not marks:
            self._measure(self._riding + batch.counts)
            self._riding = []
        else:
            # Records that changed nothing open no transaction; their offsets ride with the next one.
            self._riding += batch.counts
            if self._uncommitted_since_s is None:
                self._uncommitted_since_s = self._c.clock.monotonic_s()
        for work in batch.done:
            self._failures.forget(work)
        for poison in batch.poison:
            self._c.poison.note(poison)

    def _measure(self, counts: Sequence[Measure]) -> None:
        try:
            self._c.metrics.apply(counts)
        except Exception:
            # A label that the catalogue refuses is a bug of ours, but no verification may wait for it to be mended.
            log.exception("measure refused", action="measure_refused", stage=self._stage.name)

    def _changed(self, batch: Batch) -> tuple[list[Emit], list[tuple[bytes, Deadline | None]]]:
        """The changelog's part of the transaction, and the deadlines from its commit on."""
        entries: list[Emit] = []
        deadlines: list[tuple[bytes, Deadline | None]] = []
        for key, value in self._store.changed.items():
            # Both before anything is written: of an entry that the stage cannot read a deadline from, it cannot
            # restore.
            encoded, deadline = (None, None) if value is None else self._handling.entry(batch, key, value)
            headers = () if encoded is None else deadline_header(deadline)
            entries.append(Emit(self._stage.changelog, key, encoded, self._partition, headers))
            deadlines.append((key, deadline))
        if entries or self._marks.refused_anew:
            position = encode_position(self._marks.all(), self._partitions, self._marks.beyond())
            entries.append(Emit(self._stage.changelog, POSITION_KEY, position, self._partition))
        return entries, deadlines

    async def _transact(self, batch: Batch, outputs: Sequence[Emit], marks: Mapping[str, int]) -> None:
        offsets = {TopicPartition(topic, self._partition): mark for topic, mark in marks.items()}
        begun_s = self._c.clock.monotonic_s()
        self._pace.begins(begun_s)
        committed = False
        try:
            await self._writer.commit(outputs, offsets, self._c.group)
            committed = True
        except RecordTooLarge:
            # The broker does not say which record it was: repeat one by one, then take that one out.
            if batch.items <= 1 and batch.last is not None:
                self._failures.condemn(batch.last, DeadLetterReason.TOO_LARGE)
            else:
                self._failures.careful = batch.items + 1
            raise
        finally:
            # What became of a lost one is decided by the rebuilt task's InitProducerId.
            result = "committed" if committed else "lost"
            self._c.metrics.apply([("transactions_total", 1.0, {"stage": self._stage.name, "result": result})])
        took_s = self._c.clock.monotonic_s() - begun_s
        self._marks.committed(marks)
        self._uncommitted_since_s = None
        batch.counts.append(("transaction_seconds", took_s, {"stage": self._stage.name}))
        if batch.first_ms is not None:
            hop_s = max(0.0, (self._c.clock.now_ms() - batch.first_ms) / 1000)
            batch.counts.append(("hop_seconds", hop_s, {"stage": self._stage.name}))

    async def _placed(self, emit: Emit) -> Emit:
        """The output with an explicit partition."""
        if emit.partition is not None:
            return emit
        count = self._counts.get(emit.topic)
        if count is None:
            count = self._counts[emit.topic] = await self._c.log.partitions(emit.topic)
        partition = partition_for(emit.key, count) if emit.key is not None else self._partition % count
        return Emit(emit.topic, emit.key, emit.value, partition, emit.headers)

    def _ridden_enough(self) -> bool:
        since_s = self._uncommitted_since_s
        return since_s is not None and self._c.clock.monotonic_s() - since_s >= self._c.settings.skipped_commit_s
