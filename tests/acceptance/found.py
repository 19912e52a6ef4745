"""What a stranger sent and found: records, places, dead letters."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message


@dataclass(slots=True)
class Sent:
    """A record on its way; ``partition`` and ``offset`` are known after :meth:`Stranger.flush`."""

    topic: str
    partition: int = -1
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as it was found."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, message: Message, prefix: str) -> Seen:
        return cls(
            topic=str(message.topic()).removeprefix(prefix),
            partition=int(message.partition() or 0),
            offset=int(message.offset() or 0),
            timestamp_ms=int(message.timestamp()[1]),
            key=message.key(),
            value=message.value(),
            headers=tuple((str(name), _bytes(value)) for name, value in list(message.headers() or [])),
        )


@dataclass(slots=True)
class Letter:
    """A dead letter and the record it came in."""

    fields: dict[str, Any]
    record: Seen


@dataclass(slots=True)
class Found:
    """All that was read so far."""

    outcomes: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    replies: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    letters: list[Letter] = field(default_factory=list)


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
