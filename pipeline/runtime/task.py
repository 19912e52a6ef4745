"""One task: all input topics of a stage at one partition number, its state, its timers, its transactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar, cast

import structlog

from pipeline.errors import Infrastructure, TablesBehind
from pipeline.runtime.api import URGENT, AsyncStage, Deadline, Input, Queue, Record, Stage
from pipeline.runtime.committing import Committing
from pipeline.runtime.context import Batch, Context
from pipeline.runtime.failures import Failures
from pipeline.runtime.frontier import Frontier
from pipeline.runtime.handling import Handling
from pipeline.runtime.loading import load_state
from pipeline.runtime.log import TopicPartition, Writer
from pipeline.runtime.pace import Pace
from pipeline.runtime.positions import Marks
from pipeline.runtime.restore import find_positions, read_changelog
from pipeline.runtime.store import Store
from pipeline.runtime.timers import LANES, Timers

log = structlog.get_logger(__name__)
S = TypeVar("S")

SLICE = 64
"""Items handled before other coroutines get a turn."""
BLOCKED_S = 0.02
"""How often a due timer looks whether its inputs were read to their ends; markers at an end raise no event."""
QUIET_S = 0.2
"""How long a batch that only changed state may wait for others before it is committed."""
BACK_OFF_S = 0.5
"""Pause before work that waits for the outside is tried again."""


class Task(Generic[S]):
    """Owns one partition number of a stage from :meth:`start` to the end of :meth:`run`."""

    def __init__(
        self, *, stage: Stage[S], partition: int, partitions: int, context: Context, failures: Failures
    ) -> None:
        self.partition = partition
        self.wants_ends = False
        """Due timers wait to know where the inputs end."""
        self.moved = 0
        """Counts everything handled and committed, for the watchdog."""
        self.restored = 0
        """Counts changelog records read back and entries loaded, for the watchdog."""
        self.waiting_for: str | None = None
        """What the task waits for on purpose (an unknown schema, a key), for people."""
        self.idle = False
        """Nothing is in hand: it waits for work, or before it tries again. Whatever else takes long is a hang."""
        self._stage = stage
        self._worker = cast("AsyncStage[S]", stage) if hasattr(stage, "launch") else None
        self._partitions = partitions
        self._c = context
        self._failures = failures
        self._inputs: dict[str, Input] = {i.topic: i for i in stage.inputs}
        self._places: dict[Queue, list[TopicPartition]] = {
            queue: [TopicPartition(i.topic, partition) for i in stage.inputs if i.queue is queue] for queue in Queue
        }
        self._writer: Writer = context.log.writer(f"{stage.name}.{partition}")
        self._store: Store[S] = Store(stage.decode, keep=context.settings.decoded_entries)
        self._timers = Timers()
        self._frontier = Frontier(stage.inputs)
        self._marks = Marks()
        self._handling = Handling(
            stage=stage,
            partition=partition,
            context=context,
            failures=failures,
            store=self._store,
            timers=self._timers,
            marks=self._marks,
            frontier=self._frontier,
        )
        self._queues: dict[Queue, deque[Record]] = {queue: deque() for queue in Queue}
        self._queued = dict.fromkeys(self._inputs, 0)
        """How many records of each input are queued."""
        self._paused: set[Queue] = set()
        self._events: deque[object] = deque()
        self._ready: deque[tuple[bytes, Deadline]] = deque()
        self._wake = asyncio.Event()
        self._pace = Pace()
        self._closing = False
        self._blocked = False
        self._committing = Committing(
            stage=stage,
            partition=partition,
            partitions=partitions,
            context=context,
            writer=self._writer,
            failures=failures,
            handling=self._handling,
            store=self._store,
            timers=self._timers,
            marks=self._marks,
            pace=self._pace,
        )

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Become the owner. The order is everything: fence, changelog, positions, tables, state; then settle and read.

        It may be canceled, as all it changes is the fence.
        """
        begun_s = self._c.clock.monotonic_s()
        await self._writer.start()
        restored = await read_changelog(
            self._c.log, self._stage.changelog, self.partition, self._partitions, self._read_back
        )
        positions = await find_positions(
            self._c.log, self._c.reader, list(self._inputs), self.partition, restored, self._c.clock.now_ms()
        )
        # Before the state is decoded: what the former owner wrote may need a schema published a moment ago.
        await self._c.refresh()
        await load_state(
            self._stage,
            restored,
            self._store,
            self._timers,
            whole=self._worker is not None,
            read=self._read_back,
            held=lambda error, key: self._handling.held(error, self._stage.changelog, key),
        )
        self._marks.start(positions, restored.refused)
        for topic, offset in positions.items():
            self._c.reader.seek(TopicPartition(topic, self.partition), offset)
        took_s = self._c.clock.monotonic_s() - begun_s
        self._c.metrics.apply([("restore_seconds", took_s, {"stage": self._stage.name})])
        log.info(
            "task restored",
            action="task_restored",
            stage=self._stage.name,
            partition=self.partition,
            entries=len(self._store),
            took_ms=round(took_s * 1000),
        )

    async def settle(self) -> None:
        """Commit what becomes of the work that a crash left open; begins work on the outside."""
        if self._worker is not None:
            batch = Batch()
            self._handling.restored(batch, self._c.clock.now_ms())
            await self._commit(batch)

    def _read_back(self, records: int) -> None:
        self.restored += records

    async def run(self) -> None:
        """Handle work until :meth:`close`; any error but PoisonRun means that the task must be rebuilt."""
        while not self._closing:
            if not self._has_work():
                await self._wait()
            await self._let_join()
            self._wake.clear()
            await self._turn()
            # Only now, as what was committed beside the poison has to be launched.
            self._c.poison.check()
        await self.finish()

    async def finish(self) -> None:
        """After :meth:`close`, let running work end and commit its results; not after an error that needs a rebuild."""
        if self._worker is not None:
            await self._worker.drain()
            while self._events:
                moved = self.moved
                await self._turn()
                if self.moved == moved:
                    # The event waits for something that is not there yet, and nobody may wait for the loop.
                    await asyncio.sleep(BACK_OFF_S)
        await self._commit(Batch(), force=True)

    def close(self) -> None:
        """Finish what is begun, commit, and let :meth:`run` return."""
        self._closing = True
        self._wake.set()

    async def surrender(self) -> None:
        """Another owner has the task: begin nothing more on the outside, and let running work end."""
        if self._worker is not None:
            await self._worker.drain()

    async def release(self) -> None:
        """Let the producer go; an open transaction is the next owner's to abort."""
        await self._writer.stop()

    @property
    def waits(self) -> bool:
        """Records are held back on purpose: something is not there yet, or the stage has no room for any of them."""
        queued = [queue for queue in Queue if self._queues[queue]]
        full = self._worker is not None and bool(queued) and all(self._worker.room(queue) <= 0 for queue in queued)
        return full or self.waiting_for is not None

    @property
    def owned(self) -> list[TopicPartition]:
        """Every input partition of this task."""
        return [where for places in self._places.values() for where in places]

    @property
    def entries(self) -> int:
        """How many state entries it holds."""
        return len(self._store)

    def oldest_ms(self) -> dict[str, int]:
        """Per input with queued records the timestamp of the next one to handle."""
        return {record.topic: record.timestamp_ms for record in self._next_records()}

    def _next_records(self) -> Iterator[Record]:
        """Of each input with queued records the next one to handle."""
        left = {topic for topic, queued in self._queued.items() if queued}
        for queue in self._queues.values():
            for record in queue:
                if not left:
                    return
                if record.topic in left:
                    left.discard(record.topic)
                    yield record

    # --- what comes in -------------------------------------------------------------------------------------------

    def push(self, records: Sequence[Record]) -> None:
        """Queue fetched records of one input; pauses the inputs of its queue at the high mark."""
        topic = records[0].topic
        queue = self._inputs[topic].queue
        waiting = self._queues[queue]
        waiting.extend(records)
        self._queued[topic] += len(records)
        linger_ms = self._inputs[topic].linger_ms
        if linger_ms and any(record.header(URGENT) is not None for record in records):
            linger_ms = 0
        self._pace.came(linger_ms)
        if len(waiting) >= self._c.settings.queue_high and queue not in self._paused:
            self._paused.add(queue)
            self._c.reader.pause(self._places[queue])
        self._wake.set()

    def post(self, event: object) -> None:
        """Queue an event of launched work."""
        self._events.append(event)
        self._pace.came()
        self._wake.set()

    def ends(self, taken_ms: int, ends: Mapping[TopicPartition, int]) -> None:
        """The high watermarks of the inputs, asked for at ``taken_ms``."""
        self.wants_ends = False
        self._frontier.snapshot(taken_ms, {where.topic: end for where, end in ends.items()})
        self._wake.set()

    # --- the loop ------------------------------------------------------------------------------------------------

    def _has_work(self) -> bool:
        return bool(self._events or self._ready) or any(self._open(queue) for queue in Queue)

    def _open(self, queue: Queue) -> bool:
        if self._closing or not self._queues[queue]:
            return False
        return self._worker is None or self._worker.room(queue) > 0

    async def _wait(self) -> None:
        delay_s = self._c.settings.skipped_commit_s
        if self._blocked:
            delay_s = BLOCKED_S
        else:
            now_ms = self._c.clock.now_ms()
            for lane in LANES:
                due_ms = self._timers.next_ms(lane)
                if due_ms is not None:
                    delay_s = min(delay_s, (due_ms - now_ms) / 1000)
        self.idle = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(delay_s, 0.001)):
                await self._wake.wait()
        self.idle = False

    async def _let_join(self) -> None:
        """Wait for what may still share the next transaction, as long as nobody waits for anything in hand."""
        while not self._closing and self._has_work():
            left_s = self._pace.due_s - self._c.clock.monotonic_s()
            if left_s <= 0:
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(left_s, 0.001)):
                    await self._wake.wait()

    async def _turn(self) -> None:
        """Build one transaction from what is there, and commit it."""
        batch = Batch()
        settings = self._c.settings
        begun_s = self._c.clock.monotonic_s()
        limit = 1 if self._failures.careful else settings.max_batch_records
        await self._find_due_timers()
        waited: Infrastructure | None = None
        while batch.items < limit and not batch.closed:
            try:
                if not self._step(batch):
                    if await self._is_joined(batch, begun_s):
                        continue
                    break
            except Infrastructure as error:
                waited = error
                break
            if batch.items % SLICE == 0:
                await asyncio.sleep(0)
                if (self._c.clock.monotonic_s() - begun_s) * 1000 >= settings.commit_interval_ms:
                    break
        # Before the commit: what comes during it is not left over.
        self._pace.taken(all_of_it=not (self._events or self._ready or any(self._queues.values())))
        await self._commit(batch)
        self.moved += batch.items
        self._failures.careful = max(0, self._failures.careful - batch.items)
        for queue in tuple(self._paused):
            if len(self._queues[queue]) <= settings.queue_low:
                self._paused.discard(queue)
                self._c.reader.resume(self._places[queue])
        if waited is None:
            self.waiting_for = None
        elif isinstance(waited, TablesBehind):
            # One look serves all that is queued by now; a flood of unknown schemas must not buy a look each.
            covered = {record.topic: record.offset for queue in self._queues.values() for record in queue}
            await self._c.refresh()
            self._handling.covered = covered
        elif not self._closing:
            await self._back_off(waited)

    async def _is_joined(self, batch: Batch, begun_s: float) -> bool:
        """Whether more came to a batch that nobody waits for: it changes state, and neither writes nor calls anything.

        Its transaction would cost as much as one that answers a person, and take the time of those that do.
        """
        if batch.emits or batch.actions or not self._store.changed or self._closing or self._blocked:
            return False
        self._wake.clear()
        if self._has_work():
            return False  # it was left for another transaction
        now_ms = self._c.clock.now_ms()
        due = [at_ms for lane in LANES if (at_ms := self._timers.next_ms(lane)) is not None]
        left_s = begun_s + QUIET_S - self._c.clock.monotonic_s()
        left_s = min([left_s, *((at_ms - now_ms) / 1000 for at_ms in due)])
        if left_s <= 0:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._wake.wait()
        return self._has_work()

    def _step(self, batch: Batch) -> bool:
        """Handle the next item: events, then timers, then records: urgent, interactive, bulk."""
        now_ms = self._c.clock.now_ms()
        if self._events:
            self._handling.event(batch, self._events[0], now_ms)
            self._events.popleft()
            return True
        if self._ready:
            key, deadline = self._ready.popleft()
            self._handling.timer(batch, key, deadline, now_ms)
            return True
        for queue in Queue:
            if not self._open(queue):
                continue
            bulk = queue is Queue.BULK
            if bulk and batch.bulk >= self._c.settings.max_bulk_records and batch.items > batch.bulk:
                return False
            record = self._queues[queue][0]
            self._handling.record(batch, record, now_ms)
            self._queues[queue].popleft()
            self._queued[record.topic] -= 1
            batch.bulk += bulk
            return True
        return False

    async def _back_off(self, error: Infrastructure) -> None:
        if self.waiting_for is None:
            log.warning(
                "waiting", action="task_waits", stage=self._stage.name, partition=self.partition, cause=str(error)
            )
        self.waiting_for = str(error)
        self.idle = True
        await asyncio.sleep(BACK_OFF_S)
        self.idle = False

    # --- timers --------------------------------------------------------------------------------------------------

    async def _find_due_timers(self) -> None:
        """Move due timers whose inputs were read far enough to the ready ones."""
        self._blocked = False
        if self._ready or self._closing:
            return
        now_ms = self._c.clock.now_ms()
        limit = self._c.settings.max_batch_records
        earliest = {lane: self._timers.next_ms(lane) for lane in LANES}
        due = {lane: at_ms for lane, at_ms in earliest.items() if at_ms is not None and at_ms <= now_ms}
        if not due:
            return
        self._frontier.reached(await self.read_to())
        found = self._timers.forced(now_ms, limit)
        for lane, at_ms in due.items():
            complete_ms = min(self._frontier.complete_ms(lane), now_ms)
            if at_ms <= complete_ms:
                found |= self._timers.due(lane, complete_ms, limit)
                continue
            self._blocked = True
            # An end asked for after the deadline stays the goal until it is reached: a newer one each time
            # would run away under load.
            if not self._frontier.asked_since(at_ms):
                self.wants_ends = True
        self._ready.extend(sorted(found.items(), key=lambda item: item[1].at_ms))

    async def read_to(self) -> dict[str, int]:
        """Per input the offset before which everything was handled, markers and aborted records included."""
        positions = {record.topic: record.offset for record in self._next_records()}
        for topic in self._inputs:
            if topic not in positions:
                positions[topic] = await self._c.reader.position(TopicPartition(topic, self.partition))
        return positions

    async def _commit(self, batch: Batch, *, force: bool = False) -> None:
        await self._committing.commit(batch, force=force)
        if self._worker is not None:
            # Only now: what is begun on the outside must be in the journal, whatever becomes of this process.
            for action in batch.actions:
                self._worker.launch(action, self.post)
