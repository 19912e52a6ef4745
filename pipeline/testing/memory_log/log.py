"""The clients of the in-memory log: everything of the port except the member of a group."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

from pipeline.clock import Clock
from pipeline.errors import LogUnavailable, PipelineError, TaskLost
from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.partition import partition_for
from pipeline.testing.memory_log.cluster import MemoryCluster
from pipeline.testing.memory_log.faults import OFFSETS_TOPIC
from pipeline.testing.memory_log.group_reader import MemoryGroupReader
from pipeline.testing.memory_log.reading import Process, Watch, take


class MemoryLog:
    """One process's connection to a cluster.

    ``clock`` is the process's own where its wall clock differs from the broker's: it stamps records on topics without
    LogAppendTime.
    """

    def __init__(self, cluster: MemoryCluster, prefix: str = "", *, clock: Clock | None = None) -> None:
        self.cluster = cluster
        self._process = Process(cluster, prefix, clock or cluster.clock)
        self._members: list[MemoryGroupReader] = []

    async def start(self) -> None:
        """Connect; nothing can be away here."""
        self._process.check()

    async def stop(self) -> None:
        """Every later call raises LogUnavailable."""
        self._process.ended = self._process.ended or "was stopped"

    def crash(self) -> None:
        """Die as by SIGKILL: no member leaves, open transactions stay open, every later call raises LogUnavailable."""
        self._process.ended = "has crashed"
        for member in self._members:
            member.crash()

    def create_topic(
        self, topic: str, *, partitions: int, append_time: bool = False, max_message_bytes: int = 1_048_588
    ) -> None:
        """:meth:`MemoryCluster.create_topic` under this log's prefix."""
        self.cluster.create_topic(
            self._process.prefix + topic,
            partitions=partitions,
            append_time=append_time,
            max_message_bytes=max_message_bytes,
        )

    def compact(self, topic: str, *, drop_tombstones: bool = False) -> None:
        """:meth:`MemoryCluster.compact` under this log's prefix."""
        self.cluster.compact(self._process.prefix + topic, drop_tombstones=drop_tombstones)

    def expire(self, group: str, instance: str) -> None:
        """:meth:`MemoryCluster.expire` under this log's prefix."""
        self.cluster.expire(self._process.prefix + group, self._process.prefix + instance)

    def writer(self, transactional_id: str) -> MemoryWriter:
        """A writer to be started by its task."""
        return MemoryWriter(self._process, self._process.prefix + transactional_id)

    def group_reader(self, group: str, topics: Sequence[str], instance: str) -> MemoryGroupReader:
        """A member of ``group``, to be started."""
        member = MemoryGroupReader(self._process, group=group, topics=topics, instance=instance)
        self._members.append(member)
        return member

    async def reader(self, starts: Mapping[TopicPartition, int]) -> MemoryReader:
        """A reader of exactly these partitions from exactly these offsets."""
        self._process.check()
        return MemoryReader(self._process, starts)

    async def producer(self) -> MemoryProducer:
        """A started producer."""
        self._process.check()
        return MemoryProducer(self._process)

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; raises Misconfigured when it does not exist."""
        self._process.check()
        return self.cluster.partition_count(self._process.prefix + topic)

    async def start_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still kept."""
        self._process.check()
        return {partition: self.cluster.partition(self._process.full(partition)).start for partition in partitions}

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The high watermark, open transactions included."""
        self._process.check()
        return {partition: self.cluster.partition(self._process.full(partition)).end for partition in partitions}

    async def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The first offset whose timestamp is not earlier; the end where there is none."""
        self._process.check()
        return {
            partition: self.cluster.partition(self._process.full(partition)).offset_at(timestamp_ms)
            for partition in partitions
        }


class _Stage(Enum):
    NEW = auto()
    READY = auto()
    BUSY = auto()
    BROKEN = auto()


class MemoryWriter:
    """A transactional producer. ``append`` and ``end`` are its two halves, for tests that stop in between."""

    def __init__(self, process: Process, name: str) -> None:
        self._process = process
        self._cluster = process.cluster
        self._name = name
        self._epoch = 0
        self._stage = _Stage.NEW

    async def start(self) -> None:
        """Fence every earlier writer of this id and wait until its last transaction is decided and visible."""
        if self._stage is not _Stage.NEW:
            raise TaskLost(f"writer {self._name} was started before; make a new one")
        self._stage = _Stage.BROKEN
        await self._cluster.faults.before_start(self._name)
        self._process.check()
        self._epoch = await self._cluster.transactions.start(self._name)
        self._stage = _Stage.READY

    async def commit(self, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int], group: str) -> None:
        """Write outputs and offsets in one transaction; raises Fenced, RecordTooLarge, TaskLost."""
        await self.append(outputs, offsets, group)
        self._stage = _Stage.BUSY
        try:
            await self._cluster.faults.before_commit(self._name)
            self._process.check()
            self._cluster.transactions.end(self._name, self._epoch, commit=True)
            await self._cluster.faults.before_reply(self._name)
        except BaseException as error:
            self._break(error)
            raise
        self._stage = _Stage.READY

    async def append(
        self, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int] | None = None, group: str = ""
    ) -> None:
        """The first half of a commit; the transaction stays open."""
        unplaced = next((emit for emit in outputs if emit.partition is None), None)
        if unplaced is not None:
            raise ValueError(f"an output for {unplaced.topic} has no partition; every Emit of a transaction needs one")
        if self._stage is not _Stage.READY:
            raise TaskLost(f"writer {self._name} is {self._stage.name.lower()}; make a new one and start it")
        self._stage = _Stage.BUSY
        try:
            await self._append(outputs, offsets or {}, group)
        except BaseException as error:
            self._break(error)
            raise
        self._stage = _Stage.READY

    async def end(self, *, commit: bool) -> None:
        """Decide what ``append`` left open; raises Fenced."""
        self._cluster.transactions.end(self._name, self._epoch, commit=commit)

    async def stop(self) -> None:
        """Unusable from now on. Like the real client this does not abort an open transaction."""
        self._stage = _Stage.BROKEN

    async def _append(self, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int], group: str) -> None:
        transactions = self._cluster.transactions
        # The markers of the transaction before may still be outstanding; the next one begins after them.
        await transactions.completed(self._name)
        batches: dict[TopicPartition, list[Emit]] = {}
        for emit in outputs:
            assert emit.partition is not None
            batches.setdefault(self._process.full(TopicPartition(emit.topic, emit.partition)), []).append(emit)
        for partition, batch in batches.items():
            await self._cluster.faults.before_append(self._name, partition)
            self._process.check()
            target = self._cluster.partition(partition)
            transaction = transactions.open(self._name, self._epoch)
            if partition not in transaction.spans:
                transaction.spans[partition] = target.open_span()
            span = transaction.spans[partition]
            for emit in batch:
                self._cluster.append(partition, emit, writer_time_ms=self._process.clock.now_ms(), span=span)
        if offsets:
            await self._cluster.faults.before_append(self._name, TopicPartition(OFFSETS_TOPIC, 0))
            self._process.check()
            full = {self._process.full(partition): offset for partition, offset in offsets.items()}
            for partition in full:
                self._cluster.partition(partition)  # the broker takes no offset of what is not there
            transactions.add_offsets(self._name, self._epoch, self._process.prefix + group, full)

    def _break(self, error: BaseException) -> None:
        """Whatever happened, only a new writer can tell; raises TaskLost for what the port does not name."""
        self._stage = _Stage.BROKEN
        if isinstance(error, Exception) and not isinstance(error, TaskLost):
            raise TaskLost(f"writer {self._name}: {error}") from error


class MemoryReader:
    """A reader of fixed partitions without a group."""

    def __init__(self, process: Process, starts: Mapping[TopicPartition, int]) -> None:
        self._process = process
        self._positions = dict(starts)
        self._turns = list(starts)
        self._watch = Watch(process)
        self._watch.watch(starts)
        self._stopped = False

    async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
        """Next committed records in partition order; an empty list when none came in time."""
        await self._process.cluster.faults.before_fetch("")
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_ms / 1_000
        while True:
            # A fetch that finds something at once must still let others run, or one busy reader starves the loop.
            await asyncio.sleep(0)
            self._check()
            found = take(self._process, self._positions, self._turns, max_records)
            self._turns = self._turns[1:] + self._turns[:1]
            left_s = deadline_s - loop.time()
            if found or left_s <= 0:
                return [record for records in found.values() for record in records]
            await self._watch.wait(left_s)

    async def position(self, partition: TopicPartition) -> int:
        """The next offset to fetch; it moves past markers and aborted records."""
        self._check()
        return self._positions[partition]

    async def stop(self) -> None:
        """Unusable from now on."""
        self._stopped = True
        self._watch.watch(())

    def _check(self) -> None:
        self._process.check()
        if self._stopped:
            raise LogUnavailable("this reader was stopped; make a new one")


class MemoryProducer:
    """A plain producer. Records without a key or partition go round, topic by topic."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._next: dict[str, int] = {}
        self._stopped = False

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        """Write one record; its partition and offset. Raises LogUnavailable, RecordTooLarge."""
        cluster = self._process.cluster
        target = self._process.full(TopicPartition(emit.topic, self._place(emit)))
        try:
            await cluster.faults.before_send(target)
            self._check()
            writer_time_ms = self._process.clock.now_ms() if timestamp_ms is None else timestamp_ms
            offset = cluster.append(target, emit, writer_time_ms=writer_time_ms)
            await cluster.faults.before_send_reply(target)
        except PipelineError:
            raise
        except Exception as error:
            raise LogUnavailable(f"no answer for a record to {target.topic}/{target.partition}: {error}") from error
        return target.partition, offset

    async def send_all(self, emits: Sequence[Emit]) -> None:
        """Write records one after the other."""
        for emit in emits:
            await self.send(emit)

    async def stop(self) -> None:
        """Unusable from now on."""
        self._stopped = True

    def _place(self, emit: Emit) -> int:
        if emit.partition is not None:
            return emit.partition
        count = self._process.cluster.partition_count(self._process.prefix + emit.topic)
        if emit.key is not None:
            return partition_for(emit.key, count)
        turn = self._next.get(emit.topic, 0)
        self._next[emit.topic] = turn + 1
        return turn % count

    def _check(self) -> None:
        self._process.check()
        if self._stopped:
            raise LogUnavailable("this producer was stopped; make a new one")
