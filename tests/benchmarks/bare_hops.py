"""The yardstick of ``start_to_call``: three exactly-once hops of the bare client, with nothing of ours in them.

Each hop reads, writes each record on, and commits every 50 ms; all three run in one process, as the stages of `run all`
do. No state, no schemas, no calls. Its figures say how fast the machine is at the moment, so measure both in turns.

    python -m tests.benchmarks.bare_hops 200
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from itertools import pairwise

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition

from tests.benchmarks import arguments
from tests.benchmarks.figures import Figure, Figures, on_loop, percentile, shown
from tests.benchmarks.kafka import broker, deployment, topics_of
from tests.benchmarks.processes import cpu_s, listening
from tests.benchmarks.whole_pipeline import PARTITIONS, evenly

RATES = (20, 200, 1_000)
"""Records a second."""
WARM_UP_S, RUN_S = 5, 15
COMMIT_S = 0.05
HOPS = ("in", "one", "two", "out")
LATE_S = 60
"""How long the last records may take after the last one was published."""


class Hop:
    """Reads one topic, writes the next, and commits every :data:`COMMIT_S`."""

    def __init__(self, bootstrap: str, prefix: str, source: str, target: str) -> None:
        self._target, self._group = prefix + target, f"{prefix}{source}"
        self._consumer = AIOKafkaConsumer(
            prefix + source,
            bootstrap_servers=bootstrap,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=self._group)

    async def run(self) -> None:
        """Work until canceled."""
        await self._producer.start()
        await self._consumer.start()
        try:
            while True:
                await self._turn()
        finally:
            await self._consumer.stop()
            await self._producer.stop()

    async def _turn(self) -> None:
        began_s = time.monotonic()
        found = await self._consumer.getmany(timeout_ms=200)
        if not found:
            return
        async with self._producer.transaction():
            offsets: dict[KafkaPartition, int] = {}
            while found:
                for partition, records in found.items():
                    for record in records:
                        await self._producer.send(self._target, record.value, record.key)
                    offsets[partition] = records[-1].offset + 1
                left_s = began_s + COMMIT_S - time.monotonic()
                found = await self._consumer.getmany(timeout_ms=int(left_s * 1000)) if left_s > 0.001 else {}
            await self._producer.send_offsets_to_transaction(offsets, self._group)


async def _publish(bootstrap: str, topic: str, rate: int, seconds: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=1) as producer:
        async for n, _ in evenly(rate, rate * seconds):
            await producer.send(topic, b"%d" % time.time_ns(), b"%d" % n)


async def _at_rate(bootstrap: str, rate: int) -> tuple[list[float], float, float]:
    """Latencies of the run after the warm-up (ms), and CPU seconds per record of this process and of the broker."""
    settings = deployment(bootstrap)
    prefix, count = settings.topic_prefix, rate * RUN_S
    process, server = time.process_time, listening(bootstrap)
    async with topics_of(settings, dict.fromkeys(HOPS, False), PARTITIONS):
        hops = [asyncio.create_task(Hop(bootstrap, prefix, *pair).run()) for pair in pairwise(HOPS)]
        taken: list[float] = []
        async with AIOKafkaConsumer(
            prefix + HOPS[-1],
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
        ) as end:
            for seconds in (WARM_UP_S, RUN_S):
                taken.clear()
                before = process(), cpu_s(server)
                publishing = asyncio.create_task(_publish(bootstrap, prefix + HOPS[0], rate, seconds))
                async with asyncio.timeout(seconds + LATE_S):
                    while len(taken) < rate * seconds:
                        for records in (await end.getmany(timeout_ms=200)).values():
                            now_ns = time.time_ns()
                            taken += [(now_ns - int(record.value)) / 1e6 for record in records]
                await publishing
                after = process(), cpu_s(server)
        for hop in hops:
            hop.cancel()
        for hop in hops:
            with contextlib.suppress(asyncio.CancelledError):
                await hop
    return taken, (after[0] - before[0]) / count, (after[1] - before[1]) / count


def measure(bootstrap: str, rates: tuple[int, ...] = RATES) -> Figures:
    """``bare_hops_<rate>_p50_ms``, ``…_p99_ms``, ``…_cpu_ms`` and ``…_broker_cpu_ms``."""
    figures: Figures = {}
    for rate in rates:
        taken, own_s, broker_s = on_loop(partial(_at_rate, bootstrap, rate))
        note = f"three hops of the bare client, {rate}/s for {RUN_S} s, {PARTITIONS} partitions"
        figures |= {
            f"bare_hops_{rate}_p50_ms": Figure(percentile(taken, 0.50), "ms", note),
            f"bare_hops_{rate}_p99_ms": Figure(percentile(taken, 0.99), "ms", f"max {max(taken):.0f} ms"),
            f"bare_hops_{rate}_cpu_ms": Figure(own_s * 1000, "ms", "CPU of hops, load and reader for one record"),
            f"bare_hops_{rate}_broker_cpu_ms": Figure(broker_s * 1000, "ms", "CPU of the broker for one record"),
        }
    return figures


if __name__ == "__main__":
    wanted = arguments.rates(__doc__, RATES)
    with broker() as address:
        print(shown(measure(address, wanted)))
