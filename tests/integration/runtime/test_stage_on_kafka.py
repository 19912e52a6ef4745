"""The runtime on a real broker: what a stage may rely on."""

from __future__ import annotations

import asyncio
from collections import Counter

import orjson
import pytest

from pipeline.clock import SystemClock
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition

from .cluster import Cluster

pytestmark = pytest.mark.kafka


async def test_every_input_published_before_the_first_start_gives_one_output(cluster: Cluster) -> None:
    await cluster.publish([(b"k%d" % (i % 7), b"v") for i in range(300)])
    async with cluster.running() as (runner, _):
        found = await cluster.outputs(300)
        await asyncio.sleep(0.3)
        assert runner.missing() == []
    counts = Counter((record.key, orjson.loads(record.value or b"")[2]) for record in found)
    assert len(counts) == 300
    assert set(counts.values()) == {1}


async def test_state_is_there_again_after_a_restart(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.publish([(b"k", b"v")] * 3)
        await cluster.outputs(3)
    async with cluster.running():
        await cluster.publish([(b"k", b"v")])
        found = await cluster.outputs(4)
    assert [orjson.loads(record.value or b"")[2] for record in found if record.key == b"k"] == [1, 2, 3, 4]


async def test_poison_a_bug_and_an_output_too_large_do_not_stop_their_partition(cluster: Cluster) -> None:
    async with cluster.running() as (_, measured):
        await cluster.publish([(b"k", b"v"), (b"k", b"poison"), (b"k", b"huge"), (b"k", b"bug"), (b"k", b"v")])
        found = await cluster.outputs(2)
        dead = await cluster.outputs(3, topic="dead")
    assert [orjson.loads(record.value or b"")[2] for record in found] == [1, 2]
    assert [orjson.loads(record.value or b"")[0] for record in dead] == ["undecodable", "too_large", "handler_refused"]
    assert measured.total("task_rebuilds_total") == 3


async def test_a_timer_fires_once_at_its_time_and_overdue_ones_fire_after_a_restart(cluster: Cluster) -> None:
    now_ms = SystemClock().now_ms()
    async with cluster.running():
        await cluster.publish([(b"soon", b"wake:%d" % (now_ms + 1_500)), (b"later", b"wake:%d" % (now_ms + 4_000))])
        found = await cluster.outputs(3)
        assert SystemClock().now_ms() >= now_ms + 1_500
    assert orjson.loads(found[-1].value or b"")[0] == "timer" or any(b"timer" in (r.value or b"") for r in found)
    await asyncio.sleep(max(0, (now_ms + 4_200 - SystemClock().now_ms()) / 1000))
    async with cluster.running():
        found = await cluster.outputs(4)
        await asyncio.sleep(0.5)
        found = await cluster.read("out")
    fired = [record.key for record in found if orjson.loads(record.value or b"")[0] == "timer"]
    assert sorted(key or b"" for key in fired) == [b"later", b"soon"]


async def test_a_second_owner_makes_the_first_owners_output_invisible(cluster: Cluster) -> None:
    from pipeline.errors import Fenced

    first = cluster.log.writer("count.0")
    await first.start()
    await first.commit([Emit("out", b"a", b"1", 0)], {}, "count")
    second = cluster.log.writer("count.0")
    await second.start()
    with pytest.raises(Fenced):
        await first.commit([Emit("out", b"b", b"2", 0)], {TopicPartition("in", 0): 7}, "count")
    await second.commit([Emit("out", b"c", b"3", 0)], {}, "count")
    assert [record.key for record in await cluster.read("out")] == [b"a", b"c"]
    await first.stop()
    await second.stop()
