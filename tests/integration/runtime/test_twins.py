"""Two processes of one stage with the same ordinal: one of them says so and ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from .sample import create_topics
from .test_stage_on_kafka import PARTITIONS, Cluster

pytestmark = pytest.mark.kafka


@pytest.fixture
async def cluster(kafka: str, topic_prefix: str) -> AsyncIterator[Cluster]:
    await create_topics(kafka, topic_prefix, PARTITIONS)
    cluster = Cluster(kafka, topic_prefix)
    await cluster.log.start()
    yield cluster
    await cluster.log.stop()


async def test_of_two_processes_with_one_ordinal_one_reports_it_and_the_other_goes_on(cluster: Cluster) -> None:
    async def twin() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.runtime.member",
            cluster.settings.bootstrap_servers,
            cluster.settings.topic_prefix,
            "0",
            stderr=asyncio.subprocess.PIPE,
        )

    first = await twin()
    await cluster.publish([(b"a", b"v")])
    await cluster.outputs(1)
    second = await twin()
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
