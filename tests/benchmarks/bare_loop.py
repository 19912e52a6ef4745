"""The yardstick of the framework: the same work by a bare loop over the client, with nothing that makes it safe.

Fetch, decode, encode, remember in a dict, write output and changelog in batches, send offsets, commit. One producer for
all partitions, no fence per task, no restore, no timers, no lanes, no quarantine, no metrics, no deadlines. Batches are
made by hand as the runtime makes them, since ``producer.send`` would cost as much as all the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from pipeline.records.codec import Codec
from pipeline.records.public import DeliveryStatus
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import patches
from pipeline.runtime.kafka.batching import BATCH_BYTES, batches, by_partition
from pipeline.runtime.partition import partition_for
from pipeline.settings import KafkaSettings
from tests.benchmarks.framework_load import PARTITIONS, Marks

CODEC = Codec()
AT_ONCE = 500
"""Records of a transaction, as many as the runtime takes."""


async def relay(settings: KafkaSettings, total: int, marks: Marks) -> None:
    """Relay ``total`` records of ``in`` to ``out``, telling ``marks`` of each."""
    patches.apply()  # the same short pause between transactions
    prefix = settings.topic_prefix
    places = [KafkaPartition(prefix + "in", number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=prefix + "bare",
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        transactional_id=prefix + "bare",
        max_batch_size=BATCH_BYTES,
        compression_type=None if settings.compression == "none" else settings.compression,
    )
    await consumer.start()
    await producer.start()
    consumer.assign(places)
    state: dict[bytes, DeliveryStatus] = {}
    while marks.handled < total:
        fetched = await consumer.getmany(timeout_ms=200, max_records=AT_ONCE)
        outputs: list[Emit] = []
        offsets: dict[KafkaPartition, int] = {}
        for place, records in fetched.items():
            for record in records:
                status = CODEC.decode(DeliveryStatus, record.value, public=True)
                state[record.key] = status
                to = partition_for(record.key, PARTITIONS)
                outputs.append(Emit("out", record.key, CODEC.encode(status), to, CODEC.headers(status)))
                outputs.append(Emit("relay-state", record.key, CODEC.encode(status), place.partition))
                marks.count()
            offsets[place] = records[-1].offset + 1
        if outputs:
            await _commit(producer, prefix, outputs, offsets)
    await producer.stop()
    await consumer.stop()


async def _commit(
    producer: AIOKafkaProducer, prefix: str, outputs: Sequence[Emit], offsets: dict[KafkaPartition, int]
) -> None:
    await producer.begin_transaction()
    deliveries = [
        await producer.send_batch(batch, prefix + topic, partition=partition)
        for (topic, partition), emits in by_partition(outputs).items()
        for batch in batches(producer, emits)
    ]
    await asyncio.gather(*deliveries)
    await producer.send_offsets_to_transaction(offsets, prefix + "bare")
    await producer.commit_transaction()
