"""Projector and rebuild on a real Kafka, where transactions leave marks between the records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from pipeline import topics
from pipeline.clock import SystemClock
from pipeline.readmodel.database import Database
from pipeline.readmodel.decoding import Decoder
from pipeline.readmodel.ports import Filter
from pipeline.readmodel.projector import Projector
from pipeline.readmodel.rebuild import Rebuild
from pipeline.readmodel.verifications import SqlVerifications
from pipeline.records.codec import Codec
from pipeline.records.public import VerificationOutcome
from pipeline.records.types import VerificationState
from pipeline.runtime.api import Emit, Measure
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.partition import partition_for
from pipeline.settings import KafkaSettings
from pipeline.settings.edges import ReadModelSettings

PARTITIONS = 2
CODEC = Codec()


def outcome(number: int, version: int) -> VerificationOutcome:
    return VerificationOutcome(
        verification_id=f"v{number}",
        version=version,
        tenant="acme",
        state=VerificationState.SENT,
        created_at=1_763_769_600_000 + number,
    )


class Measures:
    def __init__(self) -> None:
        self.lag: dict[tuple[str, str], float] = {}

    def apply(self, measures: list[Measure]) -> None:
        self.lag |= {(at["topic"], at["partition"]): value for name, value, at in measures if name == "lag_records"}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_outcomes_written_in_transactions_are_folded_and_rebuilt_beside_a_running_projector(
    kafka: str, topic_prefix: str, apply_topics: Callable[..., Awaitable[None]], tmp_path: Path
) -> None:
    await apply_topics(topic_prefix, partitions=PARTITIONS)
    log = KafkaLog(KafkaSettings(bootstrap_servers=kafka, topic_prefix=topic_prefix), client_id="test")
    await log.start()
    settings = ReadModelSettings.model_validate({"url": f"sqlite:///{tmp_path}/readmodel.sqlite"})

    async def refresh() -> None:
        return None

    decoder = Decoder(codec=CODEC, clock=SystemClock(), refresh=refresh)
    measures = Measures()
    projector = Projector(
        log=log,
        settings=settings,
        clock=SystemClock(),
        decoder=decoder,
        measures=measures,  # type: ignore[arg-type]
    )
    writer = log.writer("test")
    await writer.start()

    async def write(version: int) -> None:
        for begin in range(0, 60, 10):
            emits = [
                Emit(topics.OUTCOMES, key, CODEC.encode(outcome(n, version)), partition_for(key, PARTITIONS))
                for n in range(begin, begin + 10)
                for key in [f"v{n}".encode()]
            ]
            await writer.commit(emits, {}, "test")

    database = Database(settings)
    verifications = SqlVerifications(database)

    async def all_at(version: int) -> bool:
        page = await verifications.page(Filter(tenant="acme", limit=100))
        return len(page.items) == 60 and all(f'"version":{version},'.encode() in item for item in page.items)

    running = asyncio.create_task(projector.run())
    await write(1)
    await until(lambda: asyncio.sleep(0, not projector.missing()))
    await until(lambda: all_at(1))
    await until(lambda: asyncio.sleep(0, len(measures.lag) == 3 * PARTITIONS and not any(measures.lag.values())))
    rebuild = Rebuild(settings=settings, log=log, decoder=decoder, tell=lambda _: None)
    told, _ = await asyncio.gather(rebuild.run(), write(2))
    assert told.epoch == 2
    await until(lambda: all_at(2))
    await write(3)
    await until(lambda: all_at(3))

    projector.stop()
    await running
    await writer.stop()
    await database.close()
    await log.stop()
