"""A process that stands still in a transaction, and goes on later: what it began is void, and it needs nobody."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.runtime.cluster import Cluster, assert_agree, eventually, keys_of


def stopped(process: asyncio.subprocess.Process) -> bool:
    """Whether SIGSTOP has it."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def stands_still(process: asyncio.subprocess.Process, cluster: Cluster) -> None:
    """Wait until it stands still with a transaction open."""

    async def is_stopped() -> bool:
        return stopped(process)

    await eventually(is_stopped, 60)
    assert await cluster.hidden("out") > 0, "it stands still, but in no transaction"


async def end(*processes: asyncio.subprocess.Process) -> None:
    """Each still lives, and ends cleanly when it is asked to."""
    for process in processes:
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
    for process in processes:
        assert await asyncio.wait_for(process.wait(), 40) == 0


@pytest.mark.parametrize("point", ["frozen", pytest.param("busy", marks=pytest.mark.campaign)])
async def test_a_transaction_that_times_out_is_done_again_by_the_same_process(cluster: Cluster, point: str) -> None:
    keys = [keys_of(number, 1)[0] for number in range(4)]
    published: Counter[bytes] = Counter()

    async def publish() -> None:
        await cluster.publish([(key, b"v") for key in keys])
        published.update(keys)

    # One transaction for each key, so the sixth is of the second round.
    process = await cluster.member("0", point, "6")
    await publish()
    await cluster.outputs(len(keys), within_s=60)
    await publish()
    if point == "frozen":
        await stands_still(process, cluster)

        async def aborted() -> bool:
            return await cluster.hidden("out") == 0

        await eventually(aborted, 60)
        os.kill(process.pid, signal.SIGCONT)
    await cluster.outputs(published.total(), within_s=60)
    await publish()
    await cluster.outputs(published.total(), within_s=60)
    await asyncio.sleep(0.5)
    found = await cluster.read("out")
    await end(process)
    assert_agree(found, published)
    # It was fenced, by the broker's abort, and took its task again; this look is the second time that it is taken.
    assert max([await cluster.epoch(number) for number in range(4)]) >= 3


@pytest.mark.campaign
@pytest.mark.timeout(240)
async def test_a_process_frozen_past_its_session_changes_nothing_when_it_wakes(cluster: Cluster) -> None:
    keys = [b"k%d" % number for number in range(20)]
    published: Counter[bytes] = Counter()

    async def publish() -> None:
        await cluster.publish([(key, b"v") for key in keys])
        published.update(keys)

    frozen = await cluster.member("0", "frozen", "6")

    async def has_stopped() -> bool:
        await publish()
        return stopped(frozen)

    await eventually(has_stopped, 60)
    await stands_still(frozen, cluster)
    heir = await cluster.member("1")
    await publish()
    # All of it: the group has given up the frozen one, and the heir has what was its.
    await cluster.outputs(published.total(), within_s=90)
    before = await cluster.read("out")
    os.kill(frozen.pid, signal.SIGCONT)
    await asyncio.sleep(2)
    assert len(await cluster.read("out")) == len(before)
    for _ in range(20):
        await publish()
        await asyncio.sleep(0.2)
    await cluster.outputs(published.total(), within_s=60)
    await asyncio.sleep(0.5)
    found = await cluster.read("out")
    await end(frozen, heir)
    assert_agree(found, published)
    # Taken by the first, by its heir, and when the woken one has joined again: no ping-pong.
    assert max([await cluster.epoch(number) for number in range(4)]) <= 10
