"""Timers that came due while nobody ran."""

from __future__ import annotations

import asyncio
import random

import orjson

from pipeline.clock import SystemClock
from pipeline.runtime.api import Emit
from pipeline.runtime.restore import POSITION_KEY, encode_position
from tests.integration.runtime.cluster import PARTITIONS, Cluster, keys_of
from tests.integration.runtime.sample import Count, CountingStage


async def test_overdue_timers_fire_once_each_right_after_the_restore_in_the_order_of_their_deadlines(
    cluster: Cluster,
) -> None:
    keys = keys_of(0, 50)
    due_ms = [SystemClock().now_ms() - 60_000 + number for number in range(len(keys))]
    random.Random(6).shuffle(due_ms)
    # What a stage that was away for a minute finds, written as it would have been.
    state = [(key, CountingStage().encode(Count(1, at_ms))) for key, at_ms in zip(keys, due_ms, strict=True)]
    state.append((POSITION_KEY, encode_position({"in": 0, "in.bulk": 0}, PARTITIONS)))
    former = cluster.log.writer("count.0")
    await former.start()
    await former.commit([Emit("count-state", key, value, 0) for key, value in state], {}, "count")
    await former.stop()
    for _ in range(2):
        async with cluster.running():
            await cluster.outputs(len(keys), within_s=60)
            await asyncio.sleep(0.5)
    found = await cluster.read("out")
    assert [orjson.loads(record.value or b"")[:2] for record in found] == [["timer", at_ms] for at_ms in sorted(due_ms)]
