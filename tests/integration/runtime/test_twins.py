"""Two processes of one stage with the same ordinal: one of them says so and ends."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from .cluster import Cluster, assert_agree

pytestmark = pytest.mark.kafka
KEYS = [b"k%d" % number for number in range(20)]


async def test_of_two_processes_with_one_ordinal_one_reports_it_and_the_other_goes_on(cluster: Cluster) -> None:
    published: Counter[bytes] = Counter()

    async def publish() -> None:
        await cluster.publish([(key, b"v") for key in KEYS])
        published.update(KEYS)

    first = await cluster.member("0", stderr=asyncio.subprocess.PIPE)
    await publish()
    await cluster.outputs(published.total(), within_s=60)
    second = await cluster.member("0", stderr=asyncio.subprocess.PIPE)
    ends = {asyncio.create_task(process.communicate()): process for process in (first, second)}
    try:
        # Both are at work all the time, and take the tasks from each other.
        async with asyncio.timeout(80):
            while not any(end.done() for end in ends):
                await publish()
                await asyncio.sleep(0.2)
        (ended,) = (end for end in ends if end.done())
        assert b"Misconfigured" in ended.result()[1]
        assert b"--instance" in ended.result()[1]
        assert ends[ended].returncode != 0
        await publish()
        await cluster.outputs(published.total(), within_s=60)
        await asyncio.sleep(0.5)
        assert_agree(await cluster.read("out"), published)
    finally:
        for process in ends.values():
            if process.returncode is None:
                process.terminate()
        await asyncio.wait(ends)
