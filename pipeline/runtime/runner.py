"""One stage in one process: its group membership, and who owns which of its tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pipeline.clock import Clock
from pipeline.errors import Misconfigured
from pipeline.runtime.api import Input, Stage
from pipeline.runtime.context import Context, DeadLetters, Sink
from pipeline.runtime.ends import ends_within
from pipeline.runtime.failures import Failures, PoisonLimit
from pipeline.runtime.global_table import GlobalTable
from pipeline.runtime.log import Log, TopicPartition
from pipeline.runtime.owner import Owner
from pipeline.runtime.task import Task
from pipeline.runtime.watchdog import ASK_WITHIN_S, Watchdog
from pipeline.settings import RuntimeSettings

S = TypeVar("S")

FETCH_MS = 200
"""How long one fetch waits when nothing comes."""
ENDS_EVERY_S = 0.02
"""Shortest pause between two questions for the inputs' ends."""
LOOK_EVERY_S = 2.0
"""How often lag is measured and the watchdog looks."""
CLOSING_S, CLOSING_SHARE = 4.0, 0.2
"""So much of the one deadline of revoke and shutdown, but no larger share of it, is kept for closing connections: half
for those of the tasks, half for leaving the group. It is less than settings demand between a call and the deadline."""
FENCED_LIMIT, FENCED_WINDOW_S = 5, 60.0
"""So many takeovers in so short a time mean two processes with one ordinal."""


class StageRunner(Generic[S]):
    """Runs a stage until :meth:`stop`; :meth:`run` raises what only a restart or a person can mend.

    ``make_stage(partition, partitions)`` builds the stage of one task. ``instance`` is the ordinal of this process
    within the stage. ``tables`` are read to their ends each time before a task runs. ``rebalance_timeout_s`` is what
    the group allows a rebalance. ``fetch_ms`` and ``ends_every_s`` are slower where idle hours are simulated.
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
        rebalance_timeout_s: float = 60.0,
        fetch_ms: int = FETCH_MS,
        ends_every_s: float = ENDS_EVERY_S,
    ) -> None:
        self.name = name
        self.topics = [i.topic for i in inputs]
        self._changelog = changelog
        self._make_stage = make_stage
        self._log = log
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._tables = tables
        self._partitions = 0
        self._fetch_ms = fetch_ms
        self._ends_every_s = ends_every_s
        self.reader = log.group_reader(name, self.topics, f"{name}-{instance}")
        self._context = Context(
            log=log,
            reader=self.reader,
            clock=clock,
            settings=settings,
            metrics=metrics,
            dead_letters=dead_letters,
            group=name,
            refresh=self._refresh,
            poison=PoisonLimit(max_run=settings.max_poison_run, max_share=settings.max_poison_share),
        )
        self._failures: dict[int, Failures] = {}
        self._owners: dict[int, Owner[S]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._watchdog: Watchdog[S] = Watchdog(self._context, self.topics, changelog, rebalance_timeout_s)
        self._odd: set[int] = set()
        self._joined = False
        self._rejoining = False
        self._stopping = False
        self._ending = asyncio.Event()
        self._fatal: BaseException | None = None
        self._fenced_s: deque[float] = deque(maxlen=FENCED_LIMIT)

    # --- for the process -----------------------------------------------------------------------------------------

    def missing(self) -> list[str]:
        """What is still needed before this stage is ready; empty when it is."""
        if self._fatal is not None:
            return [f"{self.name}: {self._fatal}"]
        if not self._joined:
            return [f"{self.name}: not assigned yet"]
        stuck = self._watchdog.stuck
        waits = [
            stuck.get(number, f"{owner.name}: restoring")
            for number, owner in self._owners.items()
            if owner.running is None or number in stuck
        ]
        return waits + [f"{self.name}/{p}: unequal inputs assigned" for p in sorted(self._odd)]

    async def run(self) -> None:
        """Join the group and work until :meth:`stop`."""
        work = asyncio.create_task(self._work(), name=f"{self.name} work")
        helpers = [
            asyncio.create_task(self._answer_ends()),
            asyncio.create_task(self._watch()),
            asyncio.create_task(self._ending.wait()),
        ]
        try:
            # Side by side: an error of any of them counts also while the reader hangs in a fetch or a rebalance.
            await asyncio.wait({work, *helpers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._end(work, helpers)
        if self._fatal is not None:
            raise self._fatal
        for part in (work, *helpers):
            # A reader that does not let itself be canceled is left behind; what ended the run is told all the same.
            if part.done() and not part.cancelled():
                part.result()

    async def _work(self) -> None:
        await self._check_partitions()
        await self._refresh()
        await self.reader.start(self._assigned, self._revoked)
        while not self._stopping:
            fetched = await self.reader.fetch(timeout_ms=self._fetch_ms, max_records=self._settings.queue_high)
            self._watchdog.fetched()
            for where, records in fetched.items():
                owner = self._owners.get(where.partition)
                if owner is not None and owner.running is not None:
                    owner.running.push(records)

    async def _end(self, work: asyncio.Task[None], helpers: Sequence[asyncio.Task[Any]]) -> None:
        """Let everything go within the one deadline, whatever hangs."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._settings.shutdown_s
        self._stopping = True
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        await self._let_go()
        # A fetch comes back by itself; one that does not is left behind (a canceled one spoils the client).
        await asyncio.wait({work}, timeout=5 * self._fetch_ms / 1000)
        work.cancel()
        stopping = asyncio.create_task(self.reader.stop())
        await asyncio.wait({work, stopping}, timeout=max(0.0, deadline_s - loop.time()))

    def stop(self) -> None:
        """Begin a clean end; :meth:`run` returns when it is done."""
        self._stopping = True
        self._ending.set()

    async def _refresh(self) -> None:
        for table in self._tables:
            await table.caught_up()

    # --- ownership -----------------------------------------------------------------------------------------------

    async def _check_partitions(self) -> None:
        counts = {topic: await self._log.partitions(topic) for topic in self.topics}
        counts[self._changelog] = await self._log.partitions(self._changelog)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{topic}: {count}" for topic, count in sorted(counts.items()))
            raise Misconfigured(f"the topics of {self.name} must have equal partition counts, but: {listed}")
        self._partitions = counts[self._changelog]

    async def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        # Heartbeats stop while this runs (aiokafka#738, until
        # ``test_hazard_09_the_library_sends_no_heartbeat_while_the_assigned_callback_runs`` fails): bookkeeping only;
        # the reader has paused everything.
        if self._stopping:
            return
        self._joined = True
        self._rejoining = False
        self._watchdog.assigned()
        self._odd.clear()
        for number in sorted({where.partition for where in partitions}):
            wanted = {TopicPartition(topic, number) for topic in self.topics}
            if not wanted <= partitions:
                # During a rolling change of the inputs two members may each hold a part; neither may own it.
                self._odd.add(number)
                continue
            failures = self._failures.setdefault(number, Failures())
            self._owners[number] = Owner(self, number, failures)

    async def _revoked(self, _: frozenset[TopicPartition]) -> None:
        self._metrics.apply([("rebalances_total", 1.0, {"stage": self.name})])
        self._joined = False
        self._watchdog.revoked()
        await self._let_go()

    async def _let_go(self) -> None:
        """The one path for revoke and shutdown: commit or abandon everything within one deadline."""
        deadline_s = self._settings.shutdown_s
        closing_s = min(CLOSING_S, CLOSING_SHARE * deadline_s)
        for owner in self._owners.values():
            self._leaving.add(asyncio.create_task(owner.close(deadline_s - closing_s)))
        self._owners.clear()
        # A stop in the middle of a revoke waits for what the revoke has begun.
        if self._leaving:
            _, self._leaving = await asyncio.wait(self._leaving, timeout=deadline_s - closing_s / 2)

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
        self.reader.rejoin()

    def fatal(self, error: BaseException) -> None:
        """End :meth:`run` with this error."""
        self._fatal = self._fatal or error
        self._ending.set()

    def monotonic_s(self) -> float:
        """The process's clock."""
        return self._clock.monotonic_s()

    def rebuilt(self, cause: str) -> None:
        """Count a rebuild."""
        self._metrics.apply([("task_rebuilds_total", 1.0, {"stage": self.name, "cause": cause})])

    # --- helpers -------------------------------------------------------------------------------------------------

    def _running(self) -> list[Task[S]]:
        return [owner.running for owner in self._owners.values() if owner.running is not None]

    async def _answer_ends(self) -> None:
        """Ask for the ends of the inputs, once for all tasks whose due timers wait for them."""
        while True:
            await asyncio.sleep(self._ends_every_s)
            asking = [task for task in self._running() if task.wants_ends]
            if not asking:
                continue
            taken_ms = self._clock.now_ms()
            inputs = [where for task in asking for where in task.owned]
            ends = await ends_within(self._log, inputs, ASK_WITHIN_S, stage=self.name)
            if ends is None:
                await asyncio.sleep(1.0)
                continue
            for task in asking:
                task.ends(taken_ms, {where: ends[where] for where in task.owned})

    async def _watch(self) -> None:
        """Measure lag; end the process when nothing moves although there is some."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._watchdog.look(list(self._owners.values()), self._partitions)
