"""A request whose answer did not come in time may arrive late, in the middle of the next transaction.

The library repeats EndTxn and TxnOffsetCommit silently under the same epoch, and the broker of the protocol's first
version cannot tell the late copy from one that belongs to the transaction it finds. Ours raises instead, and the task
is rebuilt under a new epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.errors import TaskLost
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.testing.kafka_proxy import Delay, Direction, Drop, Fault, Hold
from tests.integration.runtime.cluster import eventually

from .net import REQUEST_S, Net

pytestmark = pytest.mark.kafka
IN = TopicPartition("in", 0)
LATE = ("END_TXN", "TXN_OFFSET_COMMIT")
WAYS = [
    *[("END_TXN", arrives) for arrives in ("before_the_rebuild", "after_it", "never")],
    ("TXN_OFFSET_COMMIT", "after_it"),
    *[
        pytest.param("TXN_OFFSET_COMMIT", arrives, marks=pytest.mark.campaign)
        for arrives in ("before_the_rebuild", "never")
    ],
]
CLIENT = r"count\.\d"
"""Any task's writer."""
TO_BROKER, TO_STAGE = Direction.REQUEST, Direction.RESPONSE


def answered(net: Net, api: str, client: str) -> Fault:
    """Hits, and changes nothing, when the broker has answered such a request."""
    return net.proxy.add(Fault(Delay(0), api, client=client, direction=TO_STAGE))


@pytest.fixture
async def stock(net: Net) -> AsyncIterator[AIOKafkaProducer]:
    """A transactional producer of the library, used in its own way."""
    producer = AIOKafkaProducer(
        bootstrap_servers=net.proxy.bootstrap_servers,
        client_id="stock",
        transactional_id=net.side.settings.topic_prefix + "stock",
        request_timeout_ms=int(REQUEST_S * 1000),
    )
    await producer.start()
    yield producer
    with contextlib.suppress(Exception):
        await producer.stop()


async def test_the_library_repeats_an_endtxn_and_its_late_copy_commits_what_was_to_be_aborted(
    net: Net, stock: AIOKafkaProducer
) -> None:
    out = net.side.settings.topic_prefix + "out"
    late = net.proxy.add(Fault(Hold(), "END_TXN", client="stock", direction=TO_BROKER))
    async with stock.transaction():
        await stock.send_and_wait(out, b"first", partition=0)
    assert late.matched >= 2  # the caller of the one commit was told nothing of it
    await stock.begin_transaction()
    await stock.send_and_wait(out, b"second", partition=0)
    copy = answered(net, "END_TXN", "stock")
    net.proxy.heal(late)
    await copy.has_hit()
    with contextlib.suppress(Exception):
        await stock.abort_transaction()
    assert [record.value for record in await net.side.outputs(2)] == [b"first", b"second"]


async def test_the_library_repeats_a_txnoffsetcommit_and_its_late_copy_takes_the_position_back(
    net: Net, stock: AIOKafkaProducer
) -> None:
    prefix = net.side.settings.topic_prefix
    where = KafkaPartition(prefix + "in", 0)
    late = net.proxy.add(Fault(Hold(), "TXN_OFFSET_COMMIT", client="stock", direction=TO_BROKER))
    async with stock.transaction():
        await stock.send_and_wait(prefix + "out", b"first", partition=0)
        await stock.send_offsets_to_transaction({where: 1}, prefix + "group")
    assert late.matched >= 2
    await stock.begin_transaction()
    await stock.send_and_wait(prefix + "out", b"second", partition=0)
    await stock.send_offsets_to_transaction({where: 2}, prefix + "group")
    copy = answered(net, "TXN_OFFSET_COMMIT", "stock")
    net.proxy.heal(late)
    await copy.has_hit()
    await stock.commit_transaction()
    # What the second transaction said was handled will be handled again.
    assert await committed(net, "group") == 1


@pytest.mark.parametrize("api", LATE)
async def test_ours_is_sent_once_raises_and_its_late_copy_is_refused(net: Net, api: str) -> None:
    await net.stage.log.start()
    first, second = net.stage.log.writer("task"), net.side.log.writer("task")
    try:
        await first.start()
        late = net.proxy.add(Fault(Hold(), api, client="task", direction=TO_BROKER))
        with pytest.raises(TaskLost, match="AnswerLost"):
            await first.commit([Emit("out", b"k", b"first", 0)], {IN: 1}, "group")
        assert late.matched == 1
        await first.stop()
        await second.start()
        await second.commit([Emit("out", b"k", b"second", 0)], {IN: 2}, "group")
        copy = answered(net, api, "task")
        net.proxy.heal(late)
        await copy.has_hit()
        await second.commit([Emit("out", b"k", b"third", 0)], {IN: 3}, "group")
        assert [record.value for record in await net.side.read("out")] == [b"second", b"third"]
        assert await committed(net, "group") == 3
    finally:
        await first.stop()
        await second.stop()
        await net.stage.log.stop()


@pytest.mark.parametrize(("api", "arrives"), WAYS)
async def test_the_rebuilt_task_is_right_whichever_way_the_late_copy_went(net: Net, api: str, arrives: str) -> None:
    async with net.stage.running() as (_, measured):
        async with net.load():
            await net.catches_up()
            late = net.proxy.add(
                Fault(Drop() if arrives == "never" else Hold(), api, client=CLIENT, direction=TO_BROKER)
            )
            await late.has_hit()
            if arrives == "before_the_rebuild":
                rebuild = net.proxy.add(Fault(Hold(), "INIT_PRODUCER_ID", client=CLIENT, direction=TO_BROKER))
                await rebuild.has_hit()
                copy = answered(net, api, CLIENT)
                net.proxy.heal(late)
                await copy.has_hit()
                net.proxy.heal(rebuild)

            async def rebuilt() -> bool:
                return measured.total("task_rebuilds_total") > 0

            await eventually(rebuilt, 30)
            await net.publish()
            await net.catches_up()
            net.proxy.heal(late)
            await net.publish()
            await net.catches_up()
        await net.nothing_is_lost_or_doubled()


@pytest.mark.campaign
@pytest.mark.parametrize("api", ["PRODUCE", "ADD_PARTITIONS_TO_TXN", "ADD_OFFSETS_TO_TXN"])
async def test_no_late_copy_of_a_task_given_up_leaves_a_transaction_open(net: Net, api: str) -> None:
    async with net.stage.running() as (_, measured):
        async with net.load():
            await net.catches_up()
            # All copies of it, as a batch is repeated until the commit's deadline.
            late = net.proxy.add(Fault(Hold(), api, client=CLIENT, direction=TO_BROKER, times=None))

            async def rebuilt() -> bool:
                return measured.total("task_rebuilds_total") > 0

            await eventually(rebuilt, 60)
            net.proxy.heal(late)
            await net.publish()
            await net.catches_up()
        await net.nothing_is_lost_or_doubled()
    await net.no_transaction_is_left_open()


async def committed(net: Net, group: str) -> int | None:
    """The group's position in the first input partition, as the broker tells it to anybody."""
    prefix = net.side.settings.topic_prefix
    admin = AIOKafkaAdminClient(bootstrap_servers=net.side.settings.bootstrap_servers)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(prefix + group)
    finally:
        await admin.close()
    return next((int(meta.offset) for where, meta in found.items() if where == (prefix + "in", 0)), None)
