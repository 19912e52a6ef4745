"""Reading public topics from their end, for as long as somebody wants to know what comes."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeVar

import structlog

from pipeline.errors import LogUnavailable, Poison
from pipeline.records.codec import Codec
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Record
from pipeline.runtime.log import Log, Reader, TopicPartition

log = structlog.get_logger(__name__)
R = TypeVar("R", bound=AvroRecord)

RETRY_S: Final = 1.0
"""Readers are replaced at most this often."""
FETCH_MS: Final = 500
"""How long one fetch waits when nothing comes; what comes is handed over at once."""
FETCH_RECORDS: Final = 2_000


class Follower:
    """Hands over every record that all partitions of ``topics`` get from :meth:`start` on.

    A reader that fails is replaced by one that goes on where it was: at once, but no more often than every
    :data:`RETRY_S`. So nothing is left out, and nothing is handed over twice.
    """

    def __init__(
        self,
        *,
        log: Log,
        topics: Sequence[str],
        take: Callable[[Record], None],
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        """``take`` is called with each record and must not raise; ``failed`` with the cause when a reader failed."""
        self._log = log
        self._topics = topics
        self._take = take
        self._failed = failed
        self._positions: dict[TopicPartition, int] = {}
        self._reader: Reader | None = None
        self._reading: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._lasting = False
        self._replaceable_s = -math.inf

    @property
    def failure(self) -> Exception | None:
        """Why nothing can be read now; None while all is well."""
        return self._failure

    def expect_readable(self, *, patient: bool = False) -> None:
        """Raises LogUnavailable with the cause while nothing can be read.

        ``patient`` does so only once the reader that came in place of the one that failed has failed too: mostly it
        reads on within milliseconds.
        """
        if self._failure is not None and (self._lasting or not patient):
            raise unreadable(self._topics, self._failure) from self._failure

    async def start(self) -> None:
        """Find the ends, then read from there until :meth:`stop`. Raises LogUnavailable, Misconfigured (no topics)."""
        partitions = [
            TopicPartition(topic, number)
            for topic in self._topics
            for number in range(await self._log.partitions(topic))
        ]
        self._positions = await self._log.end_offsets(partitions)
        self._reader = await self._log.reader(self._positions)
        self._reading = asyncio.create_task(self._follow(), name=f"follow {' '.join(self._topics)}")

    async def stop(self) -> None:
        """Read no more; harmless to repeat."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        await self._let_go()

    async def _follow(self) -> None:
        while True:
            try:
                if self._reader is None:
                    self._reader = await self._log.reader(self._positions)
                await self._read(self._reader)
            except Exception as error:
                log.warning("reading interrupted", action="reading_interrupted", topics=self._topics, cause=repr(error))
                self._lasting = self._failure is not None
                self._failure = error
                self._failed(error)
                await self._let_go()
                now_s = asyncio.get_running_loop().time()
                # The first time at once: it is mostly the reader's own trouble, and somebody waits for what comes.
                # But what fails again and again, though it reads some records in between, must not spin.
                pause_s = max(0.0, self._replaceable_s - now_s)
                self._replaceable_s = now_s + pause_s + RETRY_S
                await asyncio.sleep(pause_s)

    async def _read(self, reader: Reader) -> None:
        while True:
            records = await reader.fetch(timeout_ms=FETCH_MS, max_records=FETCH_RECORDS)
            self._failure = None
            for record in records:
                # First, so that a record which cannot be taken is not met again and again.
                self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
                self._take(record)

    async def _let_go(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            try:
                await reader.stop()
            except Exception as error:
                # It is let go either way, and another one may read.
                log.warning("reader not stopped", action="reader_not_stopped", cause=repr(error))


def unreadable(topics: Sequence[str], cause: Exception) -> LogUnavailable:
    """What whoever waits for a record of these topics is told."""
    names = " and ".join(topic.rpartition(".")[2] for topic in topics)
    return LogUnavailable(f"{names} cannot be read: {cause!r}")


async def follow(log: Log, codec: Codec, topic: str, record_type: type[R], *, from_start: bool) -> AsyncIterator[R]:
    """Every record of a public topic, from its first kept one or from now on, for ever; unreadable ones are skipped."""
    partitions = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
    starts = await (log.start_offsets if from_start else log.end_offsets)(partitions)
    reader = await log.reader(starts)
    try:
        while True:
            for record in await reader.fetch(timeout_ms=FETCH_MS, max_records=FETCH_RECORDS):
                with contextlib.suppress(Poison):
                    yield codec.decode(record_type, record.value, public=True)
    finally:
        await reader.stop()
