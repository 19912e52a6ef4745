"""What members of a group promise while partitions are handed round, and at their end."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import LogUnavailable
from pipeline.runtime.log import Log, TopicPartition
from tests.contract.log.conftest import MakeMember
from tests.contract.log.support import LogFactory, commit, emits, eventually


async def ignore(_: frozenset[TopicPartition]) -> None:
    return


async def test_a_member_for_whom_nothing_is_left_is_assigned_nothing_and_waits(
    log_factory: LogFactory, log: Log, member: MakeMember
) -> None:
    topic = await log_factory.topic()
    members = [await member(topic) for _ in range(2)]
    await eventually(lambda: all(one.events and one.events[-1][0] == "assigned" for one in members))
    await eventually(lambda: sorted(len(one.reader.assignment()) for one in members) == [0, 1])
    [idle] = [one for one in members if not one.reader.assignment()]
    [busy] = [one for one in members if one is not idle]
    assert idle.events[-1] == ("assigned", frozenset())
    await busy.owns(1)
    await commit(log, "task", emits(TopicPartition(topic, 0), b"v"))
    assert await busy.read(1) == [b"v"]
    assert idle.records == []


async def test_a_fetch_waits_through_a_rebalance_while_the_revoked_callback_still_works(
    log_factory: LogFactory, log: Log
) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    reader = log.group_reader("group", [topic], "member")
    revoking, go_on = asyncio.Event(), asyncio.Event()
    seen: list[object] = []

    async def revoked(partitions: frozenset[TopicPartition]) -> None:
        if partitions:
            revoking.set()
            await go_on.wait()
            # What was owned is owned until here: the last commit of a task needs its positions.
            seen.extend([partitions, reader.assignment(), await reader.position(partition)])

    await reader.start(ignore, revoked)
    async with asyncio.timeout(30):
        while not reader.assignment():
            await reader.fetch(timeout_ms=50, max_records=10)
        await commit(log, "task", emits(partition, b"0", b"1"))
        reader.seek(partition, 1)
        reader.resume([partition])
        while not await reader.fetch(timeout_ms=50, max_records=10):
            pass
        reader.rejoin()
        await revoking.wait()
        fetching = asyncio.create_task(reader.fetch(timeout_ms=1, max_records=10))
        await asyncio.sleep(0.1)
        assert not fetching.done()
        go_on.set()
        assert await fetching == {}
    assert seen[:2] == [{partition}, {partition}]
    assert seen[2] in (2, 3)  # behind the record; the marker behind that may have been passed
    await reader.stop()


async def test_who_does_not_lead_the_group_disturbs_nobody_by_asking_for_a_new_assignment(
    log_factory: LogFactory, member: MakeMember
) -> None:
    topic = await log_factory.topic(2)
    leader = await member(topic)
    await leader.owns(2)
    follower = await member(topic)
    await follower.owns(1)
    await leader.owns(1)
    had, seen = follower.reader.assignment(), list(leader.events)
    follower.events.clear()
    follower.reader.rejoin()
    await eventually(lambda: len(follower.events) == 2)
    assert follower.events == [("revoked", had), ("assigned", had)]
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    assert leader.events == seen


async def test_members_that_subscribe_to_unequal_topics_share_each_among_those_who_want_it(
    log_factory: LogFactory, member: MakeMember
) -> None:
    """So a partition number may be torn apart: a stage's members all have the same list."""
    both, one = await log_factory.topic(2), await log_factory.topic(2)
    wide = await member(both, one)
    await wide.owns(4)
    narrow = await member(both)
    await narrow.owns(1)
    await wide.owns(3)
    assert {where for where in wide.reader.assignment() if where.topic == one} == {
        TopicPartition(one, 0),
        TopicPartition(one, 1),
    }
    shares = [{where.partition for where in each.reader.assignment() if where.topic == both} for each in (wide, narrow)]
    assert sorted(map(len, shares)) == [1, 1]
    assert shares[0] | shares[1] == {0, 1}


async def test_a_member_stands_where_it_was_sought_to(log_factory: LogFactory, log: Log, member: MakeMember) -> None:
    topic = await log_factory.topic()
    partition = TopicPartition(topic, 0)
    await commit(log, "task", emits(partition, b"0", b"1", b"2"))
    one = await member(topic)
    await one.read(3)
    one.reader.pause([partition])
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    one.reader.seek(partition, 1)
    assert await one.reader.position(partition) == 1
    await asyncio.sleep(log_factory.patience_ms / 1_000)
    assert await one.reader.position(partition) == 1
    one.reader.resume([partition])
    assert await one.read(5) == [b"0", b"1", b"2", b"1", b"2"]


async def test_a_fetch_hands_out_no_more_than_was_asked_for_and_then_the_rest(
    log_factory: LogFactory, log: Log
) -> None:
    topic = await log_factory.topic(2)
    places = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    await commit(log, "task", [emit for where in places for emit in emits(where, *(b"%d" % n for n in range(5)))])
    reader = log.group_reader("group", [topic], "member")
    await reader.start(ignore, ignore)
    found: dict[TopicPartition, list[bytes | None]] = {where: [] for where in places}
    sizes: set[int] = set()
    async with asyncio.timeout(30):
        while not reader.assignment():
            assert await reader.fetch(timeout_ms=50, max_records=3) == {}
        for where in places:
            reader.seek(where, 0)
        reader.resume(places)
        while sum(map(len, found.values())) < 10:
            fetched = await reader.fetch(timeout_ms=50, max_records=3)
            sizes.add(sum(map(len, fetched.values())))
            for where, records in fetched.items():
                found[where] += [record.value for record in records]
    assert max(sizes) <= 3
    assert all(values == [b"%d" % n for n in range(5)] for values in found.values())
    await reader.stop()


async def test_a_member_that_was_stopped_says_so(log_factory: LogFactory, log: Log) -> None:
    reader = log.group_reader("group", [await log_factory.topic()], "member")
    await reader.stop()  # as by a process that ends before it has joined
    reader = log.group_reader("group", [await log_factory.topic()], "member")
    await reader.start(ignore, ignore)
    await reader.stop()
    await reader.stop()
    with pytest.raises(LogUnavailable):
        await reader.fetch(timeout_ms=50, max_records=10)
