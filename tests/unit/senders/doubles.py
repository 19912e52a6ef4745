"""One partition of a log, the runtime's promises over it, and calls that do as told: all without Kafka or HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from pipeline import topics
from pipeline.model.capabilities import ChannelCapabilities, ProviderCapabilities
from pipeline.model.keys import KeyRing
from pipeline.records.codec import Codec
from pipeline.records.internal import SendCommand, SendResult
from pipeline.records.journal import JournalEntry
from pipeline.records.types import Channel, CommandKind
from pipeline.runtime.api import URGENT, Effects, Emit, Record
from pipeline.senders.calls import Call, CallFinished, pause_s
from pipeline.senders.permits import Permits
from pipeline.senders.provider import Answer, NoExtras, Opened, Provider, not_offered
from pipeline.senders.providers.ycloud import YCloud
from pipeline.senders.stage import SenderStage
from pipeline.settings import YCloudSettings
from pipeline.testing.clock import ManualClock

CODEC = Codec()
KEYS = KeyRing.for_tests()
PHONE = "+491711234567"
RESULTS = (topics.RESULTS, topics.bulk(topics.RESULTS))
DECISION = "00112233445566778899"


def key(attempt_id: str, decision_id: str = DECISION) -> str:
    """What a sender knows this attempt by."""
    return f"{attempt_id}:{decision_id}"


class Versatile(NoExtras):
    """A provider that has every kind of command, by the capabilities it is given."""

    instance = "versatile"
    webhooks_enabled = True

    def __init__(self, **able: Any) -> None:
        self.capabilities = ProviderCapabilities(
            kind="versatile", channels={Channel.SMS: ChannelCapabilities(own_code=True, **able)}
        )
        self.built: list[tuple[SendCommand, Opened]] = []
        self.unsendable: CommandKind | None = None

    def build(self, command: SendCommand, opened: Opened, now_ms: int) -> httpx.Request:
        if command.kind is self.unsendable:
            raise not_offered("versatile", command)
        self.built.append((command, opened))
        return httpx.Request("POST", "https://provider.test/")

    def interpret(self, command: SendCommand, opened: Opened, response: httpx.Response) -> Answer:
        raise NotImplementedError("the calls of these tests end as the test says")


def ycloud(instance: str = "ycloud") -> YCloud:
    return YCloud(
        instance=instance,
        settings=YCloudSettings.model_validate({"api_key": "key-1", "webhook_secret": "whsec_1"}),
    )


def command(n: int = 1, **differences: Any) -> SendCommand:
    verification_id = differences.pop("verification_id", f"v{n}")
    fields: dict[str, Any] = {
        "verification_id": verification_id,
        "command_id": f"{verification_id}.1",
        "kind": CommandKind.SEND,
        "attempt_id": f"{verification_id}.1",
        "decision_id": DECISION,
        "n": 1,
        "provider": "ycloud",
        "channel": Channel.SMS,
        "reference": f"{verification_id}_1_aairem",
        "recipient_sealed": KEYS.seal(PHONE.encode(), verification_id=verification_id, field="recipient"),
        "recipient_masked": "+49*******567",
        "country": "DE",
        "key_recipient_hash": "ab" * 16,
        "kid": KEYS.current,
        "code_length": 6,
        "language": "de",
        "send_by_at": 1_764_000_060_000,
        "requested_at": 1_763_999_999_000,
        "issued_at": 1_764_000_000_000,
    }
    return SendCommand(**(fields | differences))


@dataclass
class ManualCalls:
    """Remembers what was begun; a test says how each call ends. Survives its tasks, as the real ones do."""

    permits: Permits
    clock: ManualClock
    begun: list[str] = field(default_factory=list)
    """The command id of every call ever begun."""
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _running: dict[str, tuple[Call, Callable[[object], None]]] = field(default_factory=dict)
    _finished: dict[str, CallFinished] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        return key in self._running or key in self._finished

    def begin(self, call: Call, post: Callable[[object], None]) -> None:
        assert not self.knows(call.key), "a call must never be begun over a known one"
        self.begun.append(call.command.command_id)
        self._running[call.key] = (call, post)
        self.permits.begun(call.key, call.lane)

    def adopt(self, key: str, post: Callable[[object], None]) -> None:
        if key in self._finished:
            post(self._finished[key])
        else:
            self._running[key] = (self._running[key][0], post)

    def forget(self, key: str) -> None:
        self._finished.pop(key, None)

    async def idle(self, partition: int) -> None:
        pass

    def later(self, seconds: float, function: Callable[[], None]) -> object:
        self.timers.append((self.clock.monotonic_s() + seconds, function))
        return None

    @property
    def keys(self) -> list[str]:
        """Of the running calls."""
        return list(self._running)

    @property
    def running(self) -> list[str]:
        return [call.command.command_id for call, _ in self._running.values()]

    def call(self, attempt_id: str) -> Call:
        return self._running[key(attempt_id)][0]

    def end(
        self,
        attempt_id: str,
        answer: Answer,
        *,
        called: bool = True,
        failure: str | None = None,
        decision_id: str = DECISION,
    ) -> None:
        """``attempt_id`` may be the whole key of a call that is no send."""
        ended = attempt_id if ":" in attempt_id else key(attempt_id, decision_id)
        call, post = self._running.pop(ended)
        if (seconds := pause_s(answer)) is not None:
            self.permits.pause(seconds)
        self.permits.free(ended)
        now_ms = self.clock.now_ms()
        self._finished[ended] = CallFinished(
            key=ended,
            kind=call.command.kind,
            answer=answer,
            called_at=now_ms if called else None,
            finished_at=now_ms,
            seconds=0.25,
            failure=failure,
        )
        post(self._finished[ended])

    def advance(self, ms: int) -> None:
        """Let time pass and run what was put off until then."""
        self.clock.advance(ms)
        due = [entry for entry in self.timers if entry[0] <= self.clock.monotonic_s() + 1e-9]
        self.timers = [entry for entry in self.timers if entry not in due]
        for _, function in due:
            function()


class Process:
    """One process: its calls and permits, and the tasks it runs."""

    def __init__(
        self,
        *,
        clock: ManualClock | None = None,
        name: str = "p1",
        max_concurrency: int = 4,
        rate_per_s: float = 1_000.0,
        partitions: int = 1,
        provider: Provider | None = None,
    ) -> None:
        self.name = name
        self.clock = clock or ManualClock()
        self.provider = provider or ycloud()
        self.permits = Permits(
            max_concurrency=max_concurrency,
            rate_per_s=rate_per_s,
            partitions=partitions,
            monotonic_s=self.clock.monotonic_s,
            later=lambda seconds, function: self.calls.later(seconds, function),
        )
        self.calls = ManualCalls(self.permits, self.clock)

    def stage(self, partition: int = 0, max_held: int = 500) -> SenderStage:
        return SenderStage(
            provider=self.provider,
            codec=CODEC,
            key_ring=KEYS,
            partition=partition,
            clock=self.clock,
            calls=self.calls,
            permits=self.permits,
            process=self.name,
            max_held=max_held,
        )


@dataclass
class Partition:
    """What Kafka keeps of one partition: records, the committed position per topic, the journal, the results."""

    records: dict[str, list[Record]] = field(default_factory=dict)
    committed: dict[str, int] = field(default_factory=dict)
    journal: dict[bytes, bytes] = field(default_factory=dict)
    results: list[tuple[str, SendResult]] = field(default_factory=list)
    urgent: list[SendResult] = field(default_factory=list)
    """Those of them that somebody waits for, by their header."""
    others: list[Emit] = field(default_factory=list)
    """What was written for the correlator and for the other processes."""

    def write(self, command: SendCommand, *, topic: str | None = None, provider: str | None = None) -> Record:
        topic = topic or topics.lane(topics.send(command.channel), command.bulk)
        log = self.records.setdefault(topic, [])
        record = Record(
            topic=topic,
            partition=0,
            offset=len(log),
            timestamp_ms=0,
            key=command.verification_id.encode(),
            value=CODEC.encode(command),
            headers=(("provider", (provider or command.provider).encode()),),
        )
        log.append(record)
        return record


class Lost(Exception):
    """The transaction's fate is unknown to the task."""


class Task:
    """What the runtime does with a stage: one transaction per call, launch after commit, hold and finish."""

    def __init__(self, process: Process, log: Partition, partition: int = 0, max_held: int = 500) -> None:
        self.process = process
        self.log = log
        self.stage = process.stage(partition, max_held)
        self.events: list[object] = []
        self.read = dict(log.committed)
        self.open: dict[str, set[int]] = {}
        self.counts: list[tuple[str, float, dict[str, str]]] = []
        self.refusals: list[Any] = []
        self.state = {key: self.stage.decode(value) for key, value in log.journal.items()}
        self._apply(self.stage.restored(self.state, self._now()))

    def _now(self) -> int:
        return self.process.clock.now_ms()

    def feed(self, *, lose: str | None = None) -> None:
        """Read one record of each topic at a time until all are read, each in a transaction of its own."""
        for topic, records in self.log.records.items():
            while self.read.get(topic, 0) < len(records):
                record = records[self.read.get(topic, 0)]
                effects = self.stage.handle(record, self.state, self._now())
                self.read[topic] = record.offset + 1
                if effects.hold:
                    self.open.setdefault(topic, set()).add(record.offset)
                self._apply(effects, lose=lose)

    def settle(self, *, lose: str | None = None) -> None:
        """Handle every posted event."""
        while self.events:
            self.settle_one(lose=lose)

    def settle_one(self, *, lose: str | None = None) -> None:
        """Handle the oldest posted event in a transaction of its own."""
        self._apply(self.stage.on_event(self.events.pop(0), self.state, self._now()), lose=lose)

    def run(self) -> None:
        self.settle()
        self.feed()
        self.settle()

    def fire_due(self) -> None:
        for key, entry in list(self.state.items()):
            deadline = self.stage.deadline(entry)
            if deadline is not None and deadline.at_ms <= self._now():
                self._apply(self.stage.fire(key, self.state, self._now()))

    def _apply(self, effects: Effects[JournalEntry], *, lose: str | None = None) -> None:
        if lose == "before":
            raise Lost
        for topic, offset in effects.finished:
            self.open[topic].remove(offset)
        for key, value in effects.state.items():
            if value is None:
                self.state.pop(key, None)
                self.log.journal.pop(key, None)
            else:
                self.state[key] = value
                self.log.journal[key] = self.stage.encode(value)
        for emit in effects.emits:
            assert emit.value is not None
            if emit.topic in RESULTS:
                result = CODEC.decode(SendResult, emit.value, public=False)
                self.log.results.append((emit.topic, result))
                if any(name == URGENT for name, _ in emit.headers):
                    self.log.urgent.append(result)
            else:
                self.log.others.append(emit)
        for topic, position in self.read.items():
            self.log.committed[topic] = min(self.open.get(topic) or {position})
        self.counts.extend((name, value, dict(labels)) for name, value, labels in effects.counts)
        self.refusals.extend(effects.refusals)
        if lose == "after":
            raise Lost
        for action in effects.actions:
            self.stage.launch(action, self.events.append)

    def counted(self, metric: str) -> list[dict[str, str]]:
        return [labels for name, _, labels in self.counts if name == metric]
