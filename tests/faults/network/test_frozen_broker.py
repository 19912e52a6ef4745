"""A broker that stands still: it takes what is sent and answers nothing, then goes on with all of it at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from pipeline.dev.broker import DevBroker, ExtraListener
from pipeline.dev.ports import free_port
from pipeline.testing.kafka_proxy import KafkaProxy
from tests.integration.runtime.cluster import PARTITIONS, eventually
from tests.integration.runtime.sample import create_topics
from tests.kafka_fixtures import scratch

from .net import Net

pytestmark = [pytest.mark.kafka, pytest.mark.campaign]


@pytest.fixture
async def frozen_net(kafka_jars: str, topic_prefix: str) -> AsyncIterator[tuple[Net, DevBroker]]:
    port = free_port("127.0.0.1")
    door = ExtraListener(port=port, advertised_port=free_port("127.0.0.1", avoid=(port,)))
    async with (
        DevBroker(kafka_version=kafka_jars, scratch=scratch(), extra_listener=door) as broker,
        KafkaProxy(port=door.advertised_port, broker_port=door.port) as proxy,
    ):
        await create_topics(broker.bootstrap_servers, topic_prefix, PARTITIONS)
        net = Net(proxy, broker.bootstrap_servers, topic_prefix)
        await net.side.log.start()
        yield net, broker
        await net.side.log.stop()


async def freeze(broker: DevBroker, seconds: float) -> None:
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [20, 100])
async def test_after_a_frozen_broker_wakes_nothing_is_lost_or_doubled_and_no_transaction_is_left_open(
    frozen_net: tuple[Net, DevBroker], seconds: int
) -> None:
    net, broker = frozen_net
    # One member with the settings of production, one that gives up and begins anew every second: its requests of all
    # epochs lie at the broker when that wakes.
    async with net.side.running(1) as (patient, _), net.stage.running(0) as (impatient, _):
        async with net.load():
            await net.catches_up()
            await freeze(broker, seconds)
            await net.publish()
            await net.catches_up(120)
        await net.nothing_is_lost_or_doubled(120)

        async def back() -> bool:
            # The last of the forgotten members may still be joining: the others have done its work meanwhile.
            return patient.missing() == impatient.missing() == []

        await eventually(back, 60)
    await net.no_transaction_is_left_open()
