"""The two logs under one contract: in memory always, Kafka where a broker can be had."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from pipeline.runtime.log import GroupReader, Log
from tests.contract.log.memory_factory import MemoryFactory
from tests.contract.log.support import LogFactory, Member


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def log_factory(request: pytest.FixtureRequest) -> AsyncIterator[LogFactory]:
    if request.param == "memory":
        yield MemoryFactory()
        return
    pytest.importorskip("pipeline.runtime.kafka", reason="the log over Kafka is not part of this tree")
    from tests.contract.log.kafka_factory import KafkaFactory

    try:
        bootstrap_servers = request.getfixturevalue("kafka")
    except pytest.FixtureLookupError:
        pytest.skip("no fixture starts a Kafka broker here")
    factory = KafkaFactory(bootstrap_servers, prefix=f"contract-{secrets.token_hex(4)}.")
    try:
        yield factory
    finally:
        await factory.close()


@pytest.fixture
async def log(log_factory: LogFactory) -> Log:
    return await log_factory.log()


MakeMember = Callable[..., Awaitable[Member]]


@pytest.fixture
async def member(log_factory: LogFactory) -> AsyncIterator[MakeMember]:
    """Start members, each a process of its own, that are stopped when the test ends."""
    members: list[Member] = []
    names = (f"member-{number}" for number in itertools.count())

    async def make(*topics: str, instance: str | None = None, group: str = "group") -> Member:
        log = await log_factory.log()
        reader: GroupReader = log.group_reader(group, topics, instance or next(names))
        made = Member(reader, log)
        members.append(made)
        await made.start()
        return made

    yield make
    for made in members:
        await made.stop()
