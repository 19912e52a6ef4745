"""What a new owner finds right after the fence, at two hundred hand-overs: decision 0001."""

from __future__ import annotations

import pytest

from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.runtime.restore import POSITION_KEY, encode_position, find_positions, read_changelog
from tests.integration.runtime.cluster import PARTITIONS, Cluster

HAND_OVERS = 200
INPUT = TopicPartition("in", 0)


@pytest.mark.campaign
@pytest.mark.timeout(300)
async def test_the_position_found_after_the_fence_is_never_an_earlier_one(
    cluster: Cluster, record_property: pytest.RecordProperty
) -> None:
    async def nothing(_: object) -> None:
        pass

    member = cluster.log.group_reader("count", ["in", "in.bulk"], "asks")
    await member.start(nothing, nothing)
    stale_before = stale_after = 0
    owner = cluster.log.writer("count.0")
    await owner.start()
    for offset in range(1, HAND_OVERS + 1):
        marks = {"in": offset, "in.bulk": 0}
        entry = Emit("count-state", POSITION_KEY, encode_position(marks, PARTITIONS), 0)
        # More partitions than one: all their markers stand between the decision and the end of the transaction.
        outputs = [Emit("out", b"k", b"v", number) for number in range(PARTITIONS)]
        await owner.commit([entry, *outputs], {INPUT: offset}, "count")
        # As an owner would find it that asks first and fences then.
        asked_before = await member.committed(INPUT)
        heir = cluster.log.writer("count.0")
        await heir.start()
        asked_after = await member.committed(INPUT)
        restored = await read_changelog(cluster.log, "count-state", 0, PARTITIONS, lambda _: None)
        found = await find_positions(cluster.log, member, ["in", "in.bulk"], 0, restored, 0)
        stale_before += asked_before != offset
        stale_after += asked_after != offset
        assert found == marks
        assert restored.positions == marks
        await owner.stop()
        owner = heir
    await owner.stop()
    await member.stop()
    record_property("stale_before_the_fence", stale_before)
    record_property("stale_after_the_fence", stale_after)
    print(f"of {HAND_OVERS}: stale before the fence {stale_before}, after it {stale_after}")
