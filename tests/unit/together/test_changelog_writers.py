"""Every changelog partition has one writer: another one's open transaction would hide what it holds from a restore."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline import topics
from pipeline.runtime.api import Emit
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log.log import MemoryProducer, MemoryWriter
from pipeline.testing.simulation.world import ENDS, World, story

TABLES = {topics.PROVIDER_HEALTH, topics.CONTROL, topics.SCHEMAS}
"""Compacted as well, but no task restores itself from them."""
KINDS = {kind: "email" if kind == "smtp" else "sms" for kind in ENDS}
ACCOUNTS: dict[str, dict[str, Any]] = {kind: {} for kind in ENDS} | {"second": {"kind": "ycloud"}}
"""One of each kind, and two of one."""


def test_every_changelog_partition_is_written_by_the_one_transactional_id_of_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writers: defaultdict[TopicPartition, set[str]] = defaultdict(set)
    append, send = MemoryWriter.append, MemoryProducer.send

    async def seen_append(self: MemoryWriter, outputs: Sequence[Emit], *more: Any) -> None:
        for emit in outputs:
            assert emit.partition is not None
            writers[TopicPartition(emit.topic, emit.partition)].add(self._name)
        await append(self, outputs, *more)

    async def seen_send(self: MemoryProducer, emit: Emit, **more: Any) -> tuple[int, int]:
        partition, offset = await send(self, emit, **more)
        writers[TopicPartition(emit.topic, partition)].add("a plain producer")
        return partition, offset

    monkeypatch.setattr(MemoryWriter, "append", seen_append)
    monkeypatch.setattr(MemoryProducer, "send", seen_send)

    @story(**ACCOUNTS)
    async def run(world: World) -> None:
        for instance in range(2):
            # Another process each time, which takes every task over.
            async with world.running(instance=instance):
                await asyncio.sleep(8)
                for number, name in enumerate(ACCOUNTS):
                    for place in range(2):
                        recipient = f"jo{place}@example.org" if name == "smtp" else f"+49151234567{number}{place}"
                        steps = f"{KINDS.get(name, 'sms')}@{name}:200"
                        vid = f"{name}-{instance}-{place}"
                        await world.start(vid, recipient=recipient, steps=steps, wait_s=0.1)
                await asyncio.sleep(5)
        changelogs = {
            topic.name
            for topic in world.topics
            if "compact" in topic.config["cleanup.policy"] and topic.name not in TABLES
        }
        stages = {
            topics.ROUTER_STATE: "router",
            topics.TRACKER_STATE: "tracker",
            topics.CORRELATOR_STATE: "correlator",
        } | {topics.attempts(name): f"sender.{name}" for name in ACCOUNTS}
        assert changelogs == set(stages)
        written = {place: ids for place, ids in writers.items() if place.topic in changelogs}
        assert {place.topic for place in written} == changelogs
        assert written == {place: {f"{stages[place.topic]}.{place.partition}"} for place in written}

    run()
