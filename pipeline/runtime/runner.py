"""One stage in one process: its group membership, its tasks, their rebuilding, the watchdog."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import structlog

from pipeline.clock import Clock
from pipeline.errors import Fenced, Misconfigured, PipelineError, PoisonRun
from pipeline.runtime.api import Input, Stage
from pipeline.runtime.context import Context, DeadLetters, Sink
from pipeline.runtime.failures import Failures, PoisonLimit
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.log import Log, TopicPartition
from pipeline.runtime.task import Task
from pipeline.settings import RuntimeSettings

log = structlog.get_logger(__name__)
S = TypeVar("S")

FETCH_MS = 200
"""How long one fetch waits when nothing comes."""
ENDS_EVERY_S = 0.02
"""Shortest pause between two questions for the inputs' ends."""
LOOK_EVERY_S = 2.0
"""How often lag is measured and the watchdog looks."""
FENCED_LIMIT, FENCED_WINDOW_S = 5, 60.0
"""So many takeovers in so short a time mean two processes with one ordinal."""


class StageRunner(Generic[S]):
    """Runs a stage until :meth:`stop`; :meth:`run` raises what only a restart or a person can mend.

    ``make_stage(partition, partitions)`` builds the stage of one task. ``instance`` is the ordinal of this process
    within the stage. ``tables`` are read to their ends before any task runs.
    """

    def __init__(
        self,
        *,
        name: str,
        inputs: Sequence[Input],
        changelog: str,
        make_stage: Callable[[int, int], Stage[S]],
        log: Log,
        clock: Clock,
        settings: RuntimeSettings,
        metrics: Sink,
        dead_letters: DeadLetters,
        instance: int = 0,
        tables: Sequence[GlobalTable] = (),
    ) -> None:
        self.name = name
        self._inputs = list(inputs)
        self._changelog = changelog
        self._make_stage = make_stage
        self._log = log
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._tables = tables
        self._partitions = 0
        self._reader = log.group_reader(name, [i.topic for i in inputs], f"{name}-{instance}")
        self._context = Context(
            log=log,
            reader=self._reader,
            clock=clock,
            settings=settings,
            metrics=metrics,
            dead_letters=dead_letters,
            group=name,
            refresh=self._refresh,
            poison=PoisonLimit(max_run=settings.max_poison_run, max_share=settings.max_poison_share),
        )
        self._failures: dict[int, Failures] = {}
        self._owners: dict[int, _Owner[S]] = {}
        self._odd: set[int] = set()
        self._joined = False
        self._rejoining = False
        self._stopping = False
        self._fatal: BaseException | None = None
        self._fenced_s: deque[float] = deque(maxlen=FENCED_LIMIT)

    # --- for the process -----------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        """What is still needed before this stage is ready; empty when it is."""
        if self._fatal is not None:
            return [f"{self.name}: {self._fatal}"]
        if not self._joined:
            return [f"{self.name}: not assigned yet"]
        waits = [f"{self.name}/{p}: restoring" for p, owner in self._owners.items() if owner.running is None]
        return waits + [f"{self.name}/{p}: unequal inputs assigned" for p in sorted(self._odd)]

    async def run(self) -> None:
        """Join the group and work until :meth:`stop`."""
        await self._check_partitions()
        await self._refresh()
        await self._reader.start(self._assigned, self._revoked)
        helpers = [asyncio.create_task(self._answer_ends()), asyncio.create_task(self._watch())]
        try:
            while not self._stopping:
                self._raise_fatal(helpers)
                fetched = await self._reader.fetch(timeout_ms=FETCH_MS, max_records=self._settings.queue_high)
                for where, records in fetched.items():
                    owner = self._owners.get(where.partition)
                    if owner is not None and owner.running is not None:
                        owner.running.push(records)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._let_go()
            await self._reader.stop()

    def stop(self) -> None:
        """Begin a clean end; :meth:`run` returns when it is done."""
        self._stopping = True

    async def _refresh(self) -> None:
        for table in self._tables:
            await table.caught_up()

    # --- ownership -----------------------------------------------------------------------------------------------

    async def _check_partitions(self) -> None:
        counts = {topic: await self._log.partitions(topic) for topic in [i.topic for i in self._inputs]}
        counts[self._changelog] = await self._log.partitions(self._changelog)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{topic}: {count}" for topic, count in sorted(counts.items()))
            raise Misconfigured(f"the topics of {self.name} must have equal partition counts, but: {listed}")
        self._partitions = counts[self._changelog]

    async def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        # Heartbeats stop while this runs (hazard 9): bookkeeping only; the reader has paused everything.
        self._joined = True
        self._rejoining = False
        self._odd.clear()
        for number in sorted({where.partition for where in partitions}):
            wanted = {TopicPartition(i.topic, number) for i in self._inputs}
            if not wanted <= partitions:
                # During a rolling change of the inputs two members may each hold a part; neither may own it.
                self._odd.add(number)
                continue
            failures = self._failures.setdefault(number, Failures())
            self._owners[number] = _Owner(self, number, failures)

    async def _revoked(self, _: frozenset[TopicPartition]) -> None:
        self._metrics.apply([("rebalances_total", 1.0, {"stage": self.name})])
        self._joined = False
        await self._let_go()

    async def _let_go(self) -> None:
        """The one path for revoke and shutdown: commit or abandon everything within one deadline."""
        owners, self._owners = list(self._owners.values()), {}
        if owners:
            await asyncio.gather(*(owner.close(self._settings.shutdown_s) for owner in owners))

    def make_task(self, partition: int, failures: Failures) -> Task[S]:
        """A fresh task for a partition number."""
        return Task(
            stage=self._make_stage(partition, self._partitions),
            partition=partition,
            partitions=self._partitions,
            context=self._context,
            failures=failures,
        )

    def fenced(self) -> None:
        """Another owner took a task over: ask who owns what, and notice when it never ends."""
        if self._rejoining:
            # One freeze of this process past the transaction timeout fences all its tasks at once.
            return
        self._rejoining = True
        now_s = self._clock.monotonic_s()
        self._fenced_s.append(now_s)
        if len(self._fenced_s) == FENCED_LIMIT and now_s - self._fenced_s[0] < FENCED_WINDOW_S:
            self.fatal(
                Misconfigured(
                    f"the tasks of {self.name} were taken over {FENCED_LIMIT} times within {FENCED_WINDOW_S:g} s; "
                    "another process runs with the same instance ordinal (--instance)"
                )
            )
        self._reader.rejoin()

    def fatal(self, error: BaseException) -> None:
        """End :meth:`run` with this error."""
        self._fatal = self._fatal or error

    def rebuilt(self, cause: str) -> None:
        """Count a rebuild."""
        self._metrics.apply([("task_rebuilds_total", 1.0, {"stage": self.name, "cause": cause})])

    def _raise_fatal(self, helpers: Sequence[asyncio.Task[None]]) -> None:
        for helper in helpers:
            if helper.done():
                helper.result()
        if self._fatal is not None:
            raise self._fatal

    # --- helpers -------------------------------------------------------------------------------------------------

    def _running(self) -> list[Task[S]]:
        return [owner.running for owner in self._owners.values() if owner.running is not None]

    async def _answer_ends(self) -> None:
        """Ask for the ends of the inputs, once for all tasks whose due timers wait for them."""
        while True:
            await asyncio.sleep(ENDS_EVERY_S)
            asking = [task for task in self._running() if task.wants_ends]
            if not asking:
                continue
            taken_ms = self._clock.now_ms()
            try:
                ends = await self._log.end_offsets([where for task in asking for where in task.owned])
            except Exception as error:
                log.warning("no ends", action="ends_unknown", stage=self.name, cause=repr(error))
                await asyncio.sleep(1.0)
                continue
            for task in asking:
                task.ends(taken_ms, {where: ends[where] for where in task.owned})

    async def _watch(self) -> None:
        """Measure lag; end the process when nothing moves although there is some."""
        still_since_s: float | None = None
        moved = -1
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            tasks = self._running()
            try:
                ends = await self._log.end_offsets([where for task in tasks for where in task.owned])
            except Exception as error:
                log.warning("no ends", action="ends_unknown", stage=self.name, cause=repr(error))
                continue
            lag: dict[TopicPartition, int] = {}
            for task in tasks:
                # Where it was read to, not where the reader is: what is queued is not handled yet.
                read_to = await task.read_to()
                for where in task.owned:
                    lag[where] = ends[where] - read_to[where.topic]
            self._measure(tasks, lag, ends)
            now_s = self._clock.monotonic_s()
            total = sum(task.moved for task in tasks)
            waits = any(task.waits for task in tasks)
            if total != moved or waits or not any(behind > 0 for behind in lag.values()):
                moved, still_since_s = total, None
            elif still_since_s is None:
                still_since_s = now_s
            elif now_s - still_since_s > self._settings.stuck_after_s:
                raise PipelineError(
                    f"{self.name} has not moved for {self._settings.stuck_after_s:g} s although records wait; "
                    "the process ends so that its tasks are built anew"
                )

    def _measure(
        self, tasks: Sequence[Task[S]], lag: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> None:
        measures: list[tuple[str, float, dict[str, str]]] = [
            ("lag_records", float(max(0, n)), {"stage": self.name, "topic": w.topic, "partition": str(w.partition)})
            for w, n in lag.items()
        ]
        for where, end in ends.items():
            stable = self._reader.stable_end(where)
            if stable is not None:
                labels = {"topic": where.topic, "partition": str(where.partition)}
                measures.append(("stable_offset_lag_records", float(max(0, end - stable)), labels))
        ages = dict.fromkeys((i.topic for i in self._inputs), 0.0)
        for task in tasks:
            for topic, oldest_ms in task.oldest_ms().items():
                ages[topic] = max(ages[topic], (self._clock.now_ms() - oldest_ms) / 1000)
        measures += [("oldest_unprocessed_seconds", age, {"stage": self.name, "topic": t}) for t, age in ages.items()]
        measures.append(("state_entries", float(sum(task.entries for task in tasks)), {"stage": self.name}))
        self._metrics.apply(measures)


class _Owner(Generic[S]):
    """Keeps one partition number's task alive: builds it, runs it, builds it anew."""

    def __init__(self, runner: StageRunner[S], partition: int, failures: Failures) -> None:
        self._runner = runner
        self._partition = partition
        self._failures = failures
        self._closing = False
        self._task: Task[S] | None = None
        self.running: Task[S] | None = None
        self._loop = asyncio.create_task(self._own(), name=f"{runner.name}.{partition}")

    async def close(self, deadline_s: float) -> None:
        """Let the task commit and end; after the deadline it is abandoned, its work redone by the next owner."""
        self._closing = True
        if self._task is not None:
            self._task.close()
        done, _ = await asyncio.wait({self._loop}, timeout=deadline_s)
        if not done:
            log.warning("abandoned", action="task_abandoned", stage=self._runner.name, partition=self._partition)
            self._loop.cancel()
            await asyncio.wait({self._loop}, timeout=1.0)
        self.running = None
        if self._task is not None:
            await self._task.release()

    async def _own(self) -> None:
        backoff_s = 0.05
        reader = self._runner._reader
        while not self._closing:
            task = self._task = self._runner.make_task(self._partition, self._failures)
            began_s = asyncio.get_running_loop().time()
            try:
                await task.start()
                self.running = task
                reader.resume(task.owned)
                await task.run()
                return
            except Fenced as error:
                self._lost(task, "fenced", error)
                self._runner.fenced()
                await task.surrender()
                return
            except (PoisonRun, Misconfigured) as error:
                self._lost(task, "fatal", error)
                self._runner.fatal(error)
                return
            except Exception as error:
                self._lost(task, type(error).__name__.lower(), error)
            # Not under the exception handler, so that the next attempt's errors have no false context.
            reader.pause(task.owned)
            with contextlib.suppress(Exception):
                await task.release()
            if asyncio.get_running_loop().time() - began_s > 30:
                backoff_s = 0.05
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, 5.0)

    def _lost(self, task: Task[Any], cause: str, error: Exception) -> None:
        self.running = None
        self._runner.rebuilt(cause)
        known = isinstance(error, PipelineError)
        log.warning(
            "task lost",
            action="task_lost",
            stage=self._runner.name,
            partition=task.partition,
            cause=cause,
            error=str(error) if known else repr(error),
            exc_info=error if not known or error.__cause__ is not None else None,
        )
