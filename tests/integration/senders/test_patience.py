"""Two sender processes of one provider on a real Kafka: when one of them is told to wait, both do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from pipeline import key_files, topics
from pipeline.clock import SystemClock
from pipeline.process import Parts, opened
from pipeline.runtime.api import Emit
from pipeline.runtime.partition import partition_for
from pipeline.services import SenderRunner
from pipeline.settings import Settings
from tests.integration.senders.provider_server import ProviderServer, answer, provider_server
from tests.unit.senders.doubles import PHONE, command

PARTITIONS: Final = 4
PATIENCE_S: Final = 4
PER_PARTITION: Final = 3


async def busy_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ProviderServer) -> None:
    """Turns its first caller away, and takes everything from then on."""
    await server.read_request(reader)
    if len(server.requests) == 1:
        writer.write(answer(b"", status="429 Slow down", headers=b"Retry-After: %d\r\n" % PATIENCE_S))
    else:
        writer.write(answer(b'{"number-valid":true,"sent":true}'))
    await writer.drain()


@asynccontextmanager
async def process(settings: Settings, instance: int) -> AsyncIterator[tuple[Parts, SenderRunner]]:
    """One sender process, running."""
    async with opened(settings, client_id=f"sender-{instance}", instance=instance) as parts:
        runner = SenderRunner(parts, "neutrino")
        running = asyncio.create_task(runner.run())
        try:
            yield parts, runner
        finally:
            runner.stop()
            await running


async def write(parts: Parts, verification_id: str) -> None:
    """A command to send, for whichever process owns the id's partition."""
    ring = parts.key_ring
    due = command(
        verification_id=verification_id,
        provider="neutrino",
        recipient_sealed=ring.seal(PHONE.encode(), verification_id=verification_id, field="recipient"),
        kid=ring.current,
        send_by_at=SystemClock().now_ms() + 60_000,
    )
    producer = await parts.log.producer()
    try:
        topic, key = topics.send(due.channel), verification_id.encode()
        headers = (("provider", b"neutrino"), *parts.codec.headers(due))
        await producer.send(Emit(topic, key, parts.codec.encode(due), headers=headers))
    finally:
        await producer.stop()


def ids(partition: int) -> list[str]:
    """Verification ids of one partition."""
    found = (f"v{n}" for n in range(10_000) if partition_for(b"v%d" % n, PARTITIONS) == partition)
    return [next(found) for _ in range(PER_PARTITION)]


async def until(condition: Callable[[], bool], timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event to offer
            await asyncio.sleep(0.02)


async def test_a_provider_that_turns_one_process_away_is_left_in_peace_by_all(
    kafka: str, topic_prefix: str, apply_topics: Callable[..., Awaitable[None]], tmp_path: Path
) -> None:
    await apply_topics(topic_prefix, partitions=PARTITIONS)
    key_files.create(tmp_path / "keys", SystemClock())
    async with provider_server(busy_once) as server, AsyncExitStack() as stack:
        settings = Settings.model_validate(
            {
                "kafka": {"bootstrap_servers": kafka, "topic_prefix": topic_prefix},
                "keys": {"directory": tmp_path / "keys"},
                "providers": {
                    "neutrino": {
                        "enabled": True,
                        "user_id": "u",
                        "api_key": "k",
                        "base_url": server.url,
                        "rate_per_s": 1_000,
                    }
                },
            }
        )
        processes = [await stack.enter_async_context(process(settings, instance)) for instance in range(2)]
        await until(lambda: not any(runner.missing() for _, runner in processes), 60)
        parts, _ = processes[0]
        await write(parts, ids(0)[0])
        await until(lambda: len(server.requests) == 1, 20)
        turned_away_s = asyncio.get_running_loop().time()
        # What the answer led to is told within a transaction and read by the other process: well below a second.
        await asyncio.sleep(1)
        others = [each for partition in range(1, PARTITIONS) for each in ids(partition)]
        for each in others:
            await write(parts, each)
        await asyncio.sleep(turned_away_s + PATIENCE_S - 0.3 - asyncio.get_running_loop().time())
        assert len(server.requests) == 1
        await until(lambda: len(server.requests) == 2 + len(others), 20)
        assert server.requests[1:].count(server.requests[0]) == 1, "the one that was turned away goes again, once"
