"""A member of a consumer group."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiokafka.errors
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from pipeline.errors import LogUnavailable, Misconfigured
from pipeline.runtime.api import Record
from pipeline.runtime.kafka.connection import connection_options, no_broker
from pipeline.runtime.kafka.lean_records import LEAN
from pipeline.runtime.kafka.names import Names
from pipeline.runtime.kafka.readers import FETCH_WAIT_MS, STOPPED, stopped
from pipeline.runtime.kafka.waiting import retrieve
from pipeline.runtime.log import LatestEnds, Rebalance, TopicPartition
from pipeline.settings import KafkaSettings

log = structlog.get_logger(__name__)

LEAVE_S = 1.5
"""How long a member may take; a static one has nothing to say to its group, and the runner keeps 2 s for this."""
TWIN_TIMES, TWIN_WINDOW_S = 3, 60.0
"""Forgotten so often in so short a time is a twin's doing; a process that froze loses its place once. The time is less
where members are given up for their silence sooner: see :meth:`KafkaGroupReader.has_twin`."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands rebalances on; keeps an exception for the main loop, since aiokafka only logs and swallows it.

    ``test_hazard_11_the_library_swallows_what_a_callback_raises_and_calls_none_when_it_stops`` tells when it does not.
    """

    def __init__(self, reader: KafkaGroupReader, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        self._reader = reader
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[KafkaPartition]) -> None:
        await self._run(self._on_revoked, revoked)
        if self._reader.has_twin():
            # Joining again would throw the twin out, and it would end as well. This callback stands before the join,
            # so not returning leaves the place to the twin; ``stop`` cancels it.
            await asyncio.Event().wait()

    async def on_partitions_assigned(self, assigned: Iterable[KafkaPartition]) -> None:
        # aiokafka resolves a position even for a paused partition, before the previous owner's commit may be
        # visible, and without a committed offset it fails the next fetch. A position of any kind stops both; the
        # task seeks to the right one after it has fenced the previous owner. See
        # ``test_trap_a_paused_partition_has_a_position_before_its_owner_fenced_anybody``.
        for partition in assigned:
            self._reader.consumer.pause(partition)
            self._reader.consumer.seek(partition, 0)
        self._reader._joined = True
        await self._run(self._on_assigned, assigned)

    async def _run(self, callback: Rebalance, partitions: Iterable[KafkaPartition]) -> None:
        try:
            await callback(frozenset(map(self._reader.names.ours, partitions)))
        except Exception as error:
            self._reader._fail(error)


class KafkaGroupReader:
    """A member of a consumer group; see :class:`pipeline.runtime.log.GroupReader`."""

    def __init__(
        self, *, settings: KafkaSettings, group: str, topics: Sequence[str], instance: str, client_id: str
    ) -> None:
        self._settings = settings
        self._group = settings.topic_prefix + group
        self._topics = [settings.topic_prefix + topic for topic in topics]
        self._instance = settings.topic_prefix + instance
        self._client_id = client_id
        self.names = Names(settings.topic_prefix)
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gaps: Counter[str] = Counter()
        self._joined = False
        self._forgotten_s: deque[float] = deque(maxlen=TWIN_TIMES)
        self._under_way: dict[KafkaPartition, int] = {}
        self.consumer: AIOKafkaConsumer = None

    def has_twin(self) -> bool:
        """Whether another process has our place: a live static member told again and again that nobody knows it.

        The heartbeats of this library do not carry the instance name, so the broker cannot say so; it only forgets the
        member (``test_trap_heartbeats_of_the_library_do_not_name_their_instance``). Asked when the group is about to be
        joined anew; a member that was forgotten has lost its id by then.
        """
        if not self._joined or self.consumer._coordinator.member_id:
            return False
        now_s = asyncio.get_running_loop().time()
        self._forgotten_s.append(now_s)
        # Whoever is forgotten for its silence, as when brokers stand still again and again, was silent for a session
        # each time; twins throw each other out within two heartbeats.
        within_s = min(TWIN_WINDOW_S, (TWIN_TIMES - 1) * self._settings.session_timeout_ms / 1000)
        if len(self._forgotten_s) < TWIN_TIMES or now_s - self._forgotten_s[0] >= within_s:
            return False
        self._fail(self._twin())
        return True

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # seen, also when nobody fetches any more

    def _twin(self) -> Misconfigured:
        return Misconfigured(
            f"the group {self._group} keeps giving the place {self._instance} to another process; two processes of a "
            "stage run with the same ordinal: give each its own --instance"
        )

    async def start(self, on_assigned: Rebalance, on_revoked: Rebalance) -> None:
        """Join the group; raises LogUnavailable."""
        self.consumer = AIOKafkaConsumer(
            **connection_options(self._settings, self._client_id),
            group_id=self._group,
            group_instance_id=self._instance,
            enable_auto_commit=False,
            value_deserializer=LEAN,
            isolation_level="read_committed",
            auto_offset_reset="none",
            # Exactly one: with two, aiokafka sends a JoinGroup for each, as
            # ``test_hazard_13_of_two_assignors_the_library_joins_once_for_each`` sees.
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=self._settings.session_timeout_ms,
            heartbeat_interval_ms=min(3_000, self._settings.session_timeout_ms // 3),
            rebalance_timeout_ms=self._settings.rebalance_timeout_ms,
            # JoinGroup is answered only when the rebalance ends.
            request_timeout_ms=self._settings.rebalance_timeout_ms + self._settings.request_timeout_ms,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_poll_interval_ms=300_000,
            retry_backoff_ms=100,
        )
        self.consumer.subscribe(self._topics, listener=_Listener(self, on_assigned, on_revoked))
        try:
            await self.consumer.start()
        except aiokafka.errors.KafkaConnectionError as error:
            await stopped(self.consumer)
            raise no_broker(self._settings.bootstrap_servers) from error

    async def fetch(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        """Next records; a position that retention has overrun moves to the first record kept and is counted."""
        # A failure in a callback is noticed although getmany waits for the end of the rebalance whatever its timeout
        # (aiokafka#335, until
        # ``test_hazard_10_a_fetch_of_the_librarys_waits_for_the_revoked_callback_whatever_its_timeout`` fails). It is
        # left behind then, not cancelled: a cancelled one switches max_poll_interval off (hazard 12, until
        # ``test_hazard_12_a_canceled_fetch_of_the_librarys_counts_as_one_that_never_ends`` fails).
        getmany: asyncio.Future[Any] = asyncio.ensure_future(self._getmany(timeout_ms, max_records))
        getmany.add_done_callback(retrieve)
        await asyncio.wait({getmany, self._failure}, return_when=asyncio.FIRST_COMPLETED)
        if self._failure.done():
            self._failure.result()
        try:
            fetched = await getmany
        except aiokafka.errors.OffsetOutOfRangeError as error:
            await self._skip_gap(error.args[0])
            return {}
        except aiokafka.errors.NoOffsetForPartitionError:
            # Resolved for an assignment that was taken over by a seek meanwhile.
            return {}
        except aiokafka.errors.ConsumerStoppedError as error:
            raise LogUnavailable(STOPPED) from error
        except aiokafka.errors.KafkaError as error:
            if "UnknownError" in repr(error):
                # FENCED_INSTANCE_ID (82): the group has given our place to somebody else. It is unknown to the library
                # until ``test_trap_the_library_does_not_know_these_error_codes`` fails.
                raise self._twin() from error
            raise
        self._under_way = {}
        return {self.names.ours(place): self.names.records(place, found) for place, found in fetched.items()}

    async def _getmany(self, timeout_ms: int, max_records: int) -> dict[KafkaPartition, list[Any]]:
        fetched: dict[KafkaPartition, list[Any]]
        fetched = await self.consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
        # The consumer's positions have moved, but it takes two turns of the loop until our caller has the records. A
        # due timer that looked in between would believe them handled, and fire before what stood before its deadline.
        self._under_way = {partition: records[0].offset for partition, records in fetched.items()}
        return fetched

    async def _skip_gap(self, positions: Mapping[KafkaPartition, int]) -> None:
        try:
            starts = await self.consumer.beginning_offsets(list(positions))
        except aiokafka.errors.KafkaTimeoutError:
            # The broker went away meanwhile. Nothing has moved: the next fetch finds the same and asks again.
            return
        for partition, position in positions.items():
            topic = self.names.ours(partition).topic
            self.gaps[topic] += 1
            log.error(
                "position behind retention",
                action="offset_gap",
                topic=topic,
                partition=partition.partition,
                position=position,
                first_kept=starts[partition],
            )
            self.consumer.seek(partition, starts[partition])

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions owned now."""
        return frozenset(map(self.names.ours, self.consumer.assignment()))

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching those still owned."""
        self.consumer.pause(*self._owned(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch those still owned again."""
        self.consumer.resume(*self._owned(partitions))

    def _owned(self, partitions: Iterable[TopicPartition]) -> list[KafkaPartition]:
        owned = self.consumer.assignment()
        return [p for p in map(self.names.theirs, partitions) if p in owned]

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Fetch from here next, unless the partition was lost meanwhile."""
        with contextlib.suppress(aiokafka.errors.IllegalStateError):
            self.consumer.seek(self.names.theirs(partition), offset)

    async def committed(self, partition: TopicPartition) -> int | None:
        """The group's committed position, read from the broker; raises LogUnavailable."""
        try:
            # The library asks without end while no coordinator answers.
            async with asyncio.timeout(self._settings.request_timeout_ms / 1000):
                found = await self.consumer.committed(self.names.theirs(partition))
        except TimeoutError as error:
            raise LogUnavailable(f"no Kafka broker tells where the group {self._group} stands") from error
        return None if found is None or found < 0 else int(found)

    async def position(self, partition: TopicPartition) -> int:
        """The next offset to fetch; -1 for a partition not owned any more."""
        under_way = self._under_way.get(self.names.theirs(partition))
        if under_way is not None:
            return under_way
        state = self.consumer._subscription.subscription.assignment.state_value(self.names.theirs(partition))
        return int(state.position) if state is not None and state.has_valid_position else -1

    def latest_ends(self, partition: TopicPartition) -> LatestEnds | None:
        """Where it ended at its latest fetch."""
        state = self.consumer._subscription.subscription.assignment.state_value(self.names.theirs(partition))
        if state is None or state.lso is None or state.highwater is None:
            return None
        return LatestEnds(int(state.highwater), int(state.lso), time.time() - state.timestamp / 1000)

    def rejoin(self) -> None:
        """Ask the group for a new assignment."""
        self.consumer._coordinator.request_rejoin()

    async def stop(self) -> None:
        """Leave; a static member keeps its place until the session timeout."""
        if self.consumer is None:
            return
        if self._failure.done():
            # A callback of ours may hold the coordination back for good (a twin has our place).
            self.consumer._coordinator._coordination_task.cancel()
        await stopped(self.consumer, LEAVE_S)
