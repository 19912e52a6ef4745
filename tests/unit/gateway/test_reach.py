"""A gateway knows whether Kafka answers, and a moment's silence turns nobody away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from pipeline import topics
from pipeline.errors import LogUnavailable
from pipeline.gateway.reach import Reach
from pipeline.runtime.log import Log, TopicPartition
from pipeline.testing.clock import ManualClock

PATIENCE_S = 0.06


class Brokers:
    """As much of a log as is asked; leaders of ``silent`` partitions refuse, those of ``hanging`` ones never answer."""

    def __init__(self) -> None:
        self.silent: set[int] = set()
        self.hanging: set[int] = set()
        self.asked: list[int] = []

    async def partitions(self, topic: str) -> int:
        assert topic == topics.REQUESTS
        if self.silent == {0, 1, 2}:
            raise LogUnavailable("nobody is there")
        return 3

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        (one,) = partitions
        self.asked.append(one.partition)
        if one.partition in self.hanging:
            await asyncio.Event().wait()
        if one.partition in self.silent:
            raise LogUnavailable("no answer")
        return {one: 0}


@asynccontextmanager
async def reaching(brokers: Brokers, clock: ManualClock) -> AsyncIterator[Reach]:
    reach = Reach(log=cast(Log, brokers), clock=clock, patience_s=PATIENCE_S)
    running = asyncio.create_task(reach.run())
    try:
        yield reach
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def looks(brokers: Brokers, more: int) -> None:
    wanted = len(brokers.asked) + more
    async with asyncio.timeout(5):
        while len(brokers.asked) < wanted:  # noqa: ASYNC110 - what is awaited has no event to offer
            await asyncio.sleep(0.001)


async def test_kafka_that_answers_is_never_missed_however_long_nobody_writes() -> None:
    brokers, clock = Brokers(), ManualClock()
    async with reaching(brokers, clock) as reach:
        for _ in range(3):
            clock.advance(3_600_000)
            await looks(brokers, 2)
            assert reach.missing() == []


async def test_kafka_is_missed_only_after_the_patience_and_at_its_first_answer_no_more() -> None:
    brokers, clock = Brokers(), ManualClock()
    async with reaching(brokers, clock) as reach:
        await looks(brokers, 1)
        brokers.silent = {0, 1, 2}
        await asyncio.sleep(PATIENCE_S)
        clock.advance(round(PATIENCE_S * 1_000))
        assert reach.missing() == []
        clock.advance(20_000)
        assert reach.missing() == ["gateway: Kafka has not answered for 20 s"]
        brokers.silent = set()
        await looks(brokers, 2)
        assert reach.missing() == []


async def expect_never_missed(brokers: Brokers, clock: ManualClock) -> None:
    async with reaching(brokers, clock) as reach:
        for _ in range(4):
            await looks(brokers, 3)
            clock.advance(round(PATIENCE_S * 1_000) + 1)
            await looks(brokers, 4)
            assert reach.missing() == []


async def test_one_leader_that_is_away_is_not_all_of_kafka() -> None:
    brokers, clock = Brokers(), ManualClock()
    brokers.silent = {1}
    await expect_never_missed(brokers, clock)
    assert {0, 1, 2} <= set(brokers.asked)


async def test_one_leader_that_hangs_keeps_nobody_from_asking_the_others() -> None:
    brokers, clock = Brokers(), ManualClock()
    brokers.hanging = {1}
    await expect_never_missed(brokers, clock)
    assert brokers.asked.count(1) == 1, "it is asked again while the question is under way"
