"""CPU per record of the runtime alone: a stage that does next to nothing, on real Kafka.

Each record is read and Avro-decoded, changes one state entry (Avro, changelog) and gives one output (Avro), all in
transactions as any stage's. The topics are filled before the clock starts; ``time.process_time`` is looked at from
inside the stage at fixed counts, so that start and end do not count and commits do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from pipeline.clock import SystemClock
from pipeline.metrics import Metrics
from pipeline.records.codec import Codec
from pipeline.records.public import DeliveryStatus
from pipeline.records.types import AttemptStatus
from pipeline.runtime.api import Deadline, Effects, Emit, Input, Lane, Record, StateView
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.runner import StageRunner
from pipeline.settings import RuntimeSettings
from tests.benchmarks.figures import Figures, best, on_loop, shown
from tests.benchmarks.kafka import NoDeadLetters, broker, deployment, fill, topics_of, until

PARTITIONS = 4
WARM_UP, WINDOW, WINDOWS = 10_000, 10_000, 6
CODEC = Codec()


class Marks:
    """CPU time of the process at each multiple of ``WINDOW`` records handled by all tasks."""

    def __init__(self) -> None:
        self.handled = 0
        self.cpu_s: list[float] = []

    def count(self) -> None:
        self.handled += 1
        if self.handled % WINDOW == 0:
            self.cpu_s.append(time.process_time())


class Relay:
    """Decode, remember, pass on."""

    name = "relay"
    inputs: Sequence[Input] = (Input("in", Lane.INTERACTIVE),)
    changelog = "relay-state"

    def __init__(self, marks: Marks) -> None:
        self._marks = marks

    def handle(self, record: Record, state: StateView[DeliveryStatus], now_ms: int) -> Effects[DeliveryStatus]:
        status = CODEC.decode(DeliveryStatus, record.value, public=True)
        effects: Effects[DeliveryStatus] = Effects()
        assert record.key is not None
        effects.state[record.key] = status
        effects.emits.append(Emit("out", record.key, CODEC.encode(status), None, CODEC.headers(status)))
        self._marks.count()
        return effects

    def fire(self, key: bytes, state: StateView[DeliveryStatus], now_ms: int) -> Effects[DeliveryStatus]:
        raise AssertionError("it sets no timers")

    def deadline(self, value: DeliveryStatus) -> Deadline | None:
        return None

    def encode(self, value: DeliveryStatus) -> bytes:
        return CODEC.encode(value)

    def decode(self, data: bytes) -> DeliveryStatus:
        return CODEC.decode(DeliveryStatus, data, public=False)

    def quarantine(
        self, work: Record | bytes, state: StateView[DeliveryStatus], now_ms: int
    ) -> Effects[DeliveryStatus]:
        raise AssertionError("nothing fails here")


def records(count: int) -> list[Emit]:
    """Records as the sender writes them, each of another verification."""
    made: list[Emit] = []
    for n in range(count):
        vid = f"0f8fad5b-d9cb-469f-a165-{n:012d}"
        status = DeliveryStatus(
            verification_id=vid,
            attempt_id=f"{vid}.1",
            provider="ycloud",
            status=AttemptStatus.DELIVERED,
            occurred_at=1_763_769_600_000,
            received_at=1_763_769_600_100,
            cost="0.05",
            currency="USD",
        )
        made.append(Emit("in", vid.encode(), CODEC.encode(status), n % PARTITIONS, CODEC.headers(status)))
    return made


async def windows_us(bootstrap: str) -> list[float]:
    """Microseconds of CPU per record in each window after the warm-up."""
    settings = deployment(bootstrap)
    total = WARM_UP + WINDOW * WINDOWS
    log = KafkaLog(settings, client_id="bench")
    async with topics_of(settings, {"in": False, "out": False, "relay-state": True}, PARTITIONS):
        await log.start()
        await fill(log, records(total))
        marks = Marks()
        runner = StageRunner(
            name=Relay.name,
            inputs=Relay.inputs,
            changelog=Relay.changelog,
            make_stage=lambda partition, partitions: Relay(marks),
            log=log,
            clock=SystemClock(),
            settings=RuntimeSettings(),
            metrics=Metrics(CollectorRegistry()),
            dead_letters=NoDeadLetters(),
        )
        running = asyncio.create_task(runner.run())
        await until(lambda: running.done() or marks.handled >= total)
        runner.stop()
        await running
        await log.stop()
    warm = WARM_UP // WINDOW - 1
    return [
        (after - before) / WINDOW * 1e6
        for before, after in zip(marks.cpu_s[warm:], marks.cpu_s[warm + 1 :], strict=False)
    ]


def measure(bootstrap: str) -> Figures:
    """``framework_us``."""
    note = f"{WINDOW} records a run, {PARTITIONS} partitions, Avro in, out and state, changelog"
    return {"framework_us": best(on_loop(lambda: windows_us(bootstrap)), "us", note)}


if __name__ == "__main__":
    with broker() as address:
        print(shown(measure(address)))
