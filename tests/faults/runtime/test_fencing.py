"""Two owners of one task: whoever came last wins, and the other one gives up instead of taking it back by itself."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from pipeline.errors import Fenced, Misconfigured
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.runner import FENCED_LIMIT, StageRunner
from tests.integration.runtime.cluster import PARTITIONS, Cluster, assert_agree, keys_of
from tests.integration.runtime.sample import Measured


def restores(measured: Measured) -> int:
    """How often a task of this process took its transactional id and came to run."""
    return sum(name == "restore_seconds" for name, _, _ in measured.seen)


def assert_told_to_end(work: asyncio.Task[None]) -> None:
    with pytest.raises(Misconfigured, match="--instance"):
        work.result()


async def test_an_owner_whose_task_was_taken_gives_up_asks_the_group_once_and_takes_it_back(cluster: Cluster) -> None:
    (key,) = keys_of(0, 1)
    async with cluster.running() as (runner, measured):
        await cluster.publish([(key, b"v")])
        await cluster.outputs(1)
        rebalances = measured.total("rebalances_total")
        thief = cluster.log.writer("count.0")
        await thief.start()
        await cluster.publish([(key, b"v")])
        found = await cluster.outputs(2, within_s=60)
        with pytest.raises(Fenced):
            await thief.commit([Emit("out", b"thief", b"[]", 0)], {}, "count")
        await thief.stop()
        await cluster.publish([(key, b"v")])
        found = await cluster.outputs(3, within_s=60)
        assert runner.missing() == []
    assert_agree(found, {key: 3})
    lost = Counter(of["cause"] for name, _, of in measured.seen if name == "task_rebuilds_total")
    assert lost == {"fenced": 1}
    assert measured.total("rebalances_total") == rebalances + 1
    assert restores(measured) == 2 * PARTITIONS


@pytest.mark.campaign
async def test_of_two_live_owners_of_all_tasks_one_ends_after_a_few_takeovers_and_nothing_is_doubled(
    cluster: Cluster,
) -> None:
    # Two groups with the same transactional ids: each group says for good that its member owns everything.
    keys = [keys_of(number, 1)[0] for number in range(PARTITIONS)]
    groups = ("count", "other")
    logs = [KafkaLog(cluster.settings, client_id=f"owner-{number}") for number in range(2)]
    for log in logs:
        await log.start()

    def started(number: int) -> tuple[StageRunner[object], asyncio.Task[None]]:
        runner = cluster.runner(logs[number], Measured(), group=groups[number])
        return runner, asyncio.create_task(runner.run())

    owners = [started(number) for number in range(2)]

    async def supervised(number: int) -> None:
        # What the other had begun to take when it ended may be the last straw for this one.
        await asyncio.wait({owners[number][1]})
        assert_told_to_end(owners[number][1])
        owners[number] = started(number)
        await asyncio.Event().wait()

    rounds = 0
    try:
        async with asyncio.timeout(100):
            while not any(work.done() for _, work in owners):
                await cluster.publish([(key, b"v") for key in keys])
                rounds += 1
                await asyncio.sleep(0.2)
        loser = next(number for number, (_, work) in enumerate(owners) if work.done())
        assert_told_to_end(owners[loser][1])
        await cluster.publish([(key, b"v") for key in keys])
        supervisor = asyncio.create_task(supervised(1 - loser))
        found = await cluster.outputs(len(keys) * (rounds + 1), within_s=60)
        assert not supervisor.done()
        supervisor.cancel()
        assert not owners[1 - loser][1].done()
    finally:
        for runner, _ in owners:
            runner.stop()
        await asyncio.wait({work for _, work in owners})
        for log in logs:
            await log.stop()
    assert_agree(found, dict.fromkeys(keys, rounds + 1))
    # Each takeover costs a task one InitProducerId here and one there, and there are few of them.
    for number in range(PARTITIONS):
        assert await cluster.epoch(number) <= 4 * (FENCED_LIMIT + 1)
