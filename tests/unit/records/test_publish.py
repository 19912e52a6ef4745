"""Every writer schema is on ``verification.schemas`` before anything is written with it, once."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import topics
from pipeline.records.catalogue import RECORDS
from pipeline.records.codec import Codec
from pipeline.records.publish import missing, publish_schemas
from pipeline.records.schemas import parse
from pipeline.records.store import SchemaStore, current
from pipeline.runtime.api import Emit, Record


class Topic:
    """A producer that keeps what it is given, and hands it to a reader."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    async def send(self, emit: Emit, *, timestamp_ms: int | None = None) -> tuple[int, int]:
        offset = len(self.records)
        self.records.append(
            Record(
                topic=emit.topic,
                partition=0,
                offset=offset,
                timestamp_ms=timestamp_ms or 0,
                key=emit.key,
                value=emit.value,
            )
        )
        return 0, offset

    async def send_all(self, emits: Sequence[Emit]) -> None:
        for emit in emits:
            await self.send(emit)

    async def stop(self) -> None:
        """Nothing to release."""


async def test_an_empty_topic_gets_every_schema_under_its_fingerprint() -> None:
    topic = Topic()
    assert await publish_schemas(Codec(), topic) == len(RECORDS)
    for kind, record in zip(RECORDS, topic.records, strict=True):
        assert record.topic == topics.SCHEMAS
        assert record.value is not None
        assert parse(record.value.decode()).fingerprint == current(kind).schema.fingerprint
        assert record.key == f"{current(kind).schema.fingerprint:016x}".encode()


async def test_schemas_already_there_are_not_written_again() -> None:
    topic = Topic()
    await publish_schemas(Codec(), topic, RECORDS[:3])
    codec = Codec()
    for record in topic.records:
        assert codec.store.apply(record) is None
    assert len(missing(codec, codec.store.published)) == len(RECORDS) - 3
    assert await publish_schemas(codec, topic, RECORDS[:3]) == 0


async def test_a_reader_that_follows_the_topic_reads_what_it_did_not_know() -> None:
    topic = Topic()
    await publish_schemas(Codec(), topic)
    reader = SchemaStore(records=RECORDS[:1])
    for record in topic.records:
        reader.apply(record)
    assert reader.find(current(RECORDS[0]).schema.fingerprint) is not None
