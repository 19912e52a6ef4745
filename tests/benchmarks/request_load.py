"""Requests published at an even pace whatever becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pipeline import topics
from pipeline.process import connected
from pipeline.records.public import VerificationRequest
from pipeline.runtime.api import Emit
from pipeline.settings import Settings
from tests.benchmarks.whole_pipeline import evenly


async def publish(
    settings: Settings, rate: float, count: int, request: Callable[[int], VerificationRequest]
) -> dict[str, float]:
    """Publish ``request(0)``, ``request(1)`` …; when each verification id was handed to the producer (epoch ms)."""
    published: dict[str, float] = {}
    async with connected(settings, client_id="load") as (log, codec):
        producer = await log.producer()
        sending: set[asyncio.Task[tuple[int, int]]] = set()
        async for n, _ in evenly(rate, count):
            asked = request(n)
            emit = Emit(topics.REQUESTS, asked.recipient.encode(), codec.encode(asked))
            published[asked.verification_id] = time.time() * 1000
            task = asyncio.create_task(producer.send(emit))
            sending.add(task)
            task.add_done_callback(sending.discard)
        await asyncio.gather(*sending)
        await producer.stop()
    return published
