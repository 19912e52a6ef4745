"""What is told of topics."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.errors import Misconfigured
from tests.contract.log.support import LogFactory


async def test_many_that_ask_at_once_are_all_told(log_factory: LogFactory) -> None:
    """Tasks that start together ask for many topics while the first answer is still on its way."""
    topics = [await log_factory.topic(number) for number in (1, 2, 3, 4)]
    fresh = await log_factory.log()

    async def after(delay_s: float, topic: str) -> int:
        await asyncio.sleep(delay_s)
        return await fresh.partitions(topic)

    for delay_s in (0.0, 0.001):
        asked = [after(number * delay_s, topic) for number, topic in enumerate(topics)]
        assert await asyncio.gather(*asked) == [1, 2, 3, 4]
        fresh = await log_factory.log()


async def test_a_topic_that_is_not_there_is_a_fault_of_the_deployment(log_factory: LogFactory) -> None:
    log = await log_factory.log()
    with pytest.raises(Misconfigured, match="topics apply"):
        await log.partitions("no.such.topic")
