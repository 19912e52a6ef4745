"""The one contract between a stage and the runtime.

A stage is pure: it sees a record (or a due timer, or an event of work it launched), the state of its task and
the time, and answers with :class:`Effects`. It does no I/O, never awaits, and has no clock or randomness of its
own. The runtime applies all effects of a batch in one Kafka transaction together with the input positions, so
either everything happened or nothing did; a batch may therefore be handled again from the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from pipeline.errors import DeadLetterReason


class Lane(IntEnum):
    """Which of the two queues a record travels in; the smaller number goes first."""

    INTERACTIVE = 0
    BULK = 1


class Queue(IntEnum):
    """In which order a task handles the records it has read; the smaller number goes first."""

    URGENT = 0
    """Somebody waits for what is done about it at once, and it is no more work for being first."""
    INTERACTIVE = 1
    BULK = 2


Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka knows headers without a value."""


URGENT: Final = "urgent"
"""Header of a record that somebody waits for although its input may linger; its value is empty."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One input record as the log holds it.

    ``topic`` has no deployment prefix. ``timestamp_ms`` is the broker's append time, but on compacted topics
    the writer's.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """The first header of this name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class Emit(msgspec.Struct, frozen=True, gc=False):
    """One output record. Without ``partition`` the key decides (murmur2, as Java clients do)."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of key, value and headers, without framing."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, value in self.headers:
            size += len(name) + len(value or b"")
        return size


@dataclass(frozen=True, slots=True)
class Input:
    """One input topic of a stage.

    ``lane`` None means that timers of both lanes wait for this topic (checks, commands: they have no lanes).
    ``urgent`` records are handled before all others, also while the stage has no room for those.
    ``linger_ms`` says for how long after the begin of a transaction a record may wait for others to share the next,
    as nobody waits for what is done about it; one with the header :data:`URGENT` does not.
    """

    topic: str
    lane: Lane | None = None
    urgent: bool = False
    linger_ms: int = 0

    @property
    def queue(self) -> Queue:
        """Which queue of the task its records wait in."""
        if self.urgent:
            return Queue.URGENT
        return Queue.BULK if self.lane is Lane.BULK else Queue.INTERACTIVE


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """When a state entry wants to be looked at again.

    The timer fires once ``at_ms`` is past *and* every input of its lane has been read past ``at_ms`` or to an
    end fetched after it; ``force_at_ms`` bounds the wait for the inputs. ``lane`` None waits for all inputs.
    """

    at_ms: int
    lane: Lane | None = Lane.INTERACTIVE
    force_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that ends as a dead letter on purpose (it does not count towards the poison limit)."""

    reason: DeadLetterReason
    detail: str
    verification_id: str | None = None
    source: Record | None = None
    """The record as its producer wrote it, where the one at hand only passed it on; the dead letter tells of it."""


S = TypeVar("S")
StateView = Mapping[bytes, S]
Measure = tuple[str, float, Mapping[str, str]]
Post = Callable[[object], None]


@dataclass(slots=True)
class Effects(Generic[S]):
    """What one call of a stage wants to happen; applied whole in one transaction, or not at all.

    ``state``      new values by state key, None deletes
    ``emits``      output records
    ``refusals``   dead letters for the record at hand
    ``counts``     metric increments and observations, applied only after the commit
    ``actions``    work on the outside to launch only after the commit (see :meth:`Stage.launch`)
    ``hold``       the record at hand is not finished yet: its offset is not committed until released
    ``finished``   ``(topic, offset)`` of held records of this task that are finished now
    """

    state: dict[bytes, S | None] = field(default_factory=dict)
    emits: list[Emit] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    counts: list[Measure] = field(default_factory=list)
    actions: list[Any] = field(default_factory=list)
    hold: bool = False
    finished: list[tuple[str, int]] = field(default_factory=list)

    def count(self, metric: str, value: float = 1.0, /, **labels: str) -> None:
        """Measure after the commit; ``metric`` is an attribute of :class:`pipeline.metrics.Metrics`."""
        self.counts.append((metric, value, labels))


class Stage(Protocol[S]):
    """One partition's worth of a stage. Instances are per task, so memory that may be lost can live in them."""

    @property
    def name(self) -> str:
        """Short name used in groups, transactional ids, metrics and logs (``router``)."""

    @property
    def inputs(self) -> Sequence[Input]:
        """Fixed list of topics; the same for every member of the group whatever its configuration."""

    @property
    def changelog(self) -> str:
        """Compacted topic that holds this stage's state."""

    def handle(self, record: Record, state: StateView[S], now_ms: int) -> Effects[S]:
        """Handle one input record.

        Raises Poison (dead letter, go on), Infrastructure (the task waits and tries again). Anything else is a
        bug: the task is rebuilt, and an input that fails three times over is handed to :meth:`quarantine`.
        """

    def fire(self, key: bytes, state: StateView[S], now_ms: int) -> Effects[S]:
        """The deadline of the entry under ``key`` has come; it is called again if the deadline stays due."""

    def deadline(self, value: S) -> Deadline | None:
        """The next deadline of a state entry, derived from the entry, so that it is as durable as the entry."""

    def encode(self, value: S) -> bytes:
        """The entry as written to the changelog."""

    def decode(self, data: bytes) -> S:
        """The inverse of :meth:`encode`; raises UnknownWriter for a schema or key id not known yet."""

    def quarantine(self, work: Record | bytes, state: StateView[S], now_ms: int) -> Effects[S]:
        """End what belongs to a record (or a timer's state key) that failed three times over; must not raise.

        The runtime adds the dead letter itself.
        """


class AsyncStage(Stage[S], Protocol[S]):
    """A stage that also works on the outside between transactions (the senders)."""

    def restored(self, state: StateView[S], now_ms: int) -> Effects[S]:
        """Called once after restore, before any record, to settle what a crash left open."""

    def launch(self, action: Any, post: Post) -> None:
        """Begin committed work; results come back through ``post`` and are handed to :meth:`on_event`."""

    def on_event(self, event: object, state: StateView[S], now_ms: int) -> Effects[S]:
        """Handle one posted event; may finish held records."""

    def room(self, queue: Queue) -> int:
        """How many more records of this queue the stage can hold now; 0 stops feeding it."""

    async def drain(self) -> None:
        """Begin nothing new and return when running work has posted its results (bounded by its own timeouts)."""
