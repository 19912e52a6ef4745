"""Driving one pure stage by hand: records in, effects applied, due timers fired, outputs decoded.

No log, no loop: everything is applied at once, as if every transaction committed. For interleavings, replays and
single steps; crashes and rebalances belong to the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.errors import Poison
from pipeline.records.codec import Codec
from pipeline.records.types import AvroRecord
from pipeline.runtime.api import Effects, Emit, Headers, Measure, Record, Refusal, Stage

S = TypeVar("S")
R = TypeVar("R", bound=AvroRecord)

_TOO_OFTEN = 1_000


@dataclass(kw_only=True)
class Drive(Generic[S]):
    """One task of a stage. ``now_ms`` is the world's time; records are given the time they are handed in.

    Every state is written and read back through the stage's own encoding, so a test sees what a restore would.
    """

    stage: Stage[S]
    codec: Codec
    now_ms: int
    partition: int = 0
    state: dict[bytes, S] = field(default_factory=dict)
    emits: list[Emit] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    """Dead letters: what the stage refused on purpose, and what it raised as Poison."""
    counts: list[Measure] = field(default_factory=list)
    offset: int = 0
    _decoded: dict[tuple[type[AvroRecord], bytes | None], AvroRecord] = field(default_factory=dict)

    def give(
        self,
        topic: str,
        record: AvroRecord,
        *,
        key: bytes | None = None,
        at_ms: int | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Effects[S]:
        """Hand one record in; ``at_ms`` is its timestamp when that is not now."""
        self.offset += 1
        return self.handle(
            Record(
                topic=topic,
                partition=self.partition if partition is None else partition,
                offset=self.offset,
                timestamp_ms=self.now_ms if at_ms is None else at_ms,
                key=key,
                value=self.codec.encode(record),
                headers=headers,
            )
        )

    def handle(self, record: Record) -> Effects[S]:
        """Hand a raw record in."""
        try:
            effects = self.stage.handle(record, self.state, self.now_ms)
        except Poison as poison:
            effects = Effects(refusals=[Refusal(poison.reason, poison.detail, poison.verification_id)])
        return self.apply(effects)

    def apply(self, effects: Effects[S]) -> Effects[S]:
        """Apply what a call of the stage wants."""
        for key, value in effects.state.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = self.stage.decode(self.stage.encode(value))
        self.emits += effects.emits
        self.refusals += effects.refusals
        self.counts += effects.counts
        return effects

    def next_deadline_ms(self) -> int | None:
        """When the next timer is due."""
        deadlines = [self.stage.deadline(value) for value in self.state.values()]
        return min((each.at_ms for each in deadlines if each is not None), default=None)

    def advance_to(self, until_ms: int) -> None:
        """Let time pass and fire each timer at its moment, in the order of the moments.

        Raises AssertionError when a state stays due for ever.
        """
        fired = 0
        while (due_ms := self.next_deadline_ms()) is not None and due_ms <= until_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.fire_due()
            fired += 1
            assert fired < _TOO_OFTEN, "a timer stays due however often it is fired"
        self.now_ms = max(self.now_ms, until_ms)

    def advance(self, ms: int) -> None:
        """Let ``ms`` milliseconds pass; see :meth:`advance_to`."""
        self.advance_to(self.now_ms + ms)

    def fire_due(self) -> None:
        """Fire, once each, the timers that are due now."""
        for key, value in list(self.state.items()):
            deadline = self.stage.deadline(value)
            if deadline is not None and deadline.at_ms <= self.now_ms:
                self.apply(self.stage.fire(key, self.state, self.now_ms))

    def out(self, topic: str, kind: type[R]) -> list[R]:
        """Everything written to ``topic`` so far."""
        return [self._read(kind, emit.value) for emit in self.emits if emit.topic == topic]

    def take(self, topic: str, kind: type[R]) -> list[R]:
        """What was written to ``topic`` since the last time it was taken."""
        taken = self.out(topic, kind)
        self.emits = [emit for emit in self.emits if emit.topic != topic]
        return taken

    def _read(self, kind: type[R], value: bytes | None) -> R:
        # Property tests look at everything after every step; each record is decoded once.
        known = self._decoded.get((kind, value))
        if known is None:
            known = self._decoded[kind, value] = self.codec.decode(kind, value, public=False)
        assert isinstance(known, kind)
        return known

    def counted(self, metric: str, **labels: str) -> float:
        """Sum of what was measured under these labels."""
        return sum(
            value
            for name, value, measured in self.counts
            if name == metric and all(measured.get(label) == wanted for label, wanted in labels.items())
        )
