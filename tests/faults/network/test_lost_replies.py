"""A reply is lost: dropped, or its connection broken before it, whichever request it answers."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from pipeline.testing.kafka_proxy import Action, Delay, Direction, Drop, Fault, HalfClose, Reset

from .net import Net

pytestmark = pytest.mark.kafka

STARTING = (
    *("METADATA", "FIND_COORDINATOR", "JOIN_GROUP", "SYNC_GROUP", "OFFSET_FETCH", "LIST_OFFSETS"),
    "INIT_PRODUCER_ID",
)
TRANSACTION = ("ADD_PARTITIONS_TO_TXN", "PRODUCE", "ADD_OFFSETS_TO_TXN", "TXN_OFFSET_COMMIT", "END_TXN")
READING = ("FETCH", "HEARTBEAT")
REBUILDING = ("INIT_PRODUCER_ID",)
REJOINING = ("JOIN_GROUP", "SYNC_GROUP")
BREAKING = (Reset(), pytest.param(HalfClose(), marks=pytest.mark.campaign))
EACH = (Drop(), Reset(), HalfClose(), Delay(3))
TO_STAGE = Direction.RESPONSE


def lost(action: Action, api: str, first: int = 1) -> Fault:
    return Fault(action, api, direction=TO_STAGE, first=first)


async def test_with_no_fault_the_proxy_changes_nothing(net: Net) -> None:
    async with net.stage.running():
        async with net.load():
            await net.catches_up()
            assert net.proxy.connections > 4  # it is the proxy that all of this went through
        await net.nothing_is_lost_or_doubled()


@pytest.mark.parametrize(
    "action",
    [pytest.param(Reset(), id="reset"), pytest.param(HalfClose(), id="half_close", marks=pytest.mark.campaign)],
)
async def test_a_connection_broken_before_a_reply_loses_and_doubles_nothing(net: Net, action: Action) -> None:
    starting = [net.proxy.add(lost(action, api)) for api in STARTING]
    async with net.stage.running():
        async with net.load():
            for fault in starting:
                await fault.has_hit()
                net.proxy.heal(fault)
            for api in (*TRANSACTION, *READING):
                with net.proxy.during(lost(action, api, first=2)) as fault:
                    await fault.has_hit()
                await net.catches_up(30)
        await net.nothing_is_lost_or_doubled()


async def test_a_dropped_reply_within_a_transaction_loses_and_doubles_nothing(net: Net) -> None:
    async with net.stage.running() as (_, measured):
        async with net.load():
            for api in TRANSACTION:
                with net.proxy.during(lost(Drop(), api, first=2)) as fault:
                    await fault.has_hit()
                await net.catches_up(30)
        await net.nothing_is_lost_or_doubled()
    # A batch is numbered, so the library may repeat it, and its lost reply costs no rebuild; those of the others do.
    assert measured.total("task_rebuilds_total") >= len(TRANSACTION) - 1


@pytest.mark.campaign
@pytest.mark.timeout(600)
@pytest.mark.parametrize("action", EACH, ids=lambda action: type(action).__name__.lower())
async def test_a_lost_or_late_reply_to_the_kth_request_loses_and_doubles_nothing(net: Net, action: Action) -> None:
    async with net.stage.running() as (runner, _):
        async with net.load():
            await net.catches_up()
            for api, k in itertools.product((*TRANSACTION, *READING, *REBUILDING, *REJOINING), (1, 5)):
                with net.proxy.during(lost(action, api, first=k)) as fault:
                    while not fault.hit:
                        if api in REJOINING:
                            runner.reader.rejoin()
                        elif api in REBUILDING:
                            net.proxy.add(lost(Reset(), "END_TXN"))
                        await asyncio.sleep(1)
                await net.catches_up(90)
        await net.nothing_is_lost_or_doubled()
