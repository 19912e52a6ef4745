"""Publishing our writer schemas to ``verification.schemas``, before anything is written with them.

Following the topic is :meth:`pipeline.records.store.SchemaStore.apply`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from pipeline import topics
from pipeline.records.catalogue import RECORDS
from pipeline.records.codec import Codec
from pipeline.records.schemas import Schema
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Emit
from pipeline.runtime.log import Producer


def schema_record(schema: Schema) -> Emit:
    """A schema as a record of the compacted topic: keyed by its fingerprint, the value is its JSON."""
    return Emit(topic=topics.SCHEMAS, key=schema.key.encode(), value=schema.text.encode())


def missing(codec: Codec, published: Container[int], kinds: Iterable[type[AvroRecord]] = RECORDS) -> list[Emit]:
    """The schemas ``codec`` writes with that are not among the ``published`` fingerprints."""
    return [schema_record(schema) for schema in codec.writer_schemas(kinds) if schema.fingerprint not in published]


async def publish_schemas(codec: Codec, producer: Producer, kinds: Iterable[type[AvroRecord]] = RECORDS) -> int:
    """Write what the topic lacks; returns how many schemas that were.

    To be called after the store has read the topic to its end and before the first record is written; when it returns,
    every broker of the in-sync set has them. Two processes starting at once both write them, which compaction removes.
    Raises LogUnavailable.
    """
    emits = missing(codec, codec.store.published, kinds)
    for emit in emits:
        await producer.send(emit)
    return len(emits)
