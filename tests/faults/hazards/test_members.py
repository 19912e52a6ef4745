"""Hazards of group membership: callbacks, fetches through rebalances, and members that the group forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from pipeline.clock import SystemClock
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka.members import KafkaGroupReader
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from tests.contract.log.support import commit, emits, eventually
from tests.integration.runtime.sample import CountingStage, Measured, PlainDeadLetters

from .ground import Ground, Sent, still

FAST = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 100, "auto_offset_reset": "earliest"}


class Listener(ConsumerRebalanceListener):
    """Runs what it was given; counts its calls."""

    def __init__(
        self,
        assigned: Callable[[], Awaitable[None]] | None = None,
        revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._assigned, self._revoked = assigned, revoked
        self.calls: list[str] = []

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.calls.append("assigned")
        if self._assigned is not None:
            await self._assigned()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.calls.append("revoked")
        if revoked and self._revoked is not None:
            await self._revoked()


async def joined(reader: KafkaGroupReader, *partitions: TopicPartition) -> list[str]:
    """Join and own the partitions; the list tells later what became of the membership."""
    events: list[str] = []

    async def assigned(_: frozenset[TopicPartition]) -> None:
        events.append("assigned")

    async def revoked(_: frozenset[TopicPartition]) -> None:
        events.append("revoked")

    await reader.start(assigned, revoked)
    async with asyncio.timeout(30):
        while reader.assignment() != set(partitions):
            await reader.fetch(timeout_ms=50, max_records=10)
    return events


@pytest.mark.usefixtures("stock")
async def test_hazard_09_the_library_sends_no_heartbeat_while_the_assigned_callback_runs(
    ground: Ground, sent: Sent
) -> None:
    topic = await ground.topic()
    beats: list[int] = []

    async def slow() -> None:
        before = sent.count("HeartbeatRequest")
        await asyncio.sleep(1)
        beats.append(sent.count("HeartbeatRequest") - before)

    await ground.member(topic, listener=Listener(assigned=slow), **FAST)
    await eventually(lambda: bool(beats))
    with still("hazard 9", "the assigned callback of members.py and runner.py may take its time"):
        assert beats[0] == 0


def test_hazard_09_our_assigned_callback_returns_without_waiting_for_anything() -> None:
    async def inside() -> None:
        class Bare:
            def group_reader(self, *_: object) -> object:
                return self

        runner: StageRunner[Any] = StageRunner(
            name="count",
            inputs=CountingStage.inputs,
            changelog=CountingStage.changelog,
            make_stage=lambda *_: CountingStage(),  # type: ignore[arg-type,return-value]
            log=Bare(),  # type: ignore[arg-type]
            clock=SystemClock(),
            settings=RuntimeSettings(),
            metrics=Measured(),
            dead_letters=PlainDeadLetters(),
        )
        callback = runner._assigned(frozenset(TopicPartition(topic, n) for topic in runner.topics for n in range(8)))
        with pytest.raises(StopIteration):
            callback.send(None)  # one step: an await that waits would hand something out here
        owners = [owner._loop for owner in runner._owners.values()]
        assert len(owners) == 8
        for owner in owners:
            owner.cancel()
        await asyncio.wait(owners)

    asyncio.run(inside())


@pytest.mark.usefixtures("stock")
async def test_hazard_10_a_fetch_of_the_librarys_waits_for_the_revoked_callback_whatever_its_timeout(
    ground: Ground,
) -> None:
    """So a callback that waits for a lock which is held over the fetch waits for ever."""
    topic = await ground.topic()
    lock, revoking, enough = asyncio.Lock(), asyncio.Event(), asyncio.Event()

    async def let_go() -> None:
        revoking.set()
        waits = asyncio.ensure_future(lock.acquire())
        await asyncio.wait({waits, asyncio.ensure_future(enough.wait())}, return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()

    member = await ground.member(topic, listener=Listener(revoked=let_go), **FAST)
    await eventually(lambda: bool(member.assignment()))
    member._coordinator.request_rejoin()
    async with lock:
        await revoking.wait()
        fetching = asyncio.ensure_future(member.getmany(timeout_ms=100))
        with still("hazard 10", "a fetch ends in its time, so runner.py may hold a lock over it"):
            await asyncio.wait({fetching}, timeout=1.5)
            assert not fetching.done()
        enough.set()
        async with asyncio.timeout(30):
            await fetching


async def test_hazard_10_our_revoked_callback_waits_for_no_fetch_and_a_failure_in_it_ends_the_fetch(
    ground: Ground,
) -> None:
    topic = await ground.topic()
    log = await ground.log()
    reader = log.group_reader("group", [topic], "member-0")
    revoking, go_on = asyncio.Event(), asyncio.Event()

    async def assigned(_: frozenset[TopicPartition]) -> None:
        return

    async def revoked(partitions: frozenset[TopicPartition]) -> None:
        if partitions:
            revoking.set()
            await go_on.wait()
            raise ZeroDivisionError("a bug in the callback")

    await reader.start(assigned, revoked)
    async with asyncio.timeout(30):
        while not reader.assignment():
            await reader.fetch(timeout_ms=50, max_records=10)
        reader.rejoin()
        await revoking.wait()
        fetching = asyncio.create_task(reader.fetch(timeout_ms=50, max_records=10))
        await asyncio.sleep(0.2)
        go_on.set()
        with pytest.raises(ZeroDivisionError):
            await fetching
    await reader.stop()


@pytest.mark.usefixtures("stock")
async def test_hazard_11_the_library_swallows_what_a_callback_raises_and_calls_none_when_it_stops(
    ground: Ground,
) -> None:
    topic = await ground.topic()

    async def fail() -> None:
        raise ZeroDivisionError("a bug in the callback")

    listener = Listener(assigned=fail)
    await (await ground.producer()).send_and_wait(ground.prefix + topic, b"v", partition=0)
    member = await ground.member(topic, listener=listener, **FAST)
    with still("hazard 11", "members.py need not keep a callback's failure for the next fetch"):
        async with asyncio.timeout(30):
            while not await member.getmany(timeout_ms=100):
                pass
        assert listener.calls == ["revoked", "assigned"]
    with still("hazard 11", "runner.py may leave a shutdown to the revoked callback"):
        await member.stop()
        assert listener.calls == ["revoked", "assigned"]


@pytest.mark.usefixtures("stock")
async def test_hazard_12_a_canceled_fetch_of_the_librarys_counts_as_one_that_never_ends(ground: Ground) -> None:
    topic = await ground.topic()
    member = await ground.member(topic, **FAST)
    await eventually(lambda: bool(member.assignment()))
    fetching = asyncio.ensure_future(member.getmany(timeout_ms=60_000))
    await asyncio.sleep(0.05)
    fetching.cancel()
    await asyncio.wait({fetching})
    await asyncio.sleep(0.2)
    with still("hazard 12", "members.py may cancel a fetch"):
        assert member._subscription.fetcher_idle_time == 0


async def test_hazard_12_who_cancels_our_fetch_cancels_none_of_the_librarys(ground: Ground) -> None:
    topic = await ground.topic()
    reader = (await ground.log()).group_reader("group", [topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)
    await joined(reader, TopicPartition(topic, 0))
    fetching = asyncio.create_task(reader.fetch(timeout_ms=300, max_records=10))
    await asyncio.sleep(0.05)
    fetching.cancel()
    await asyncio.wait({fetching})
    await eventually(lambda: reader.consumer._subscription.fetcher_idle_time > 0)
    await reader.stop()


@pytest.mark.usefixtures("stock")
async def test_hazard_13_of_two_assignors_the_library_joins_once_for_each(ground: Ground, sent: Sent) -> None:
    topic = await ground.topic()
    both = (RangePartitionAssignor, RoundRobinPartitionAssignor)
    options = {"client_id": "both", "group_instance_id": "static", "partition_assignment_strategy": both}
    member = await ground.member(topic, **FAST, **options)
    await eventually(lambda: sent.count("JoinGroupRequest", "both") > 1 or bool(member.assignment()))
    with still("hazard 13", "members.py may name more than one assignor"):
        assert sent.count("JoinGroupRequest", "both") > 1


async def test_hazard_13_our_member_joins_once(ground: Ground, sent: Sent) -> None:
    topic = await ground.topic()
    log = await ground.log()
    reader = log.group_reader("group", [topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)
    await joined(reader, TopicPartition(topic, 0))
    await reader.stop()
    assert sent.count("JoinGroupRequest") == 1


async def test_hazard_14_a_member_of_ours_that_the_group_forgot_joins_anew_and_reads_on(ground: Ground) -> None:
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log()
    reader = log.group_reader("group", [partition.topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)
    events = await joined(reader, partition)
    reader.consumer._coordinator.member_id = "nobody"  # what the next heartbeat says; the group does not know it
    found: list[bytes | None] = []
    async with asyncio.timeout(60):
        while events.count("assigned") < 2:
            await reader.fetch(timeout_ms=50, max_records=10)
        await commit(log, "task", emits(partition, b"after"))
        reader.seek(partition, 0)
        reader.resume([partition])
        while not found:
            for records in (await reader.fetch(timeout_ms=50, max_records=10)).values():
                found += [record.value for record in records]
    assert found == [b"after"]
    await reader.stop()


async def test_hazard_19_the_library_reads_everything_again_where_the_groups_position_is_gone(ground: Ground) -> None:
    """A rule of Kafka's rather than a fault: with ``earliest`` every command would be sent again."""
    partition = TopicPartition(await ground.topic(), 0)
    log = await ground.log()
    producer = await log.producer()
    await producer.send(Emit(partition.topic, b"key", b"sent long ago", 0))
    await producer.stop()
    member = await ground.member(partition.topic, **FAST)
    async with asyncio.timeout(30):
        while not (found := await member.getmany(timeout_ms=100)):
            pass
    assert [record.value for records in found.values() for record in records] == [b"sent long ago"]
    reader = log.group_reader("another", [partition.topic], "member-0")
    assert isinstance(reader, KafkaGroupReader)
    await joined(reader, partition)
    # Ours is handed nothing until its task has found a position, and asks the library for none.
    assert await reader.fetch(timeout_ms=300, max_records=10) == {}
    assert reader.consumer._auto_offset_reset == "none"
    await reader.stop()
