"""A gateway's readiness follows a real broker that dies and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline import topics
from pipeline.clock import SystemClock
from pipeline.dev.broker import DevBroker
from pipeline.gateway.reach import Reach
from pipeline.runtime.kafka import KafkaLog
from pipeline.settings import KafkaSettings
from tests.kafka_fixtures import scratch

pytestmark = pytest.mark.kafka
PATIENCE_S = 3.0


async def until(true: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - what is awaited has no event to offer
            await asyncio.sleep(0.05)


async def test_kafka_that_was_killed_is_missed_until_it_is_back(kafka_jars: str) -> None:
    async with DevBroker(kafka_version=kafka_jars, scratch=scratch()) as broker:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        await admin.create_topics([NewTopic(topics.REQUESTS, 3, 1)])
        await admin.close()
        log = KafkaLog(KafkaSettings(bootstrap_servers=broker.bootstrap_servers, request_timeout_ms=2_000))
        await log.start()
        reach = Reach(log=log, clock=SystemClock(), patience_s=PATIENCE_S)
        running = asyncio.create_task(reach.run())
        try:
            await asyncio.sleep(PATIENCE_S + 1)
            assert reach.missing() == []
            await broker.kill()
            assert reach.missing() == []
            await until(lambda: bool(reach.missing()), PATIENCE_S + 2)
            await asyncio.sleep(PATIENCE_S)
            assert "Kafka has not answered" in reach.missing()[0]
            await broker.restart()
            await until(lambda: not reach.missing(), 15)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await log.stop()
