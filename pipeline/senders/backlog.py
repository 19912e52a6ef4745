"""The commands of one task that are not finished: waiting for a permit, waiting for a moment, or called.

All in memory and bound to be lost: their records are held (not committed), so a new task reads them again.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pipeline.records.internal import SendCommand
from pipeline.records.types import CommandKind
from pipeline.runtime.api import Lane, Queue
from pipeline.senders.keys import work_key
from pipeline.senders.provider import Opened

Source = tuple[str, int]
"""Topic and offset of a held record."""

_QUEUES: Final = MappingProxyType({Lane.INTERACTIVE: (Queue.URGENT, Queue.INTERACTIVE), Lane.BULK: (Queue.BULK,)})
"""Who uses the permits of a lane, in this order."""
_SLACK: Final = 100
"""So many entries of finished commands are not worth a rebuild."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Work:
    """One command that is not finished."""

    command: SendCommand
    opened: Opened
    lane: Lane
    latest_at: int
    """No first byte after this (epoch ms)."""
    sources: dict[Source, None] = field(default_factory=dict)
    """Its records; more than one when the command was written twice."""
    queued: bool = False
    started: bool = False
    canceled: bool = False
    """Nobody wants it any more; its call runs, and is not to be made again."""
    throttled: bool = False
    repeated: bool = False
    """It was asked again at once with fresh values."""
    tries: int = 0
    """Calls made for it by this task."""
    not_before_s: float = 0.0
    """Monotonic; a throttled command waits until then."""
    key: str = field(init=False)
    """The :func:`work_key` of its command."""
    queue: Queue = field(init=False)
    """Checks go before everything: a person has typed a code, and hundreds of sends may wait for the rate."""

    def __post_init__(self) -> None:
        self.key = work_key(self.command)
        later = Queue.BULK if self.lane is Lane.BULK else Queue.INTERACTIVE
        self.queue = Queue.URGENT if self.command.kind is CommandKind.CHECK else later


class Backlog:
    """Works by :func:`work_key`, the ready ones in order by queue, the others by when they are due."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        # Whoever leaves stays in these three until it is met at the head, or until a rebuild.
        self._ready: dict[Queue, deque[str]] = {queue: deque() for queue in Queue}
        self._delayed: list[tuple[float, str]] = []
        self._deadlines: list[tuple[int, str]] = []
        self._held: dict[str, set[int]] = {}
        self._counts = dict.fromkeys(Queue, 0)

    def count(self, queue: Queue) -> int:
        """Works of a queue in memory, called ones included."""
        return self._counts[queue]

    def add(self, work: Work) -> None:
        """Take a command in; :meth:`enqueue` makes it wait for a permit."""
        self.works[work.key] = work
        self._counts[work.queue] += 1

    def hold(self, work: Work, source: Source) -> None:
        """A record of this command is not finished."""
        work.sources[source] = None
        self._held.setdefault(source[0], set()).add(source[1])

    def remove(self, key: str) -> list[Source]:
        """The command is finished; returns its held records."""
        work = self.works.pop(key, None)
        if work is None:
            return []
        self._counts[work.queue] -= 1
        for topic, offset in work.sources:
            self._held[topic].discard(offset)
        self._forget()
        return list(work.sources)

    def holds_before(self, topic: str, offset: int) -> bool:
        """Whether the committed position of ``topic`` cannot have passed ``offset``."""
        return any(held <= offset for held in self._held.get(topic, ()))

    def is_canceled(self, key: str) -> bool:
        """Whether a cancel was read after it had started; out of a backlog both may come in one transaction."""
        work = self.works.get(key)
        return work is not None and work.canceled

    def enqueue(self, key: str, *, now_s: float, first: bool = False) -> None:
        """Wait for a permit, after ``not_before_s`` when that is still to come."""
        work = self.works[key]
        work.started = False
        heapq.heappush(self._deadlines, (work.latest_at, key))
        if work.not_before_s > now_s:
            work.queued = False
            heapq.heappush(self._delayed, (work.not_before_s, key))
        elif not work.queued:
            work.queued = True
            ready = self._ready[work.queue]
            ready.appendleft(key) if first else ready.append(key)
        self._forget()

    def head(self, lane: Lane) -> Work | None:
        """The next command that waits for a permit of this lane."""
        for ready in (self._ready[queue] for queue in _QUEUES[lane]):
            while ready:
                work = self.works.get(ready[0])
                if work is not None and work.queued:
                    return work
                ready.popleft()
        return None

    def start(self, work: Work) -> None:
        """It has its permit and leaves the queue it is the head of."""
        self._ready[work.queue].popleft()
        work.queued = False
        work.started = True

    def waiting(self, lane: Lane) -> int:
        """How many permits the lane could use now (an upper bound)."""
        return 0 if self.head(lane) is None else sum(len(self._ready[queue]) for queue in _QUEUES[lane])

    def wake_delayed(self, now_s: float) -> None:
        """Put what has waited long enough back in front, as it is older than the rest; but only once.

        A provider may turn away one recipient only, and say it of everybody: whoever is refused each time would be the
        first after each pause, and nobody behind it ever called.
        """
        due: list[Work] = []
        while self._delayed and self._delayed[0][0] <= now_s:
            _, key = heapq.heappop(self._delayed)
            work = self.works.get(key)
            if work is not None and not work.queued and not work.started:
                due.append(work)
        for work in due:
            if work.tries > 1:
                self.enqueue(work.key, now_s=now_s)
        for work in reversed(due):
            if work.tries <= 1:
                self.enqueue(work.key, now_s=now_s, first=True)

    def overdue(self, now_ms: int) -> list[Work]:
        """Commands not called that may not be called any more; the caller removes each."""
        late: list[Work] = []
        while self._deadlines and self._deadlines[0][0] < now_ms:
            entry = heapq.heappop(self._deadlines)
            if self._waits(entry) and self.works[entry[1]] not in late:
                late.append(self.works[entry[1]])
        return late

    def next_wake_s(self, *, now_s: float, now_ms: int) -> float | None:
        """Seconds until a command becomes ready or overdue by itself; None when none will."""
        waits = []
        while self._deadlines and not self._waits(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        if self._deadlines:
            waits.append((self._deadlines[0][0] - now_ms + 1) / 1_000)
        if self._delayed:
            waits.append(self._delayed[0][0] - now_s)
        return max(0.0, min(waits)) if waits else None

    def _waits(self, entry: tuple[int, str]) -> bool:
        work = self.works.get(entry[1])
        return work is not None and not work.started and work.latest_at == entry[0]

    def _forget(self) -> None:
        """Rebuild what holds more of finished commands than of others, so that memory follows the works.

        Each rebuild is paid for by the entries it drops: the cost of one entry stays that of a heap.
        """
        most = 2 * len(self.works) + _SLACK
        if len(self._deadlines) > most:
            # A sorted list is a heap, and a command that was queued again has one entry once more.
            self._deadlines = sorted({entry for entry in self._deadlines if self._waits(entry)})
        if len(self._delayed) > most:
            self._delayed = sorted({entry for entry in self._delayed if entry[1] in self.works})
        for queue, ready in self._ready.items():
            if len(ready) > most:
                waiting = (key for key in ready if key in self.works and self.works[key].queued)
                self._ready[queue] = deque(dict.fromkeys(waiting))
