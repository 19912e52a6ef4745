"""Gateway and correlator on a real broker: a signed webhook goes in, the status of an attempt comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import pytest

from pipeline import key_files, services, topics
from pipeline.clock import SystemClock
from pipeline.gateway.server import GatewayServer
from pipeline.model.receipt_key import by_message_id, by_recipient
from pipeline.model.reference import REFERENCE_HEADER, reference
from pipeline.process import Parts, Process, opened
from pipeline.records.internal import MessageRef
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import Channel
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition, scan
from pipeline.settings import GatewaySettings, KafkaSettings, KeysSettings, Settings
from tests.unit.gateway.fakes import FakeWebhooks

PARTITIONS = 4
DECISION = "aa" * 16
PERSON, OTHER = "+4915112345678", "+4915112345679"


@dataclass
class Deployment:
    """One prefix with a gateway in front of provider ``bird``, and correlators that come and go."""

    settings: Settings
    parts: Parts
    gateway: GatewayServer
    http: httpx.AsyncClient

    @asynccontextmanager
    async def correlator(self) -> AsyncIterator[Parts]:
        """A correlator process, ready."""
        async with opened(self.settings, client_id="correlator", instance=0) as parts:
            process, ready = Process(parts, [services.correlator(parts)]), asyncio.Event()
            running = asyncio.create_task(process.run(status=False, ready=ready.set))
            try:
                async with asyncio.timeout(40):
                    await ready.wait()
                yield parts
            finally:
                process.stop()
                await running

    async def told(self, **report: str) -> None:
        """The provider reports a delivery."""
        url = f"{self.gateway.url}/v1/webhooks/bird"
        answer = await self.http.post(url, content=orjson.dumps([report]), headers={"Signature": "right"})
        assert answer.status_code == 200

    async def sent(
        self, vid: str, n: int = 1, *, message_id: str | None = None, recipient: str = PERSON, bulk: bool = False
    ) -> None:
        """A sender writes which attempt a message is."""
        hashed = self.parts.key_ring.recipient_key(recipient)
        ref = MessageRef(
            verification_id=vid,
            attempt_id=f"{vid}.{n}",
            decision_id=DECISION,
            bulk=bulk,
            provider="bird",
            channel=Channel.SMS,
            provider_message_id=message_id,
            reference=reference(vid, n, DECISION),
            recipient_key="" if message_id else hashed,
            written_at=SystemClock().now_ms(),
        )
        key = by_message_id("bird", message_id) if message_id else by_recipient("bird", hashed, Channel.SMS)
        producer = await self.parts.log.producer()
        try:
            await producer.send(Emit(topics.MESSAGE_REFS, key.encode(), self.parts.codec.encode(ref)))
        finally:
            await producer.stop()

    async def statuses(self, topic: str = topics.STATUSES) -> list[tuple[str, str]]:
        """Attempt and reference of every status written so far."""
        starts = {TopicPartition(topic, number): 0 for number in range(PARTITIONS)}
        records = [record async for batch in scan(self.parts.log, starts) for record in batch]
        decoded = [(self.parts.codec.decode(DeliveryStatus, each.value, public=True), each) for each in records]
        return sorted(
            (status.attempt_id, (record.header(REFERENCE_HEADER) or b"").decode()) for status, record in decoded
        )

    async def eventually(self, count: int, topic: str = topics.STATUSES) -> list[tuple[str, str]]:
        """The statuses when there are so many."""
        await eventually(lambda: self._are(count, topic))
        return await self.statuses(topic)

    async def _are(self, count: int, topic: str) -> bool:
        return len(await self.statuses(topic)) >= count


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.05)


def unmatched(parts: Parts) -> float:
    name = "verification_receipts_unmatched_total"
    return parts.metrics.registry.get_sample_value(name, {"provider": "bird"}) or 0.0


@pytest.fixture
async def deployment(
    kafka: str, topic_prefix: str, apply_topics: Callable[..., Awaitable[None]], tmp_path: Path
) -> AsyncIterator[Deployment]:
    await apply_topics(topic_prefix, partitions=PARTITIONS)
    key_files.create(tmp_path / "keys", SystemClock())
    settings = Settings(
        kafka=KafkaSettings(
            bootstrap_servers=kafka, topic_prefix=topic_prefix, session_timeout_ms=6_000, rebalance_timeout_ms=15_000
        ),
        keys=KeysSettings(directory=tmp_path / "keys"),
    )
    async with opened(settings, client_id="gateway", instance=0) as parts, httpx.AsyncClient() as http:
        gateway = GatewayServer(
            settings=GatewaySettings(port=0),
            log=parts.log,
            encoder=parts.codec,
            measures=parts.metrics,
            webhooks={"bird": FakeWebhooks()},
            recipient_key=parts.key_ring.recipient_key,
        )
        await gateway.start()
        yield Deployment(settings, parts, gateway, http)
        await gateway.stop()


async def test_a_webhook_reaches_the_attempt_it_is_about_whichever_comes_first(deployment: Deployment) -> None:
    async with deployment.correlator() as parts:
        await deployment.sent("v1", message_id="m-1")
        await deployment.told(message="m-1")
        await deployment.told(message="m-2")
        await deployment.sent("v2", 3, message_id="m-2", bulk=True)
        assert await deployment.eventually(1) == [("v1.1", "v1_1_vkvkvk")]
        assert await deployment.eventually(1, topics.bulk(topics.STATUSES)) == [("v2.3", "v2_3_vkvkvk")]
        await deployment.sent("v3", recipient=PERSON)
        began = time.monotonic()
        await deployment.told(recipient=PERSON, channel="sms")
        assert await deployment.eventually(2) == [("v1.1", "v1_1_vkvkvk"), ("v3.1", "v3_1_vkvkvk")]
        # Settled after the brokers' skew, and not after the runtime's longest idle wait on top of it.
        assert time.monotonic() - began < 4.5
        assert unmatched(parts) == 0


async def test_of_two_attempts_for_one_person_neither_is_believed(deployment: Deployment) -> None:
    async with deployment.correlator() as parts:
        await deployment.sent("v1", 1)
        await deployment.sent("v1", 2)
        await deployment.sent("v2", 1, recipient=OTHER)
        await deployment.told(recipient=PERSON, channel="sms")
        await deployment.told(recipient=OTHER, channel="sms")
        assert await deployment.eventually(1) == [("v2.1", "v2_1_vkvkvk")]

        async def counted() -> bool:
            return unmatched(parts) == 1

        await eventually(counted)
        assert len(await deployment.statuses()) == 1


async def test_what_waits_is_there_again_after_a_restart_and_what_was_placed_is_not_placed_again(
    deployment: Deployment,
) -> None:
    async with deployment.correlator():
        await deployment.sent("v1", message_id="m-1")
        await deployment.told(message="m-1")
        await deployment.told(message="m-2")
        await deployment.told(recipient=PERSON, channel="sms")
        await deployment.sent("v2", recipient=OTHER)
        await deployment.eventually(1)
    async with deployment.correlator():
        await deployment.sent("v3", message_id="m-2")
        await deployment.told(recipient=OTHER, channel="sms")
        assert [attempt for attempt, _ in await deployment.eventually(3)] == ["v1.1", "v2.1", "v3.1"]


async def test_a_correlator_that_was_away_settles_what_it_finds_by_the_time_it_was_written(
    deployment: Deployment,
) -> None:
    """Everything lies unread; it comes in no particular order, and still nothing is placed that is not certain."""
    await deployment.sent("v1", 1)
    await deployment.told(recipient=OTHER, channel="sms")  # of nobody's attempt: the one below came seconds later
    await deployment.told(recipient=PERSON, channel="sms")
    await asyncio.sleep(2.2)
    await deployment.sent("v1", 2)
    await deployment.sent("v2", recipient=OTHER)
    await deployment.told(recipient=PERSON, channel="sms", status="read")
    async with deployment.correlator() as parts:
        assert [attempt for attempt, _ in await deployment.eventually(1)] == ["v1.1"]

        async def counted() -> bool:
            return unmatched(parts) == 2

        await eventually(counted)
        assert len(await deployment.statuses()) == 1
