"""What really happened, gathered afterwards from the topics and from the simulator; nothing of it is from memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import orjson

from pipeline.records.codec import Codec
from pipeline.records.public import DeadLetter, VerificationOutcome
from pipeline.runtime.api import Record
from pipeline.runtime.log import Log, TopicPartition, scan
from pipeline.topics import DEAD_LETTERS, OUTCOMES

SETTLE_S: Final = 5.0
"""How long a dead letter may still be under way when everything else has ended."""


@dataclass(frozen=True, slots=True)
class Written:
    """One outcome record and when the broker appended it (epoch milliseconds)."""

    outcome: VerificationOutcome
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What the demo itself did and saw of one case."""

    published_at: int = 0
    """Just before the record was handed to the producer, epoch milliseconds; 0 when it never was."""
    positions: tuple[tuple[int, int], ...] = ()
    """Partition and offset of its records in the request topic."""
    code: str | None = None
    """As the person read it."""
    replies: tuple[str, ...] = ()
    reply_ms: tuple[float, ...] = ()
    """How long each reply took."""
    problem: str | None = None
    """What kept it from being played to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a verdict is drawn from."""

    played: Mapping[str, Played]
    """By the case's name."""
    outcomes: Mapping[str, Sequence[Written]]
    """By verification id, in the order of the topic."""
    dead_letters: Sequence[DeadLetter] = ()
    calls: Sequence[Mapping[str, Any]] = ()
    """The simulator's ``/calls``."""


async def gather(
    *, log: Log, codec: Codec, simulator: httpx.AsyncClient, played: Mapping[str, Played], dead_letters: int
) -> Evidence:
    """Read it all; waits up to :data:`SETTLE_S` for ``dead_letters`` dead letters."""
    letters = await _dead_letters(log, codec)
    try:
        async with asyncio.timeout(SETTLE_S):
            while len(letters) < dead_letters:
                await asyncio.sleep(0.2)
                letters = await _dead_letters(log, codec)
    except TimeoutError:
        pass  # the verdict says which is missing
    outcomes: defaultdict[str, list[Written]] = defaultdict(list)
    for record in await _all(log, OUTCOMES):
        outcome = codec.decode(VerificationOutcome, record.value, public=True)
        outcomes[outcome.verification_id].append(Written(outcome, record.timestamp_ms))
    answer = await simulator.get("/calls")
    answer.raise_for_status()
    calls = [orjson.loads(line) for line in answer.content.splitlines()]
    return Evidence(played=played, outcomes=outcomes, dead_letters=letters, calls=calls)


async def _dead_letters(log: Log, codec: Codec) -> list[DeadLetter]:
    return [codec.decode(DeadLetter, record.value, public=True) for record in await _all(log, DEAD_LETTERS)]


async def _all(log: Log, topic: str) -> list[Record]:
    partitions = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
    starts = await log.start_offsets(partitions)
    return [record async for records in scan(log, starts) for record in records]
