"""A member of a consumer group: a background coroutine follows rebalances, fetches wait while one is under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.errors import LogUnavailable, Misconfigured
from pipeline.runtime.api import Record
from pipeline.runtime.log import LatestEnds, Rebalance, TopicPartition
from pipeline.testing.memory_log.reading import Process, Watch, take

# How often a fetch that waits for a rebalance lets the broker's timeouts take effect: nobody else may be left to.
_REBALANCE_POLL_S = 0.05


class MemoryGroupReader:
    """See :class:`pipeline.runtime.log.GroupReader`.

    Assigned partitions arrive paused and at offset 0: the owner seeks and resumes them once it has fenced its
    predecessor. Pausing, resuming or seeking a partition lost in a rebalance does nothing. A fetch raises what a
    callback raised, and Misconfigured when another member took the instance name.
    """

    def __init__(self, process: Process, *, group: str, topics: Sequence[str], instance: str) -> None:
        self.instance = process.prefix + instance
        self.topics: Sequence[str] = [process.prefix + topic for topic in topics]
        self.gaps: Counter[str] = Counter()
        self._process = process
        self._group_name = process.prefix + group
        self._group = process.cluster.group(self._group_name)
        self._watch = Watch(process)
        self._positions: dict[TopicPartition, int] = {}
        self._fetched: dict[TopicPartition, tuple[int, int, float]] = {}
        self._paused: set[TopicPartition] = set()
        self._turns: list[TopicPartition] = []
        self._is_settled = False
        self._fatal: BaseException | None = None
        self._must_rejoin = True
        self._granted: frozenset[TopicPartition] | None = None
        self._news = asyncio.Event()
        self._membership: asyncio.Task[None] | None = None

    async def start(self, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        """Join; the first assignment comes in the background, and fetches wait for it."""
        self._process.check()
        for topic in self.topics:
            self._process.cluster.partition_count(topic)
        self._membership = asyncio.get_running_loop().create_task(
            self._follow(on_assigned, on_revoked), name=f"membership of {self._group_name}/{self.instance}"
        )
        self._news.set()

    async def fetch(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        """Next records of the partitions not paused; waits through a rebalance whatever the timeout."""
        await self._process.cluster.faults.before_fetch(f"{self._group_name}/{self.instance}")
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_ms / 1_000
        while True:
            # A fetch that finds something at once must still let others run, or one busy reader starves the loop.
            await asyncio.sleep(0)
            self._process.check()
            if self._fatal is not None:
                raise self._fatal
            if not self._is_settled:
                await self._watch.wait(_REBALANCE_POLL_S)
                continue
            found = self._take(max_records)
            left_s = deadline_s - loop.time()
            if found or left_s <= 0:
                return found
            await self._watch.wait(left_s)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions owned now; none during a rebalance once they are revoked."""
        return frozenset(self._positions)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching those still owned."""
        self._paused.update(partition for partition in partitions if partition in self._positions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch these again."""
        self._paused.difference_update(partitions)
        self._watch.wake()

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """The next fetch of this partition starts at ``offset``, unless it was lost meanwhile."""
        if partition in self._positions:
            self._positions[partition] = offset
            self._watch.wake()

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed position as the broker has it now."""
        self._process.check()
        return self._group.offsets.get(self._process.full(partition))

    async def position(self, partition: TopicPartition) -> int:
        """The next offset to fetch; -1 for a partition not owned any more."""
        self._process.check()
        return self._positions.get(partition, -1)

    def latest_ends(self, partition: TopicPartition) -> LatestEnds | None:
        """Where it ended at its latest fetch."""
        if partition not in self._fetched:
            return None
        high, stable, fetched_s = self._fetched[partition]
        return LatestEnds(high, stable, asyncio.get_running_loop().time() - fetched_s)

    def rejoin(self) -> None:
        """Ask the group for a new assignment; the callbacks run as in any rebalance.

        As with Kafka only the group's leader makes everybody join anew; any other member is given the same again.
        """
        self.ask_to_rejoin()

    async def stop(self) -> None:
        """Leave without a rebalance: the seat is kept until the session times out. Runs no callbacks."""
        self._end(LogUnavailable(f"member {self.instance} of group {self._group_name} was stopped"))
        if self._membership is not None and self._membership is not asyncio.current_task():
            await asyncio.wait([self._membership])

    def crash(self) -> None:
        """Die as by SIGKILL; the coordinator notices when the session times out."""
        self._end(LogUnavailable(f"member {self.instance} of group {self._group_name} has crashed"))

    # What the coordinator calls.

    def ask_to_rejoin(self) -> None:
        """A rebalance began; fetches wait from now on."""
        self._must_rejoin = True
        self._is_settled = False
        self._news.set()

    def grant(self, partitions: frozenset[TopicPartition]) -> None:
        """The answer to the join."""
        self._granted = partitions
        self._news.set()

    def fence(self) -> None:
        """Another member took the instance name: kept as what every later fetch raises."""
        self._end(
            Misconfigured(
                f"another process joined group {self._group_name} as instance {self.instance}; "
                "give each process of a stage its own --instance"
            )
        )

    async def _follow(self, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if self._must_rejoin:
                    await self._rejoin(on_revoked)
                elif self._granted is not None:
                    await self._accept(on_assigned)
        except Exception as error:
            # aiokafka logs what a callback raises and goes on without it; here it must not go unseen.
            self._fatal = self._fatal or error
            self._watch.wake()

    async def _rejoin(self, on_revoked: Rebalance) -> None:
        # Cleared first: what the coordinator asks while the callback runs is another round.
        self._must_rejoin = False
        self._is_settled = False
        await self._process.cluster.faults.before_revoke(self._group_name, self.instance)
        await on_revoked(self.assignment())
        self._own(frozenset())
        await self._process.cluster.faults.before_join(self._group_name, self.instance)
        self._process.check()
        self._granted = None
        self._group.join(self)

    async def _accept(self, on_assigned: Rebalance) -> None:
        granted, self._granted = self._granted, None
        assert granted is not None
        prefix = len(self._process.prefix)
        self._own(frozenset(TopicPartition(full.topic[prefix:], full.partition) for full in granted))
        await on_assigned(self.assignment())
        if not self._must_rejoin:
            self._is_settled = True
            self._watch.wake()

    def _own(self, partitions: frozenset[TopicPartition]) -> None:
        self._positions = dict.fromkeys(sorted(partitions), 0)
        self._fetched = {}
        self._turns = list(self._positions)
        self._paused = set(partitions)
        self._watch.watch(self._turns)

    def _take(self, max_records: int) -> dict[TopicPartition, list[Record]]:
        resets = self._process.cluster.resets
        known = len(resets)
        now_s = asyncio.get_running_loop().time()
        moved: list[TopicPartition] = []
        for partition in self._turns:
            if partition not in self._paused:
                read = self._process.cluster.partition(self._process.full(partition))
                stable = read.last_stable
                self._fetched[partition] = (read.end, stable, now_s)
                # Most of them have nothing new most of the time, and simulated hours are made of looking at them.
                if self._positions[partition] != stable:
                    moved.append(partition)
        found = take(self._process, self._positions, moved, max_records)
        self.gaps.update(where.topic.removeprefix(self._process.prefix) for where, _ in resets[known:])
        if self._turns:
            # Next time another partition comes first, or a busy one would use up max_records for ever.
            self._turns.append(self._turns.pop(0))
        return found

    def _end(self, cause: Exception) -> None:
        if not isinstance(cause, Misconfigured):
            self._group.leave(self)
        self._fatal = self._fatal or cause
        if self._membership is not None:
            self._membership.cancel()
        self._watch.watch(())
        self._watch.wake()
