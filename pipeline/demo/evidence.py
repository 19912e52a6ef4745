"""What really happened, gathered afterwards from the topics and from the simulator; nothing of it is from memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
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
"""How long what follows from the last outcome may be under way: dead letters, reports to providers, cancels."""
_LOOK_S: Final = 0.3


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
    text: str = ""
    """The message it stood in."""
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
    webhooks: Sequence[Mapping[str, Any]] = ()
    """The simulator's ``/webhooks``: every try to tell the gateway something."""


async def gather(
    *,
    log: Log,
    codec: Codec,
    simulator: httpx.AsyncClient,
    played: Mapping[str, Played],
    complete: Callable[[Evidence], bool],
) -> Evidence:
    """Read it all, again and again for :data:`SETTLE_S` while it is not ``complete``."""
    evidence = await _gathered(log, codec, simulator, played)
    with contextlib.suppress(TimeoutError):  # the verdict says what is missing
        async with asyncio.timeout(SETTLE_S):
            while not complete(evidence):
                await asyncio.sleep(_LOOK_S)
                evidence = await _gathered(log, codec, simulator, played)
    return evidence


async def _gathered(log: Log, codec: Codec, simulator: httpx.AsyncClient, played: Mapping[str, Played]) -> Evidence:
    outcomes: defaultdict[str, list[Written]] = defaultdict(list)
    for record in await _all(log, OUTCOMES):
        outcome = codec.decode(VerificationOutcome, record.value, public=True)
        outcomes[outcome.verification_id].append(Written(outcome, record.timestamp_ms))
    return Evidence(
        played=played,
        outcomes=outcomes,
        dead_letters=[codec.decode(DeadLetter, record.value, public=True) for record in await _all(log, DEAD_LETTERS)],
        calls=await _lines(simulator, "/calls"),
        webhooks=await _lines(simulator, "/webhooks"),
    )


async def _lines(simulator: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await simulator.get(path)
    answer.raise_for_status()
    return [orjson.loads(line) for line in answer.content.splitlines()]


async def _all(log: Log, topic: str) -> list[Record]:
    partitions = [TopicPartition(topic, number) for number in range(await log.partitions(topic))]
    starts = await log.start_offsets(partitions)
    return [record async for records in scan(log, starts) for record in records]
