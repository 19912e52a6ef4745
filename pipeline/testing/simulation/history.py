"""What there is to see of a run from outside: topics, far ends, and what people did."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from pipeline import topics
from pipeline.records.internal import Decision, SendCommand, SendResult
from pipeline.records.journal import JournalEntry
from pipeline.records.public import CodeCheck, DeadLetter, DeliveryStatus, Reply, VerificationOutcome
from pipeline.records.tracker_state import TrackerState
from pipeline.records.types import AvroRecord
from pipeline.runtime.log import TopicPartition
from pipeline.testing.memory_log.partition import Entry
from pipeline.testing.simulation.deployed import SKEW_MS, Deployed
from pipeline.testing.simulation.line import Lines
from pipeline.testing.simulation.people import Done
from pipeline.testing.simulation.reports import Reporters
from pipeline.testing.simulation.swarm import Swarm

R = TypeVar("R", bound=AvroRecord)


class Seen(NamedTuple):
    """One committed record, and where."""

    topic: str
    partition: int
    entry: Entry
    value: Any


@dataclass(kw_only=True)
class History:
    """Of one run."""

    seed: int
    swarm: Swarm
    world: Deployed
    done: Done
    lines_: Lines
    reporters: Reporters
    ids: Sequence[str]
    settled: bool
    killed: int
    ends: list[BaseException] = field(default_factory=list)
    """What processes ended with, that ended by themselves."""
    lines: Sequence[MutableMapping[str, Any]] = ()
    """What was logged."""
    digest: str = ""

    async def read(self) -> None:
        """Decode what the checks look at, once."""
        self.outcomes = self._read(VerificationOutcome, topics.OUTCOMES)
        self.replies = self._read(Reply, topics.REPLIES)
        self.letters = self._read(DeadLetter, topics.DEAD_LETTERS)
        self.decisions = self._read(Decision, topics.DECISIONS, topics.bulk(topics.DECISIONS))
        self.results = self._read(SendResult, topics.RESULTS, topics.bulk(topics.RESULTS))
        self.statuses = self._read(DeliveryStatus, topics.STATUSES, topics.bulk(topics.STATUSES))
        sends = [topics.send(channel) for channel in topics.CHANNELS]
        self.commands = self._read(SendCommand, *sends, *(topics.bulk(each) for each in sends), topics.PROVIDER_CHECKS)

    def entries(self, *names: str) -> list[tuple[str, int, Entry]]:
        """Every entry of these topics, or of all, committed or not, markers left out."""
        cluster = self.world.cluster
        return [
            (topic, number, entry)
            for topic in names or [each.name for each in self.world.topics]
            for number in range(cluster.partition_count(topic))
            for entry in cluster.partition(TopicPartition(topic, number)).entries
            if not entry.is_marker
        ]

    def _read(self, kind: type[R], *names: str) -> list[Seen]:
        """Committed ones that are of this kind, in the order of each partition."""
        found = []
        for topic, number, entry in self.entries(*names):
            if entry.is_visible and entry.value is not None:
                found.append(Seen(topic, number, entry, self.world.codec.decode(kind, entry.value, public=False)))
        return found

    @cached_property
    def journal(self) -> list[tuple[str, bytes, JournalEntry | None]]:
        """Each provider's journal as it was written: provider, key, entry (None: forgotten)."""
        found: list[tuple[str, bytes, JournalEntry | None]] = []
        for provider in self.world.ends:
            for _, _, entry in self.entries(topics.attempts(provider)):
                if entry.is_visible and entry.key is not None and not entry.key.startswith(b"\x00"):
                    value = None
                    if entry.value is not None:
                        value = self.world.codec.decode(JournalEntry, entry.value, public=False)
                    found.append((provider, entry.key, value))
        return found

    def read_internal(self, kind: type[R], *names: str) -> list[Seen]:
        """Committed records of these topics."""
        return self._read(kind, *names)

    def states(self) -> list[TrackerState]:
        """Each state of a verification that the tracker ever wrote down."""
        return self._states

    @cached_property
    def _states(self) -> list[TrackerState]:
        entries = [entry for _, _, entry in self.entries(topics.TRACKER_STATE) if entry.is_visible and entry.value]
        return [
            self.world.codec.decode(TrackerState, entry.value, public=False)
            for entry in entries
            if entry.key is not None and not entry.key.startswith(b"\x00")
        ]

    @cached_property
    def checked(self) -> dict[str, list[int]]:
        """By check when it was appended, each time."""
        found: dict[str, list[int]] = {}
        for _, _, entry in self.entries(topics.CHECKS):
            if (check := self.asked_by(entry)) is not None:
                found.setdefault(check.check_id, []).append(entry.timestamp_ms)
        return found

    def asked_by(self, entry: Entry) -> CodeCheck | None:
        """The check that this entry of its topic holds; None: something nobody typed."""
        return self._checks_by_bytes.get(entry.value or b"")

    @cached_property
    def _checks_by_bytes(self) -> dict[bytes, CodeCheck]:
        return {self.world.codec.encode(check): check for check in self.done.checks.values()}

    @cached_property
    def replied(self) -> dict[str, Reply]:
        """The reply to each check and command, by its id."""
        return {each.value.request_id: each.value for each in self.replies}

    @property
    def apart_ms(self) -> int:
        """How far two clocks of this run may be apart."""
        return 2 * SKEW_MS if {"clocks", "jumps"} & self.swarm.on else 0

    def of(self, verification_id: str) -> list[VerificationOutcome]:
        """The outcomes of one verification, in order."""
        return [each.value for each in self.outcomes if each.value.verification_id == verification_id]

    def last(self, verification_id: str) -> VerificationOutcome | None:
        """Its last outcome."""
        found = self.of(verification_id)
        return found[-1] if found else None

    def logged(self, action: str, **told: object) -> bool:
        """Whether a line with this ``action`` (or event) and these values was logged."""
        return any(
            action in (line.get("action"), line.get("event")) and told.items() <= line.items() for line in self.lines
        )
