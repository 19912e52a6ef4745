"""Membership by the clock: crashes, zombies, slow members and two processes with one name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipeline.errors import Misconfigured
from pipeline.testing import virtual_time
from pipeline.testing.clock import ManualClock
from pipeline.testing.memory_log import Faults, MemoryCluster, MemoryLog
from tests.unit.testing.memory_log.support import P0, P1, P2, P3, TOPIC, Member, emit

Scenario = Callable[[MemoryCluster], Awaitable[None]]


def play(scenario: Scenario, faults: Faults | None = None) -> None:
    """Run in virtual time, with the cluster's clock bound to it."""

    async def main() -> None:
        clock = ManualClock()
        clock.bind(asyncio.get_running_loop().time)
        await scenario(MemoryCluster(clock, partitions={TOPIC: 4}, faults=faults))

    virtual_time.run(main())


async def join(cluster: MemoryCluster, instance: str, *, revoke_takes_s: float = 0.0) -> Member:
    return await Member(MemoryLog(cluster), instance, revoke_takes_s=revoke_takes_s).start()


def test_a_crashed_member_is_replaced_when_its_session_times_out() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        staying, dying = await join(cluster, "a"), await join(cluster, "b")
        await asyncio.sleep(1)
        assert (staying.owns(), dying.owns()) == ({0, 1}, {2, 3})
        dying.crash()
        await asyncio.sleep(29)
        assert staying.owns() == {0, 1}
        await asyncio.sleep(2)
        assert staying.owns() == {0, 1, 2, 3}

    play(scenario)


def test_a_crashed_member_that_is_back_in_time_disturbs_nobody() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        staying, dying = await join(cluster, "a"), await join(cluster, "b")
        await asyncio.sleep(1)
        dying.crash()
        staying.revoked.clear()
        await asyncio.sleep(20)
        back = await join(cluster, "b")
        await asyncio.sleep(60)
        assert (staying.owns(), back.owns()) == ({0, 1}, {2, 3})
        assert staying.revoked == []

    play(scenario)


def test_a_rebalance_waits_for_a_dead_member_only_until_its_session_times_out() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        first, dying = await join(cluster, "a"), await join(cluster, "b")
        await asyncio.sleep(1)
        dying.crash()
        late = await join(cluster, "c")
        await asyncio.sleep(28)
        assert (first.owns(), late.owns()) == (set(), set())
        await asyncio.sleep(3)
        assert (first.owns(), late.owns()) == ({0, 1}, {2, 3})

    play(scenario)


def test_a_rebalance_waits_for_a_member_that_is_still_revoking() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        slow = await join(cluster, "a", revoke_takes_s=10)
        await asyncio.sleep(1)
        other = await join(cluster, "b")
        await asyncio.sleep(9)
        # Until its callback returns the old owner still has everything, and nobody else has anything.
        assert (slow.owns(), other.owns()) == ({0, 1, 2, 3}, set())
        await asyncio.sleep(2)
        assert (slow.owns(), other.owns()) == ({0, 1}, {2, 3})

    play(scenario)


def test_a_member_that_revokes_for_longer_than_the_rebalance_timeout_is_not_waited_for() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        slow = await join(cluster, "a", revoke_takes_s=100)
        await asyncio.sleep(1)
        other = await join(cluster, "b")
        await asyncio.sleep(61)
        # Two owners of 2 and 3 at once: what the transactional id is there to fence.
        assert other.owns() == {2, 3}
        assert slow.owns() == {0, 1, 2, 3}
        await asyncio.sleep(200)
        assert (slow.owns(), other.owns()) == ({0, 1}, {2, 3})

    play(scenario)


def test_a_fetch_waits_through_a_rebalance_whatever_its_timeout() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        loop = asyncio.get_running_loop()
        await join(cluster, "a", revoke_takes_s=10)
        await asyncio.sleep(1)
        log = MemoryLog(cluster)
        reader = log.group_reader("group", [TOPIC], "b")

        async def ignore(_: object) -> None:
            return

        await reader.start(ignore, ignore)
        began_s = loop.time()
        assert await reader.fetch(timeout_ms=10, max_records=1) == {}
        assert loop.time() - began_s == pytest.approx(10, abs=0.2)

    play(scenario)


def test_a_member_whose_session_ended_while_it_was_frozen_joins_anew() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        staying, zombie = await join(cluster, "a"), await join(cluster, "b")
        await asyncio.sleep(1)
        cluster.expire("group", "b")
        await asyncio.sleep(1)
        assert [sorted(partitions) for partitions in zombie.revoked] == [[P2, P3]]
        assert (staying.owns(), zombie.owns()) == ({0, 1}, {2, 3})

    play(scenario)


def test_of_two_processes_with_one_instance_name_the_first_reports_it_and_ends() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        first = await join(cluster, "a")
        await asyncio.sleep(1)
        second = await join(cluster, "a")
        await asyncio.sleep(1)
        assert isinstance(first.error, Misconfigured)
        assert "--instance" in str(first.error)
        assert second.error is None
        assert second.owns() == {0, 1, 2, 3}

    play(scenario)


def test_members_come_and_go_and_every_record_is_read_by_its_owner() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        log = MemoryLog(cluster)
        producer = await log.producer()
        members: list[Member] = []
        for turn in range(6):
            members.append(await join(cluster, f"m{turn}"))
            for partition in range(4):
                await producer.send(emit(b"%d/%d" % (turn, partition), partition))
            await asyncio.sleep(1)
            if turn == 3:
                members[0].crash()
                cluster.expire("group", "m0")
        await asyncio.sleep(40)
        owned = [number for member in members[1:] for number in member.owns()]
        assert sorted(owned) == [0, 1, 2, 3]
        read = {value for member in members for value in member.values}
        assert read == {b"%d/%d" % (turn, partition) for turn in range(6) for partition in range(4)}

    play(scenario)


def test_members_of_unequal_subscriptions_can_end_up_sharing_a_partition_number() -> None:
    """Why every member must subscribe to the same list: the task of one number gets two owners."""

    async def scenario(cluster: MemoryCluster) -> None:
        cluster.create_topic("second", partitions=4)

        async def ignore(_: object) -> None:
            return

        both = MemoryLog(cluster).group_reader("group", [TOPIC, "second"], "a")
        one = MemoryLog(cluster).group_reader("group", [TOPIC], "b")
        await both.start(ignore, ignore)
        await one.start(ignore, ignore)
        await asyncio.sleep(1)
        assert {partition.partition for partition in both.assignment()} == {0, 1, 2, 3}
        assert {partition.partition for partition in one.assignment()} == {2, 3}

    play(scenario)


def test_a_slow_member_keeps_nothing_it_lost_meanwhile() -> None:
    class SlowJoin(Faults):
        async def before_join(self, group: str, instance: str) -> None:
            if instance == "a":
                await asyncio.sleep(5)

    async def scenario(cluster: MemoryCluster) -> None:
        first = await join(cluster, "a")
        await asyncio.sleep(6)
        second = await join(cluster, "b")
        await asyncio.sleep(1)
        assert (first.owns(), second.owns()) == (set(), set())
        await asyncio.sleep(5)
        assert (first.owns(), second.owns()) == ({0, 1}, {2, 3})

    play(scenario, SlowJoin())


def test_the_same_program_runs_in_the_same_order_each_time() -> None:
    def one_run() -> list[object]:
        seen: list[object] = []

        async def scenario(cluster: MemoryCluster) -> None:
            producer = await MemoryLog(cluster).producer()
            members = [await join(cluster, name) for name in "abc"]
            for number in range(50):
                await producer.send(emit(b"%d" % number, number % 4))
                await asyncio.sleep(0.013 * (number % 3))
                if number == 25:
                    members[1].crash()
            await asyncio.sleep(60)
            seen.append(asyncio.get_running_loop().time())
            seen.extend(member.values for member in members)
            seen.extend(sorted(map(sorted, member.revoked)) for member in members)

        play(scenario)
        return seen

    assert one_run() == one_run()


def test_a_position_out_of_range_is_noted_and_moves_to_the_earliest() -> None:
    async def scenario(cluster: MemoryCluster) -> None:
        log = MemoryLog(cluster)
        producer = await log.producer()
        for number in range(3):
            await producer.send(emit(b"%d" % number))
        cluster.delete_before(P0, 2)
        reader = await log.reader({P0: 1, P1: 9})
        assert [record.value for record in await reader.fetch(timeout_ms=0, max_records=9)] == [b"2"]
        assert cluster.resets == [(P0, 1), (P1, 9)]

    play(scenario)
