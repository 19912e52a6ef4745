"""One partition: a list of entries with the transaction bookkeeping that decides what a reader sees."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from enum import Enum, auto

from pipeline.runtime.api import Headers


class Fate(Enum):
    """What became of the part of a transaction that is in one partition."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(slots=True)
class Span:
    """What one transaction wrote to one partition, from ``first`` on."""

    first: int
    fate: Fate = Fate.OPEN


@dataclass(frozen=True, slots=True)
class Entry:
    """One offset; ``span`` None means written without a transaction."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    span: Span | None = None
    is_marker: bool = False

    @property
    def is_visible(self) -> bool:
        """Whether a read_committed reader is ever handed this, given that no open transaction stands before it."""
        return not self.is_marker and (self.span is None or self.span.fate is Fate.COMMITTED)


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """``append_time``: the broker stamps records (LogAppendTime). ``max_message_bytes`` as the broker's setting."""

    partitions: int
    append_time: bool = False
    max_message_bytes: int = 1_048_588


def _offset(entry: Entry) -> int:
    return entry.offset


@dataclass(slots=True)
class MemoryPartition:
    """Entries in offset order; compaction leaves gaps, retention moves ``start``, ``end`` is the high watermark."""

    config: TopicConfig
    start: int = 0
    end: int = 0
    entries: list[Entry] = field(default_factory=list)
    open_spans: list[Span] = field(default_factory=list)
    watchers: dict[asyncio.Event, None] = field(default_factory=dict)
    """In the order they came: that of a set would follow their addresses, and differ from run to run."""

    @property
    def last_stable(self) -> int:
        """The first offset of the oldest open transaction, else the high watermark: readers stop here."""
        return min(span.first for span in self.open_spans) if self.open_spans else self.end

    def append(
        self,
        timestamp_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        span: Span | None = None,
        *,
        is_marker: bool = False,
    ) -> int:
        """Take the next offset; wakes readers unless a transaction hides the record."""
        offset = self.end
        self.entries.append(Entry(offset, timestamp_ms, key, value, headers, span, is_marker))
        self.end += 1
        if not self.open_spans:
            self._wake()
        return offset

    def open_span(self) -> Span:
        """Begin a transaction's part of this partition at the current end."""
        span = Span(self.end)
        self.open_spans.append(span)
        return span

    def close_span(self, span: Span, fate: Fate, now_ms: int) -> None:
        """Write the control marker, which takes an offset as in Kafka, and let readers past."""
        span.fate = fate
        self.open_spans.remove(span)
        self.append(now_ms, None, None, (), span, is_marker=True)
        self._wake()

    def read(self, position: int, limit: int) -> tuple[list[Entry], int]:
        """At most ``limit`` visible entries from ``position`` on, and where to go on.

        The new position is behind everything looked at: markers, aborted records and gaps as well.
        """
        stop = self.last_stable
        visible: list[Entry] = []
        for index in range(bisect_left(self.entries, position, key=_offset), len(self.entries)):
            entry = self.entries[index]
            if entry.offset >= stop:
                break
            if entry.is_visible:
                if len(visible) == limit:
                    return visible, entry.offset
                visible.append(entry)
        return visible, max(position, stop)

    def offset_at(self, timestamp_ms: int) -> int:
        """The first offset, in offset order, whose timestamp is not earlier; the end where there is none."""
        return next((entry.offset for entry in self.entries if entry.timestamp_ms >= timestamp_ms), self.end)

    def delete_before(self, offset: int) -> None:
        """Retention: forget everything before ``offset``."""
        self.start = min(max(self.start, offset), self.end)
        del self.entries[: bisect_left(self.entries, self.start, key=_offset)]

    def compact(self, *, drop_tombstones: bool) -> None:
        """Keep the last committed value of each key, as the cleaner does below the last stable offset.

        Aborted records and markers go too, so the partition may end in a gap: ``end`` never moves.
        """
        stop = self.last_stable
        latest = {entry.key: entry.offset for entry in self.entries if entry.offset < stop and entry.is_visible}

        def stays(entry: Entry) -> bool:
            if entry.offset >= stop:
                return True
            if not entry.is_visible or latest[entry.key] != entry.offset:
                return False
            return entry.value is not None or not drop_tombstones

        self.entries = [entry for entry in self.entries if stays(entry)]

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()
