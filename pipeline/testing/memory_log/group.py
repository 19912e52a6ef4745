"""The group coordinator: static seats, one range assignment per generation, eager rebalances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.runtime.log import TopicPartition


class Member(Protocol):
    """What the coordinator tells a member; all calls return at once."""

    instance: str
    topics: Sequence[str]

    def ask_to_rejoin(self) -> None:
        """A rebalance began, or the coordinator no longer knows this member."""

    def grant(self, partitions: frozenset[TopicPartition]) -> None:
        """The answer to a join."""

    def fence(self) -> None:
        """Another member took this one's instance name."""


@dataclass(slots=True)
class _Seat:
    """One static instance. It outlives the process that sits on it, up to the session timeout."""

    member: Member
    topics: tuple[str, ...]
    joined: bool = True
    left_at_s: float | None = None
    partitions: frozenset[TopicPartition] = frozenset()


class Group:
    """``offsets`` are the committed positions; ``generation`` counts completed rebalances."""

    def __init__(self, partition_count: Callable[[str], int], monotonic_s: Callable[[], float]) -> None:
        self.offsets: dict[TopicPartition, int] = {}
        self.generation = 0
        self._partition_count = partition_count
        self._monotonic_s = monotonic_s
        self._seats: dict[str, _Seat] = {}
        self._rebalancing_since_s: float | None = None

    def join(self, member: Member) -> None:
        """A member wants partitions; it is granted them now or when all have joined."""
        seat = self._seats.get(member.instance)
        if seat is None:
            seat = self._seats[member.instance] = _Seat(member, tuple(member.topics))
            self._rebalance(joining=member)
        elif seat.member is not member:
            # A static instance that comes back, or a second process that was given the same ordinal: the broker
            # cannot tell them apart, the later one has the seat.
            if seat.left_at_s is None:
                seat.member.fence()
            seat.member = member
            seat.left_at_s = None
            if seat.topics != tuple(member.topics):
                seat.topics = tuple(member.topics)
                self._rebalance(joining=member)
        elif self._rebalancing_since_s is None and next(iter(self._seats)) == member.instance:
            # Only the leader's wish for a new assignment disturbs the others.
            self._rebalance(joining=member)
        seat.joined = True
        if self._rebalancing_since_s is None:
            # Known with an unchanged subscription and nothing going on: the old partitions, and nobody is disturbed.
            member.grant(seat.partitions)
        else:
            self._complete_if_all_joined()

    def leave(self, member: Member) -> None:
        """The member's process is gone; a static seat stays until the session times out."""
        seat = self._seats.get(member.instance)
        if seat is not None and seat.member is member:
            seat.left_at_s = self._monotonic_s()

    def expire(self, instance: str) -> None:
        """Take the seat away now; a member still sitting on it has to join anew."""
        seat = self._seats.pop(instance, None)
        if seat is None:
            return
        if seat.left_at_s is None:
            seat.member.ask_to_rejoin()
        if self._seats:
            self._rebalance()
            self._complete_if_all_joined()
        else:
            self._rebalancing_since_s = None

    def sweep(self, session_timeout_s: float, rebalance_timeout_s: float) -> None:
        """Do what the broker's timers would have done by now."""
        now_s = self._monotonic_s()
        for instance, seat in list(self._seats.items()):
            if seat.left_at_s is not None and now_s - seat.left_at_s >= session_timeout_s:
                self.expire(instance)
        since_s = self._rebalancing_since_s
        if since_s is not None and now_s - since_s >= rebalance_timeout_s:
            # The broker goes on without those that did not join; a static one keeps its seat and its share.
            self._complete()

    def instances(self) -> frozenset[str]:
        """Who has a seat, present or not."""
        return frozenset(self._seats)

    def _rebalance(self, joining: Member | None = None) -> None:
        if self._rebalancing_since_s is not None:
            return
        self._rebalancing_since_s = self._monotonic_s()
        for seat in self._seats.values():
            seat.joined = False
            if seat.left_at_s is None and seat.member is not joining:
                seat.member.ask_to_rejoin()

    def _complete_if_all_joined(self) -> None:
        if self._rebalancing_since_s is not None and all(seat.joined for seat in self._seats.values()):
            self._complete()

    def _complete(self) -> None:
        self._rebalancing_since_s = None
        self.generation += 1
        shares = self._range_shares()
        for instance, seat in self._seats.items():
            seat.partitions = frozenset(shares[instance])
            if seat.joined:
                seat.member.grant(seat.partitions)

    def _range_shares(self) -> dict[str, list[TopicPartition]]:
        """Kafka's range assignor: per topic, members in order of their name, the first ones get one more."""
        shares: dict[str, list[TopicPartition]] = {instance: [] for instance in self._seats}
        for topic in sorted({topic for seat in self._seats.values() for topic in seat.topics}):
            readers = sorted(instance for instance, seat in self._seats.items() if topic in seat.topics)
            each, extra = divmod(self._partition_count(topic), len(readers))
            first = 0
            for index, instance in enumerate(readers):
                count = each + (index < extra)
                shares[instance] += _run(topic, first, count)
                first += count
        return shares


def _run(topic: str, first: int, count: int) -> Iterable[TopicPartition]:
    return (TopicPartition(topic, partition) for partition in range(first, first + count))
