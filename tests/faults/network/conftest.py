"""A broker with a second door for the fault proxy, one for all tests here; the proxy is each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from pipeline.dev.broker import DevBroker, ExtraListener
from pipeline.dev.ports import free_port
from pipeline.testing.kafka_proxy import KafkaProxy
from tests.integration.runtime.cluster import PARTITIONS
from tests.integration.runtime.sample import create_topics
from tests.kafka_fixtures import scratch

from .net import Net


@pytest.fixture(scope="session")
def door() -> ExtraListener:
    """Where the proxy finds the broker, and where its clients find the proxy."""
    port = free_port("127.0.0.1")
    return ExtraListener(port=port, advertised_port=free_port("127.0.0.1", avoid=(port,)))


@pytest.fixture(scope="session")
def kafka_behind_proxy(kafka_jars: str, door: ExtraListener) -> Iterator[DevBroker]:
    """Shared, so it is never hurt itself: only what goes to it through the proxy is."""
    with DevBroker(kafka_version=kafka_jars, scratch=scratch(), extra_listener=door) as broker:
        yield broker


@pytest.fixture
async def proxy(kafka_behind_proxy: DevBroker, door: ExtraListener) -> AsyncIterator[KafkaProxy]:
    async with KafkaProxy(port=door.advertised_port, broker_port=door.port) as proxy:
        yield proxy


@pytest.fixture
async def net(kafka_behind_proxy: DevBroker, proxy: KafkaProxy, topic_prefix: str) -> AsyncIterator[Net]:
    bootstrap = kafka_behind_proxy.bootstrap_servers
    await create_topics(bootstrap, topic_prefix, PARTITIONS)
    net = Net(proxy, bootstrap, topic_prefix)
    await net.side.log.start()
    yield net
    await net.side.log.stop()
