"""How far a stage's tasks are behind, and whether something hangs although the brokers answer.

A broker that is away is no reason to end a process: while the ends of the inputs cannot be read nothing is judged, and
every patience begins anew when they can.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from pipeline.errors import PipelineError
from pipeline.runtime.api import Measure
from pipeline.runtime.context import Context
from pipeline.runtime.ends import ends_within
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.owner import Owner

log = structlog.get_logger(__name__)
S = TypeVar("S")

ASK_WITHIN_S = 30.0
"""A broker that does not tell an end within this is away."""
PAUSE_S = 5.0
"""Longer than the runner pauses between two looks."""
FROZEN_S = 5.0
"""So much more than a pause or a question may take, and this process stood still: nothing of it could move."""
COMMITTED_WITHIN_S = 5.0
"""How long to ask for the positions of tasks that do not run; then what was last known counts."""
FETCHED_OF_LATE_S = 10.0
"""A partition that is fetched is fetched more often than this, also when nothing comes."""

Offsets = Mapping[TopicPartition, int]


@dataclass(slots=True)
class _Seen:
    """What former looks saw of one owner."""

    progress: int
    moved_s: float
    """When it last made progress."""
    well_s: float
    """When it last made progress, had nothing to do, or waited on purpose."""
    built: int = 0
    """How many tasks it had built when it last made progress."""
    doing: tuple[int, int, int] = (0, 0, 0)
    """How many tasks it had built, and what the present one had restored and handled, at the last look."""
    doing_s: float = 0.0
    """When that last changed."""


class Watchdog(Generic[S]):
    """Looks at the owners of one stage in one process; ``rebalance_s`` is what the group allows a rebalance."""

    def __init__(self, context: Context, topics: Sequence[str], changelog: str, rebalance_s: float) -> None:
        self.stuck: dict[int, str] = {}
        """Partition numbers that get nowhere, and what is known of it."""
        self._c = context
        self._topics = topics
        self._changelog = changelog
        self._rebalance_s = rebalance_s
        self._patience_s = context.settings.stuck_after_s
        now_s = context.clock.monotonic_s()
        self._unassigned_s: float | None = now_s
        self._fetched_s = now_s
        self._answering_s: float | None = None
        self._awake_s = now_s
        self._seen: dict[Owner[S], _Seen] = {}
        self._measured: set[TopicPartition] = set()
        self._gaps: Counter[str] = Counter()

    # --- what the runner tells ---------------------------------------------------------------------------------------

    def assigned(self) -> None:
        """A rebalance has ended."""
        self._unassigned_s = None
        self.fetched()

    def revoked(self) -> None:
        """A rebalance has begun."""
        if self._unassigned_s is None:
            self._unassigned_s = self._c.clock.monotonic_s()
        self._seen.clear()
        self.stuck = {}

    def fetched(self) -> None:
        """The reader has answered, with records or without."""
        self._fetched_s = self._c.clock.monotonic_s()

    # --- looking -----------------------------------------------------------------------------------------------------

    async def look(self, owners: Sequence[Owner[S]], partitions: int) -> None:
        """Measure and judge; ``partitions`` is the count of the topics, 0 while it is not known.

        Raises PipelineError when only another process can go on.
        """
        everything = [TopicPartition(topic, number) for topic in self._topics for number in range(partitions)]
        wanted = [where for owner in owners for where in owner.inputs] or everything
        # A task that does not run reads its changelog: that one's brokers have to answer as well.
        wanted += [TopicPartition(self._changelog, owner.partition) for owner in owners if owner.running is None]
        self._forgive_standstill(PAUSE_S)
        ends = await ends_within(self._c.log, wanted, ASK_WITHIN_S, stage=self._c.group)
        if ends is None:
            self._answering_s = None
            return
        now_s = self._c.clock.monotonic_s()
        if self._answering_s is None:
            self._answering_s = now_s
        self._forgive_standstill(ASK_WITHIN_S)
        lag: dict[TopicPartition, int] = {}
        for owner in owners if self._unassigned_s is None else ():
            lag |= await self._lag(owner, ends)
            self._forgive_standstill(COMMITTED_WITHIN_S)
        # Asked again: a rebalance may have begun meanwhile, and what is measured of a closed task says nothing.
        if self._unassigned_s is None:
            self._measure(owners, lag)
            self._judge(owners, lag, now_s)
        elif partitions and now_s - max(self._unassigned_s, self._answering_s) > self._rebalance_s + self._patience_s:
            raise PipelineError(
                f"{self._c.group} waits for the end of a rebalance for longer than {self._rebalance_s:g} s and "
                f"{self._patience_s:g} s more although the brokers answer; the process ends so that it joins anew"
            )

    def _forgive_standstill(self, expected_s: float) -> None:
        """Begin every patience anew when the last ``expected_s`` took much longer, as after SIGSTOP."""
        now_s = self._c.clock.monotonic_s()
        if now_s - self._awake_s > expected_s + FROZEN_S and self._answering_s is not None:
            self._answering_s = now_s
        self._awake_s = now_s

    async def _lag(self, owner: Owner[S], ends: Offsets) -> dict[TopicPartition, int]:
        """Per input how many records are not handled; of a task that does not run, how many are not committed."""
        if owner.running is not None:
            # Where it was read to, not where the reader is: what is queued is not handled yet.
            owner.read_to.update(await owner.running.read_to())
        else:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(COMMITTED_WITHIN_S):
                    await self._ask_committed(owner)
        known = [where for where in owner.inputs if where.topic in owner.read_to]
        return {where: max(0, ends[where] - owner.read_to[where.topic]) for where in known}

    async def _ask_committed(self, owner: Owner[S]) -> None:
        unknown: list[TopicPartition] = []
        for where in owner.inputs:
            committed = await self._c.reader.committed(where)
            if committed is not None:
                owner.read_to[where.topic] = committed
            elif where.topic not in owner.read_to:
                unknown.append(where)
        if unknown:
            starts = await self._c.log.start_offsets(unknown)
            owner.read_to.update({where.topic: offset for where, offset in starts.items()})

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, owners: Sequence[Owner[S]], lag: Offsets, now_s: float) -> None:
        if self._quiet(self._fetched_s, now_s):
            raise PipelineError(
                f"{self._c.group} asked for records more than {self._patience_s:g} s ago and was not answered although "
                "the brokers answer others; the process ends so that it reads anew"
            )
        stuck: dict[int, str] = {}
        hangs = waits_outside = False
        for owner in owners:
            behind = sum(self._readable(owner, where, lag.get(where, 0)) for where in owner.inputs)
            seen = self._see(owner, behind, now_s)
            if not self._quiet(seen.well_s, now_s) or self._reads_back(owner, seen, now_s):
                continue
            stuck[owner.partition] = text = self._plight(owner, seen, behind)
            if owner.partition not in self.stuck:
                log.error("task stuck", action="task_stuck", stage=self._c.group, partition=owner.partition, cause=text)
            hangs |= self._quiet(seen.doing_s, now_s) and _has_begun(owner)
            waits_outside |= owner.waits_outside
        self.stuck = stuck
        moves = any(
            not self._quiet(self._seen[owner].moved_s, now_s) or self._reads_back(owner, self._seen[owner], now_s)
            for owner in owners
        )
        # One task that hangs is mended by another process. One that is lost again and again is not: it would end that
        # process as well, and with each the tasks that do move. So it is told, and only ends a process that is idle.
        if hangs or (stuck and not moves and not waits_outside):
            raise PipelineError("; ".join(stuck.values()) + "; the process ends so that its tasks are built anew")

    def _readable(self, owner: Owner[S], where: TopicPartition, behind: int) -> int:
        """How much of the lag can be read: not what stands behind the first record of somebody's open transaction.

        Where it stands only a fetch of late can say. To a reader that fetches no more all that came since would seem
        hidden, and it would never be noticed.
        """
        latest = self._c.reader.latest_ends(where)
        if behind == 0 or latest is None or latest.age_s > FETCHED_OF_LATE_S:
            return behind
        return min(behind, max(0, latest.stable - owner.read_to[where.topic]))

    def _see(self, owner: Owner[S], behind: int, now_s: float) -> _Seen:
        seen = self._seen.setdefault(owner, _Seen(owner.progress, moved_s=now_s, well_s=now_s, doing_s=now_s))
        if owner.doing != seen.doing:
            seen.doing, seen.doing_s = owner.doing, now_s
        if owner.progress != seen.progress:
            seen.progress, seen.moved_s, seen.well_s, seen.built = owner.progress, now_s, now_s, owner.built
        elif owner.running is not None and owner.running.idle and (behind == 0 or owner.running.waits):
            seen.well_s = now_s
        return seen

    def _reads_back(self, owner: Owner[S], seen: _Seen, now_s: float) -> bool:
        """Whether it restores, over ground that a task before it had covered: no progress yet, but on its way there."""
        again = owner.built - seen.built > 1 and not self._quiet(owner.built_s, now_s)
        return owner.running is None and not again and not self._quiet(seen.doing_s, now_s)

    def _quiet(self, since_s: float, now_s: float) -> bool:
        """Whether patience has run out; time without brokers does not count."""
        assert self._answering_s is not None
        return now_s - max(since_s, self._answering_s) > self._patience_s

    def _plight(self, owner: Owner[S], seen: _Seen, behind: int) -> str:
        if owner.gave_up:
            return f"{owner.name} was given up ({owner.why()}) and the group has not said since who owns it"
        if owner.built - seen.built > 1:
            return f"{owner.name} was built {owner.built - seen.built} times and got nowhere, lost to: {owner.why()}"
        if owner.running is None:
            return f"{owner.name} is not restored, and has not moved for {self._patience_s:g} s"
        what = f"{behind} records wait" if owner.running.idle else f"it is at work, and {behind} records wait"
        return f"{owner.name} has not moved for {self._patience_s:g} s although {what}"

    # --- measuring ---------------------------------------------------------------------------------------------------

    def _measure(self, owners: Sequence[Owner[S]], lag: Offsets) -> None:
        stage = self._c.group
        tasks = [owner.running for owner in owners if owner.running is not None]
        # What another process owns now is that one's to tell.
        gone = dict.fromkeys(self._measured - lag.keys(), 0)
        self._measured = set(lag)
        measures: list[Measure] = [
            ("lag_records", float(behind), {"stage": stage, "topic": w.topic, "partition": str(w.partition)})
            for w, behind in {**gone, **lag}.items()
        ]
        for where in (where for task in tasks for where in task.owned):
            latest = self._c.reader.latest_ends(where)
            if latest is not None:
                labels = {"topic": where.topic, "partition": str(where.partition)}
                measures.append(("stable_offset_lag_records", float(latest.high - latest.stable), labels))
        ages = dict.fromkeys(self._topics, 0.0)
        for task in tasks:
            for topic, oldest_ms in task.oldest_ms().items():
                ages[topic] = max(ages[topic], (self._c.clock.now_ms() - oldest_ms) / 1000)
        measures += [("oldest_unprocessed_seconds", age, {"stage": stage, "topic": t}) for t, age in ages.items()]
        measures.append(("state_entries", float(sum(task.entries for task in tasks)), {"stage": stage}))
        gaps = Counter(self._c.reader.gaps)
        for topic, new in (gaps - self._gaps).items():
            measures.append(("offset_gaps_total", float(new), {"stage": stage, "topic": topic}))
        self._gaps = gaps
        self._c.metrics.apply(measures)


def _has_begun(owner: Owner[S]) -> bool:
    """Whether something is in hand: a restore, records handed over, or a transaction."""
    task = owner.running
    return task is None or not task.idle or bool(task.oldest_ms())
