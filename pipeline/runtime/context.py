"""What the tasks of one stage in one process share, and one transaction while it is being built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.clock import Clock
from pipeline.runtime.api import Emit, Measure, Record, Refusal
from pipeline.runtime.failures import PoisonLimit
from pipeline.runtime.log import GroupReader, Log
from pipeline.settings import RuntimeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTimer:
    """A timer that failed three times over."""

    changelog: str
    partition: int
    key: bytes
    """Of the state entry whose deadline it is."""
    entry: bytes | None
    """The entry as the changelog has it."""


class DeadLetters(Protocol):
    """How the runtime, which knows no domain, writes a dead letter."""

    def for_record(self, stage: str, record: Record, refusal: Refusal, now_ms: int) -> Emit:
        """For an input record."""

    def for_timer(self, stage: str, timer: FailedTimer, refusal: Refusal, now_ms: int) -> Emit:
        """For a timer."""


class Sink(Protocol):
    """Where measurements go."""

    def apply(self, measures: Sequence[Measure]) -> None:
        """Take these increments and observations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the tasks of one stage in one process share."""

    log: Log
    reader: GroupReader
    clock: Clock
    settings: RuntimeSettings
    metrics: Sink
    dead_letters: DeadLetters
    group: str
    refresh: Callable[[], Awaitable[None]]
    """Reads the global tables to their ends."""
    poison: PoisonLimit


@dataclass(slots=True)
class Batch:
    """One transaction being built."""

    emits: list[Emit] = field(default_factory=list)
    counts: list[Measure] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    touched: dict[bytes, Record | bytes | None] = field(default_factory=dict)
    """Which work changed a state key last; None for an event."""
    topics: dict[str, int] = field(default_factory=dict)
    """Handled records per topic."""
    poison: list[str | None] = field(default_factory=list)
    """Per record None, or why it was poison."""
    done: list[Record | bytes] = field(default_factory=list)
    """Work that went well, kept only while there are crashes to forget."""
    closed: bool = False
    """Nothing more may join it."""
    first_ms: int | None = None
    """Timestamp of the first record, for the time of the hop."""
    items: int = 0
    bulk: int = 0
    last: Record | bytes | None = None
