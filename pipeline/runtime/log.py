"""The port to the log: all that the runtime and the edges need of Kafka, and nothing else.

Two implementations obey the same contract tests (``tests/contract/log``): :mod:`pipeline.runtime.kafka` over
aiokafka, and :mod:`pipeline.testing.memory_log`. Topic names here carry no deployment prefix; the implementation
adds it (to groups, transactional and instance ids as well).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pipeline.errors import DeadlinePassed
from pipeline.runtime.api import Emit, Record


class TopicPartition(NamedTuple):
    """One partition of one topic, by its unprefixed name."""

    topic: str
    partition: int


Rebalance = Callable[[frozenset[TopicPartition]], Awaitable[None]]


class Writer(Protocol):
    """A transactional producer, one per task; its id is the fence between two owners of the task."""

    async def start(self) -> None:
        """Fence every earlier writer of this id and wait until its last transaction is decided and visible."""

    async def commit(self, outputs: Sequence[Emit], offsets: Mapping[TopicPartition, int], group: str) -> None:
        """Write ``outputs`` and the next-to-read ``offsets`` of ``group`` in one transaction.

        Every ``Emit.partition`` is set. Returns only when the transaction is committed. Raises Fenced when another
        writer of this id exists, RecordTooLarge, or TaskLost for any other doubt; after an error this writer is
        unusable, nothing of the transaction is visible or it is visible whole, and only a new writer's ``start``
        decides which.
        """

    async def stop(self) -> None:
        """Release connections; bounded in time."""


class LatestEnds(NamedTuple):
    """Where a partition ended when it was last fetched."""

    high: int
    """The high watermark."""
    stable: int
    """The last stable offset: an open transaction hides what stands between it and the high watermark."""
    age_s: float
    """How long ago that was."""


class GroupReader(Protocol):
    """A member of a consumer group (read_committed, range assignment, static membership)."""

    @property
    def gaps(self) -> Mapping[str, int]:
        """Per topic how often a position was out of range and went to the first record kept: records were lost."""

    async def start(self, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        """Join; callbacks run inside the rebalance: ``on_assigned`` must return at once, ``on_revoked`` may await."""

    async def fetch(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        """Next records of the partitions not paused; never cancel this call. May also block through a rebalance.

        A position out of range becomes that of the first record kept. Raises what a callback raised, and LogUnavailable
        once it was stopped.
        """

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions owned now."""

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Ask for no more of these; a fetch under way may still deliver some, or drop them to be fetched again."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch these again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """The next fetch of this partition starts at ``offset``; buffered records of it are dropped."""

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed position as the broker has it now. Raises LogUnavailable."""

    async def position(self, partition: TopicPartition) -> int:
        """The next offset to hand out; it moves past markers and aborted records. -1 for a partition not owned.

        It never passes a record before :meth:`fetch` has returned it.
        """

    def latest_ends(self, partition: TopicPartition) -> LatestEnds | None:
        """Where the partition ended at its latest fetch; None before the first."""

    def rejoin(self) -> None:
        """Ask the group for a new assignment; the callbacks run as in any rebalance."""

    async def stop(self) -> None:
        """Leave without a rebalance where membership is static; runs no callbacks."""


class Reader(Protocol):
    """A reader of fixed partitions without a group (global tables, replies, restore, people)."""

    async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
        """Next committed records in partition order; an empty list when none came in time.

        A broker that is away is waited for; a position out of range becomes that of the first record kept. After any
        error only a new reader, from the positions one has handled, is sure to miss nothing; one that was stopped
        raises LogUnavailable.
        """

    async def position(self, partition: TopicPartition) -> int:
        """The next offset to fetch; it moves past markers and aborted records. Raises LogUnavailable."""

    async def stop(self) -> None:
        """Release connections."""


class Producer(Protocol):
    """A plain idempotent producer for the edges."""

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        """Write one record with acks=all; returns its partition and offset. Raises LogUnavailable, RecordTooLarge."""

    async def send_all(self, emits: Sequence[Emit]) -> None:
        """Write records with acks=all, those of one partition together and in their order.

        Much cheaper than one by one. After an error any of them may have been written, or be written later. Raises
        LogUnavailable, and RecordTooLarge when one of them is.
        """

    async def stop(self) -> None:
        """Flush and release connections."""


class Log(Protocol):
    """A connection to one cluster under one topic prefix."""

    async def start(self) -> None:
        """Connect; raises LogUnavailable with the address and the fix when nobody answers in time."""

    async def stop(self) -> None:
        """Release connections."""

    def writer(self, transactional_id: str) -> Writer:
        """A writer to be started by its task."""

    def group_reader(self, group: str, topics: Sequence[str], instance: str) -> GroupReader:
        """A member of ``group`` reading ``topics``; ``instance`` is the static member name."""

    async def reader(self, starts: Mapping[TopicPartition, int]) -> Reader:
        """A reader of exactly these partitions from exactly these offsets. Raises LogUnavailable."""

    async def producer(self) -> Producer:
        """A started producer."""

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; raises Misconfigured when it does not exist, and LogUnavailable."""

    async def start_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset still kept. Raises LogUnavailable, and a PipelineError where there is no such partition."""

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The high watermark: behind every record written, also those of open transactions. Raises as above."""

    async def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The first offset, in their order, whose timestamp is not earlier; the end where there is none. Raises as
        above.
        """


async def scan(
    log: Log, starts: Mapping[TopicPartition, int], *, wait_ms: int = 200, patience_s: float = 30.0
) -> AsyncIterator[list[Record]]:
    """Read each partition from its start to the high watermark of this moment and stop.

    The end is judged by position, not by the last record's offset: a partition may end in markers, aborted
    records or compacted gaps that no reader is ever handed. Raises DeadlinePassed when the reader answers but gets no
    further for ``patience_s``: its broker is away, or an open transaction of somebody hides what is left.
    """
    ends = await log.end_offsets(starts)
    left = {partition for partition, end in ends.items() if starts[partition] < end}
    if not left:
        return
    reader = await log.reader({partition: starts[partition] for partition in left})
    loop = asyncio.get_running_loop()
    positions: dict[TopicPartition, int] = {}
    waited_s = 0.0
    try:
        while left:
            asked_s = loop.time()
            records = await reader.fetch(timeout_ms=wait_ms, max_records=5_000)
            # A fetch takes much longer when this process stood still in it, which is no fault of the log.
            waited_s += min(loop.time() - asked_s, 2 * wait_ms / 1000)
            if records:
                yield records
            before, positions = positions, {partition: await reader.position(partition) for partition in left}
            if records or positions != before:
                waited_s = 0.0
            elif waited_s > patience_s:
                where = min(left)
                raise DeadlinePassed(
                    f"{where.topic}/{where.partition} gets no further than {positions[where]} of {ends[where]} for "
                    f"{patience_s:g} s: its broker is away, or an open transaction hides the rest"
                )
            left = {partition for partition in left if positions[partition] < ends[partition]}
    finally:
        await reader.stop()
