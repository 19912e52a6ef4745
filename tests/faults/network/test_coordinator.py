"""The coordinator of transactions does not answer, while everything else does."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import KafkaLog
from pipeline.testing.kafka_proxy import Direction, Fault, Hold

from .net import Net

pytestmark = pytest.mark.kafka
COORDINATOR = ("INIT_PRODUCER_ID", "ADD_PARTITIONS_TO_TXN", "ADD_OFFSETS_TO_TXN", "END_TXN")
TO_BROKER, TO_STAGE = Direction.REQUEST, Direction.RESPONSE


async def away(net: Net, direction: Direction, seconds: float) -> None:
    async with net.stage.running() as (runner, measured):
        async with net.load(every_s=0.2):
            await net.catches_up()
            with net.proxy.during(Fault(Hold(), *COORDINATOR, direction=direction, times=None)) as fault:
                await fault.has_hit()
                await asyncio.sleep(seconds)
            # All that was asked meanwhile reaches it at once, or is answered at once.
            await net.catches_up()
            assert runner.missing() == []
        await net.nothing_is_lost_or_doubled()
    assert measured.total("task_rebuilds_total") > 0


async def test_after_a_transaction_coordinator_that_was_away_everything_goes_on(net: Net) -> None:
    await away(net, TO_BROKER, 2.5)


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("direction", [TO_BROKER, TO_STAGE], ids=["not_asked", "not_answering"])
async def test_after_a_transaction_coordinator_that_was_away_for_half_a_minute_everything_goes_on(
    net: Net, direction: Direction
) -> None:
    await away(net, direction, 30)


@pytest.mark.parametrize("api", ["PRODUCE", "END_TXN", "FIND_COORDINATOR"])
async def test_a_commit_whose_answer_never_comes_ends_at_its_deadline(net: Net, api: str) -> None:
    # The library itself would wait for two minutes, and for a batch without end.
    settings = net.stage.settings.model_copy(update={"request_timeout_ms": 120_000})
    log = KafkaLog(settings, client_id="patient")
    await log.start()
    writer = log.writer("task")
    try:
        await writer.start()
        writer._deadline_s = 1.0  # only now, as the start may take longer on a busy machine
        with net.proxy.during(Fault(Hold(), api, client="task", direction=TO_STAGE, times=None)):
            if api == "FIND_COORDINATOR":
                assert writer._transactions is not None
                writer._transactions.producer._sender._coordinators.clear()
            async with asyncio.timeout(60):
                with pytest.raises(TaskLost, match="did not end within 1 s"):
                    await writer.commit([Emit("out", b"k", b"v", 0)], {}, "group")
                await writer.stop()
    finally:
        await writer.stop()
        await log.stop()
