"""Finds transactions that hang though their coordinator has ended them, and tells their partitions how.

Kafka's own tool can only abort, and that breaks exactly-once for a transaction that its coordinator has committed:
some of its partitions, such as the group's positions, may have been told so already. The decision is in the
coordinator's log, so the partitions that were left out are told the same as the others.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from pipeline.errors import Infrastructure, LogUnavailable
from pipeline.hanging.decisions import Decision, last_decisions
from pipeline.hanging.wire import DescribeProducers, Step, WriteTxnMarker, step
from pipeline.runtime.kafka.connection import connection_options
from pipeline.settings import KafkaSettings
from pipeline.topics_admin import admin_client

STATE: Final = "__transaction_state"
POSITIONS: Final = "__consumer_offsets"


@dataclass(frozen=True, slots=True)
class Open:
    """A transaction that is open in one partition."""

    topic: str
    partition: int
    producer_id: int
    epoch: int
    coordinator_epoch: int
    start_offset: int
    last_ms: int
    """When its producer wrote last."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """One that should not be."""

    open: Open
    decision: Decision | None
    """None: the coordinator's log no longer tells."""


async def find(kafka: KafkaSettings) -> list[Hanging]:
    """Every partition of this deployment, and of the groups' positions, in which an ended transaction is open."""
    async with admin_client(kafka) as admin:
        before = await _open(admin, kafka.topic_prefix)
        numbers = [TopicPartition(*part) for part in await _leaders(admin) if part[0] == STATE]
        decisions = last_decisions(await _steps(kafka, numbers)) if before else {}
        # What ended while the coordinators' log was read is none.
        still = set(await _open(admin, kafka.topic_prefix)) if before else set()
    found = []
    for each in before:
        decision = decisions.get((each.producer_id, each.topic, each.partition))
        # What was written after the last decision that is seen is a newer transaction, and not ours to decide.
        running = decision is not None and (not decision.ended or decision.at_ms < each.last_ms)
        if each in still and not running and _is_ours(each, decision, kafka.topic_prefix):
            found.append(Hanging(each, decision))
    return found


async def end(kafka: KafkaSettings, hanging: Sequence[Hanging]) -> None:
    """Write the marker that each of them lacks. Raises Infrastructure when a broker refuses one."""
    async with admin_client(kafka) as admin:
        leaders = await _leaders(admin)
        for each in hanging:
            if each.decision is None:
                continue
            request = WriteTxnMarker(
                producer=(each.open.producer_id, each.open.epoch),
                coordinator_epoch=max(0, each.open.coordinator_epoch),
                committed=each.decision.committed,
                topic=each.open.topic,
                partition=each.open.partition,
            )
            answer: Any = await admin._send_request_to_node(leaders[each.open.topic, each.open.partition], request)
            code = answer.markers[0][1][0][1][0][1]
            if code:
                raise Infrastructure(
                    f"the broker refused the marker for {each.open.topic}-{each.open.partition}: "
                    f"{for_code(code).__name__}"
                )


def _is_ours(each: Open, decision: Decision | None, prefix: str) -> bool:
    """Positions of other applications lie among ours."""
    return each.topic != POSITIONS or (decision is not None and decision.transactional_id.startswith(prefix))


async def _leaders(admin: AIOKafkaAdminClient) -> dict[tuple[str, int], int]:
    return {
        (topic["topic"], part["partition"]): part["leader"]
        for topic in await admin.describe_topics()
        for part in topic["partitions"]
    }


async def _open(admin: AIOKafkaAdminClient, prefix: str) -> list[Open]:
    asked: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for (topic, partition), leader in (await _leaders(admin)).items():
        if topic == POSITIONS or (topic.startswith(prefix) and not topic.startswith("__")):
            if leader < 0:
                raise LogUnavailable(f"{topic}-{partition} has no leader now: try again when its broker is back")
            asked[leader][topic].append(partition)
    found = []
    for leader, topics in asked.items():
        answer: Any = await admin._send_request_to_node(leader, DescribeProducers(list(topics.items())))
        for topic, partitions, _ in answer.topics:
            for partition, code, _, producers, _ in partitions:
                if code:
                    raise Infrastructure(f"{topic}-{partition}: {for_code(code).__name__}")
                found += [
                    Open(topic, partition, producer_id, epoch, coordinator_epoch, start, written_ms)
                    for producer_id, epoch, _, written_ms, coordinator_epoch, start, _ in producers
                    if start >= 0
                ]
    return found


async def _steps(kafka: KafkaSettings, numbers: Sequence[TopicPartition]) -> list[Step]:
    options = connection_options(kafka, kafka.client_id)
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="earliest")
    found: list[Step] = []
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            consumer.assign(numbers)
            ends = await consumer.end_offsets(numbers)
            while any([await consumer.position(part) < until for part, until in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        if record.key is not None and record.value is not None:
                            told = step(record.key, record.value)
                            found += [told] if told is not None else []
    finally:
        await consumer.stop()
    return found
