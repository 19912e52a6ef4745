"""Two processes of one stage with the same ordinal: one of them says so and ends."""

from __future__ import annotations

import asyncio

import pytest

from .cluster import Cluster

pytestmark = pytest.mark.kafka


async def test_of_two_processes_with_one_ordinal_one_reports_it_and_the_other_goes_on(cluster: Cluster) -> None:
    first = await cluster.member("0", stderr=asyncio.subprocess.PIPE)
    await cluster.publish([(b"a", b"v")])
    await cluster.outputs(1)
    second = await cluster.member("0", stderr=asyncio.subprocess.PIPE)
    ends = {asyncio.create_task(process.communicate()): process for process in (first, second)}
    done, _ = await asyncio.wait(ends, timeout=80, return_when=asyncio.FIRST_COMPLETED)
    try:
        assert len(done) == 1
        ended = done.pop()
        assert b"Misconfigured" in ended.result()[1]
        assert b"--instance" in ended.result()[1]
        assert ends[ended].returncode != 0
        await cluster.publish([(b"b", b"v")])
        assert len(await cluster.outputs(2)) == 2
    finally:
        for process in ends.values():
            if process.returncode is None:
                process.terminate()
        await asyncio.wait(ends)
