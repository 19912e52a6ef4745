"""Who may call the provider now: concurrency and rate of one provider instance in one process.

All tasks of the process share one :class:`Permits`. A command gets a concurrency slot and a rate token together, or
neither. Interactive goes before bulk, and bulk can never fill the slots kept for interactive; within a lane the tasks
take turns. The rate is per credential, so a process may use the share of it that its partitions are of the whole.

A stage that gets no permit says how many it could use (:meth:`Permits.want`); when some free up they are *reserved* for
it before it is woken, else the task that happens to run next would take them and starve the others. What is granted or
reserved but not used within :data:`LEASE_S` goes back: a task that lost its transaction never comes for it.

Pure but for the two functions given: the monotonic clock, and ``later(seconds, function)``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from pipeline.runtime.api import Lane

LEASE_S: Final = 5.0
"""As long as STARTED is fresh: a call not begun by then is not begun at all."""
RESERVED_SHARE: Final = 0.2
"""Of the slots, for interactive commands only."""
BURST_S: Final = 0.05
"""Tokens saved up while idle, in seconds of the rate; at least one token."""

_LANES: Final = tuple(Lane)
"""Interactive first. Iterating the enumeration itself runs Python code at each step."""

Later = Callable[[float, Callable[[], None]], object]


class Permits:
    """Slots and tokens of one provider instance; ``partitions`` is how many the whole group shares."""

    def __init__(
        self,
        *,
        max_concurrency: int,
        rate_per_s: float,
        partitions: int,
        monotonic_s: Callable[[], float],
        later: Later,
    ) -> None:
        self._slots = max_concurrency
        self._kept = math.ceil(max_concurrency * RESERVED_SHARE) if max_concurrency > 1 else 0
        self._group_rate = rate_per_s
        self._partitions = partitions
        self._now_s = monotonic_s
        self._later = later
        self._wakes: dict[int, Callable[[], None]] = {}
        self.rate_per_s = 0.0
        """This process's share of the rate."""
        self._capacity = 1.0
        self._tokens = math.inf  # full, whatever the share will be
        self._refilled_s = monotonic_s()
        self._paused_until_s = 0.0
        self._leases: OrderedDict[object, tuple[float, int, Lane]] = OrderedDict()
        self._reserved: dict[tuple[int, Lane], list[object]] = {}
        self._running: dict[str, Lane] = {}
        self._used = {Lane.INTERACTIVE: 0, Lane.BULK: 0}
        self._demand: dict[Lane, OrderedDict[int, int]] = {lane: OrderedDict() for lane in _LANES}
        self._woken: set[int] = set()
        self._timer_at_s = math.inf

    @property
    def calls(self) -> int:
        """Calls under way or about to be."""
        self._expire(self._now_s())
        return self._used[Lane.INTERACTIVE] + self._used[Lane.BULK] - sum(map(len, self._reserved.values()))

    def own(self, partition: int, wake: Callable[[], None]) -> None:
        """A task works on this partition from now on and is told by ``wake`` when permits are reserved for it.

        What an earlier task of the partition left unused goes back.
        """
        self._wakes[partition] = wake
        self._share()
        now_s = self._refill()
        self._return_unused(partition)
        self._offer(now_s)

    def disown(self, partition: int) -> None:
        """The partition is somebody else's now; calls still running keep their slots."""
        now_s = self._refill()
        self._wakes.pop(partition, None)
        self._share()
        self._return_unused(partition)
        self._offer(now_s)

    def take(self, partition: int, key: str, lane: Lane) -> bool:
        """A permit for one command, to be used within :data:`LEASE_S`; False: say :meth:`want` and wait."""
        now_s = self._refill()
        self._expire(now_s)
        if now_s < self._paused_until_s:
            # What is reserved, too: a call that is told to wait frees its slot a moment before its answer is read.
            return False
        reserved = self._reserved.get((partition, lane))
        if reserved:
            self._leases.pop(reserved.pop())
        elif self._others_wait(partition, lane) or not self._can(lane, now_s):
            return False
        else:
            self._use(lane)
        self._leases[key] = (now_s + LEASE_S, partition, lane)
        return True

    def begun(self, key: str, lane: Lane) -> None:
        """The call runs now; its slot is taken until :meth:`free`."""
        if self._leases.pop(key, None) is None and key not in self._running:
            self._used[lane] += 1  # the lease had run out: one too many for a moment, but counted
        self._running[key] = lane

    def free(self, key: str) -> None:
        """The call is over, or the command will not be called after all. Unknown ids change nothing."""
        lane = self._running.pop(key, None)
        if lane is None:
            lease = self._leases.pop(key, None)
            if lease is None:
                return
            lane = lease[2]
        self._used[lane] -= 1
        self._offer(self._refill())

    def want(self, partition: int, wanted: dict[Lane, int]) -> None:
        """How many more permits a task could use now; reservations it did not use go back."""
        now_s = self._refill()
        self._expire(now_s)
        self._woken.discard(partition)
        for lane in _LANES:
            self._unreserve(partition, lane)
            count = wanted.get(lane, 0)
            if count == 0:
                self._demand[lane].pop(partition, None)
            elif partition in self._wakes:
                self._demand[lane][partition] = count  # keeps its place in the turn
        self._offer(now_s)

    def pause(self, seconds: float) -> None:
        """The provider asked everybody to wait."""
        self._paused_until_s = max(self._paused_until_s, self._now_s() + seconds)

    def _others_wait(self, partition: int, lane: Lane) -> bool:
        ahead = (Lane.INTERACTIVE,) if lane is Lane.INTERACTIVE else (Lane.INTERACTIVE, Lane.BULK)
        return any(other != partition for each in ahead for other in self._demand[each])

    def _can(self, lane: Lane, now_s: float) -> bool:
        return self._has_slot(lane) and self._tokens >= self._needed(lane) and now_s >= self._paused_until_s

    def _has_slot(self, lane: Lane) -> bool:
        used = self._used[Lane.INTERACTIVE] + self._used[Lane.BULK]
        if lane is Lane.INTERACTIVE:
            return used < self._slots
        return used < self._slots and self._used[Lane.BULK] < self._slots - self._kept

    def _needed(self, lane: Lane) -> float:
        """Bulk leaves a token behind where more than one can be saved up, so that a login never waits for one."""
        return 2.0 if lane is Lane.BULK and self._capacity >= 2.0 else 1.0

    def _share(self) -> None:
        self.rate_per_s = self._group_rate * min(len(self._wakes), self._partitions) / self._partitions
        self._capacity = max(1.0, self.rate_per_s * BURST_S)

    def _use(self, lane: Lane) -> None:
        self._used[lane] += 1
        self._tokens -= 1.0

    def _refill(self) -> float:
        """Add the tokens of the time that went by; returns the time now, which every call here reads only once."""
        now_s = self._now_s()
        self._tokens = min(self._capacity, self._tokens + (now_s - self._refilled_s) * self.rate_per_s)
        self._refilled_s = now_s
        return now_s

    def _offer(self, now_s: float) -> None:
        """Reserve what is free, interactive first and each task in turn, and wake who got some."""
        self._expire(now_s)
        wake: list[int] = []
        for lane in _LANES:
            demand = self._demand[lane]
            while demand and self._can(lane, now_s):
                partition, count = demand.popitem(last=False)
                if count > 1:
                    demand[partition] = count - 1
                lease = object()
                self._use(lane)
                self._leases[lease] = (now_s + LEASE_S, partition, lane)
                self._reserved.setdefault((partition, lane), []).append(lease)
                if partition not in self._woken:
                    self._woken.add(partition)
                    wake.append(partition)
            if demand:
                self._sleep(lane, now_s)
                break  # bulk gets nothing that an interactive command waits for
        for partition in wake:
            self._wakes[partition]()

    def _sleep(self, lane: Lane, now_s: float) -> None:
        """Come back when the next token is there; a missing slot needs no timer, as whoever frees it offers again."""
        if not self._has_slot(lane):
            # All leases are equally long, so the oldest is the first to end. Looking through all of them for the least,
            # with each call that ends, was the largest cost of a call that is ours.
            at_s = next(iter(self._leases.values()))[0] if self._leases else math.inf
        else:
            rate = self.rate_per_s
            missing = max(0.0, self._needed(lane) - self._tokens)
            at_s = max(now_s + (missing / rate if rate else math.inf), self._paused_until_s)
        if at_s >= self._timer_at_s or at_s == math.inf:
            return
        self._timer_at_s = at_s
        self._later(max(at_s - now_s, 0.001), self._timer)

    def _timer(self) -> None:
        self._timer_at_s = math.inf
        self._offer(self._refill())

    def _expire(self, now_s: float) -> None:
        while self._leases:
            key, (expires_s, partition, lane) = next(iter(self._leases.items()))
            if expires_s > now_s:
                return
            del self._leases[key]
            self._used[lane] -= 1
            reserved = self._reserved.get((partition, lane), [])
            if key in reserved:
                # The task was woken and never came: gone, or stuck in a commit. If it still lives it asks again.
                reserved.remove(key)
                self._demand[lane].pop(partition, None)
                self._woken.discard(partition)

    def _unreserve(self, partition: int, lane: Lane) -> None:
        for lease in self._reserved.pop((partition, lane), []):
            if self._leases.pop(lease, None) is not None:
                self._used[lane] -= 1
                self._tokens = min(self._capacity, self._tokens + 1.0)

    def _return_unused(self, partition: int) -> None:
        for lane in _LANES:
            self._unreserve(partition, lane)
            self._demand[lane].pop(partition, None)
        for key in [key for key, (_, owner, _) in self._leases.items() if owner == partition]:
            self._used[self._leases.pop(key)[2]] -= 1
        self._woken.discard(partition)
