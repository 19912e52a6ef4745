"""What every test of the log contract needs: a place with topics and faults, and members that follow the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from pipeline.runtime.api import Emit, Record
from pipeline.runtime.log import GroupReader, Log, TopicPartition, scan


class OpenTransaction(Protocol):
    """A transaction whose records are in the log and whose fate is not decided."""

    async def commit(self) -> None: ...

    async def abort(self) -> None: ...


class LogFactory(Protocol):
    """One cluster, and what only a test may do with it."""

    patience_ms: int
    """How long to wait before believing that nothing more comes."""

    async def log(self, deployment: str = "", *, impatient: bool = False) -> Log:
        """One more process's started log; ``deployment`` is a topic prefix of its own.

        An ``impatient`` one gives requests and commits up after a few seconds.
        """

    async def topic(
        self,
        partitions: int = 1,
        *,
        append_time: bool = False,
        max_message_bytes: int = 1_000_000,
        compacted: bool = False,
        deployment: str = "",
    ) -> str:
        """A new, empty topic."""

    async def leave_transaction_open(
        self,
        topic: str,
        partition: int,
        *,
        values: Sequence[bytes] = (b"open",),
        transactional_id: str | None = None,
        timeout_s: float = 60.0,
    ) -> OpenTransaction:
        """Write records in a transaction of a writer of its own, and neither commit nor abort it.

        The broker may abort it after ``timeout_s``.
        """

    async def pass_transaction_timeout(self, timeout_s: float) -> None:
        """Let so much time pass that the broker looks for transactions open for longer."""

    async def expire(self, group: str, instance: str) -> None:
        """Return when the session of a member that is gone has timed out."""

    async def compact(self, partition: TopicPartition) -> None:
        """Return when the cleaner has left no key twice of what the partition holds now."""

    async def delete_before(self, partition: TopicPartition, offset: int) -> None:
        """Let retention take everything before the offset."""


def incompressible(size: int) -> bytes:
    """Bytes that a producer's compression cannot make small enough for the broker."""
    return Random(size).randbytes(size)


def emits(partition: TopicPartition, *values: bytes) -> list[Emit]:
    """One output per value."""
    return [Emit(partition.topic, b"key", value, partition.partition) for value in values]


async def commit(log: Log, transactional_id: str, outputs: Sequence[Emit]) -> None:
    """One transaction of a fresh writer."""
    writer = log.writer(transactional_id)
    await writer.start()
    try:
        await writer.commit(outputs, {}, "nobody")
    finally:
        await writer.stop()


async def abort(factory: LogFactory, partition: TopicPartition, *values: bytes) -> None:
    """One transaction that is aborted."""
    transaction = await factory.leave_transaction_open(partition.topic, partition.partition, values=values)
    await transaction.abort()


async def scanned(log: Log, *partitions: TopicPartition, start: int = 0) -> list[Record]:
    """Everything a scan finds; fails when the scan does not end."""
    found: list[Record] = []
    async with asyncio.timeout(20):
        async for records in scan(log, dict.fromkeys(partitions, start), wait_ms=50):
            found += records
    return found


async def values(log: Log, *partitions: TopicPartition, start: int = 0) -> list[bytes | None]:
    """The values a scan finds."""
    return [record.value for record in await scanned(log, *partitions, start=start)]


async def committed(log: Log, group: str, partition: TopicPartition) -> int | None:
    """A group's committed position, asked by a member of it."""

    async def ignore(_: frozenset[TopicPartition]) -> None:
        return

    reader = log.group_reader(group, [partition.topic], "witness")
    await reader.start(ignore, ignore)
    try:
        return await reader.committed(partition)
    finally:
        await reader.stop()


async def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Return when the condition holds; fails after ``timeout_s``."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a condition on another process has no event
            await asyncio.sleep(0.005)


class Member:
    """A process that follows the ownership protocol: what it is assigned it seeks, resumes and reads."""

    def __init__(self, reader: GroupReader, log: Log) -> None:
        self.reader = reader
        self.records: list[Record] = []
        self.events: list[tuple[str, frozenset[TopicPartition]]] = []
        self._log = log
        self._to_seek: frozenset[TopicPartition] = frozenset()
        self._resumed: frozenset[TopicPartition] = frozenset()
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        await self.reader.start(self._assigned, self._revoked)
        self._loop = asyncio.create_task(self._run())

    async def owns(self, count: int) -> None:
        """Return when this member has exactly this many partitions and has sought and resumed them."""
        await eventually(lambda: self.failed() or (len(self._resumed) == count))
        self._raise()

    async def read(self, count: int) -> list[bytes | None]:
        """Return the values read so far once there are ``count``."""
        await eventually(lambda: self.failed() or len(self.records) >= count)
        self._raise()
        return [record.value for record in self.records]

    async def stop(self) -> None:
        """End between two fetches, as a fetch is never canceled."""
        self._stopping = True
        if self._loop is not None:
            await asyncio.wait([self._loop])
            self._raise()
        await self.reader.stop()

    async def ended(self) -> BaseException | None:
        """Return what ended the member's loop."""
        await eventually(self.failed)
        assert self._loop is not None
        self._stopping = True
        error, self._loop = self._loop.exception(), None
        return error

    def revocations(self) -> list[frozenset[TopicPartition]]:
        """Every set of partitions that was taken away; empty ones do not count."""
        return [partitions for what, partitions in self.events if what == "revoked" and partitions]

    async def _assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.events.append(("assigned", partitions))
        self._to_seek = partitions

    async def _revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.events.append(("revoked", partitions))
        self._to_seek = self._resumed = frozenset()

    async def _run(self) -> None:
        while not self._stopping:
            to_seek, self._to_seek = self._to_seek, frozenset()
            if to_seek:
                starts = await self._log.start_offsets(to_seek)
                for partition in to_seek:
                    committed = await self.reader.committed(partition)
                    self.reader.seek(partition, starts[partition] if committed is None else committed)
                self.reader.resume(to_seek)
                self._resumed = to_seek & self.reader.assignment()
            fetched = await self.reader.fetch(timeout_ms=20, max_records=100)
            for records in fetched.values():
                self.records += records

    def failed(self) -> bool:
        """Whether a fetch raised."""
        return self._loop is not None and self._loop.done()

    def _raise(self) -> None:
        if self._loop is not None and self._loop.done() and self._loop.exception() is not None:
            raise self._loop.exception()  # type: ignore[misc]
