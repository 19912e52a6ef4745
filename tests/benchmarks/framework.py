"""CPU per record of the runtime alone: a stage that does next to nothing, on real Kafka.

Each record is read and Avro-decoded, changes one state entry (Avro, changelog) and gives one output (Avro), all in
transactions as any stage's; beside it, in turns, the same by a bare loop. The topics are filled before the clock
starts; ``time.process_time`` is looked at from inside the stage at fixed counts, so that start and end do not count
and commits do.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CollectorRegistry

from pipeline.clock import SystemClock
from pipeline.metrics import Metrics
from pipeline.records.public import DeliveryStatus
from pipeline.runtime.api import Deadline, Effects, Emit, Input, Lane, Record, StateView
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.runner import StageRunner
from pipeline.settings import KafkaSettings, RuntimeSettings
from tests.benchmarks import bare_loop
from tests.benchmarks import framework_load as load
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figure, Figures, best, on_loop, shown
from tests.benchmarks.framework_load import CODEC, PARTITIONS, TOPICS, Marks, records
from tests.benchmarks.kafka import NoDeadLetters, broker, deployment, fill, topics_of, until

TURNS = 3


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


async def by_the_runtime(settings: KafkaSettings, total: int, marks: Marks) -> None:
    """Relay ``total`` records by a stage."""
    log = KafkaLog(settings, client_id="bench")
    await log.start()
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
    await until(lambda: running.done() or marks.handled >= total, timeout_s=600)
    runner.stop()
    await running
    await log.stop()


async def windows_us(bootstrap: str, relay: Callable[[KafkaSettings, int, Marks], Awaitable[None]]) -> list[float]:
    """Microseconds of CPU per record in each window after the warm-up, on topics of its own."""
    settings = deployment(bootstrap)
    total = load.WARM_UP + load.WINDOW * load.WINDOWS
    marks = Marks()
    async with topics_of(settings, TOPICS, PARTITIONS):
        log = KafkaLog(settings, client_id="filler")
        await log.start()
        await fill(log, records(total))
        await log.stop()
        await relay(settings, total, marks)
    return marks.windows_us()


def measure(bootstrap: str) -> Figures:
    """``framework_us``, ``bare_loop_us``, ``framework_ratio``: both in turns, as whoever shares the machine does."""
    ours: list[float] = []
    bare: list[float] = []
    ratios: list[float] = []
    for _ in range(TURNS):
        framework = on_loop(lambda: windows_us(bootstrap, by_the_runtime))
        loop = on_loop(lambda: windows_us(bootstrap, bare_loop.relay))
        ours += framework
        bare += loop
        ratios.append(min(framework) / min(loop))
    note = f"{load.WINDOW} records a run, {PARTITIONS} partitions, Avro in, out and state, changelog"
    return {
        "framework_us": best(ours, "us", note),
        "bare_loop_us": best(bare, "us", "the same by a bare loop of aiokafka transactions, in turns with the above"),
        "framework_ratio": Figure(
            statistics.median(ratios), "x", "framework_us by bare_loop_us, the median of the turns", ratios
        ),
    }


if __name__ == "__main__":
    expect_none(__doc__)
    with broker() as address:
        print(shown(measure(address)))
