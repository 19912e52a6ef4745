"""From asking for a check to its reply, through the whole pipeline, and what the replies to others cost.

Checks are asked at an even pace whatever becomes of them, each the right code of another verification that was sent
before.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pipeline import topics
from pipeline.client import VerificationClient
from pipeline.process import connected
from pipeline.records.codec import Codec
from pipeline.records.public import Reply, VerificationRequest
from pipeline.records.types import ReplyKind, VerificationState
from pipeline.request_reply import RequestReply
from pipeline.runtime.api import Emit
from pipeline.runtime.kafka import KafkaLog
from pipeline.runtime.log import Log, TopicPartition, scan
from pipeline.settings import Settings
from tests.benchmarks.arguments import expect_none
from tests.benchmarks.figures import Figure, Figures, best, on_loop, percentile, shown
from tests.benchmarks.flow import numbers
from tests.benchmarks.kafka import broker, deployment, fill, topics_of
from tests.benchmarks.processes import cpu_s
from tests.benchmarks.whole_pipeline import PARTITIONS, evenly, running

RATE, WARM_UP_S, RUN_S = 100, 3, 15
PREPARE_RATE = 200
SETTLE_S = 5
CODE = "493817"
FOREIGN, WINDOW = 60_000, 10_000


async def prepare(client: VerificationClient, count: int) -> list[str]:
    """Verifications with a code that is known here, each sent."""
    recipients = numbers(count)
    starting: list[asyncio.Task[str]] = []
    async for n, _ in evenly(PREPARE_RATE, count):
        request = VerificationRequest(verification_id=f"bench-{n}", recipient=recipients[n], code=CODE)
        starting.append(asyncio.create_task(client.start(request)))
    ids = await asyncio.gather(*starting)
    for verification_id in ids:
        await client.wait(verification_id, lambda seen: seen.state is not VerificationState.PENDING, timeout_s=60)
    # Receipts come after a second or two, and are none of what is measured.
    await asyncio.sleep(SETTLE_S)
    return ids


async def ask(client: VerificationClient, ids: list[str]) -> dict[str, tuple[float, float]]:
    """When each was asked and answered (epoch ms), by verification id, at ``RATE`` without waiting for anything."""
    taken: dict[str, tuple[float, float]] = {}

    async def one(verification_id: str) -> None:
        began_ms = time.time() * 1_000
        reply = await client.check(verification_id, CODE, timeout_s=20)
        taken[verification_id] = (began_ms, time.time() * 1_000)
        assert reply.ok, reply.reason

    asking: list[asyncio.Task[None]] = []
    async for n, _ in evenly(RATE, len(ids)):
        asking.append(asyncio.create_task(one(ids[n])))
    await asyncio.gather(*asking)
    return taken


async def legs(log: Log, taken: dict[str, tuple[float, float]]) -> str:
    """Where the time went, by the broker's append times of checks and replies: the median of each leg."""
    appended: dict[str, dict[str, int]] = {topics.CHECKS: {}, topics.REPLIES: {}}
    for topic, times in appended.items():
        starts = await log.start_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        async for records in scan(log, starts):
            times |= {(record.key or b"").decode(): record.timestamp_ms for record in records}
    checks, replies = appended[topics.CHECKS], appended[topics.REPLIES]
    written = [checks[name] - began_ms for name, (began_ms, _) in taken.items()]
    judged = [replies[name] - checks[name] for name in taken]
    read = [ended_ms - replies[name] for name, (_, ended_ms) in taken.items()]
    return ", ".join(
        f"{name} {percentile(leg, 0.5):.0f}/{percentile(leg, 0.99):.0f}"
        for name, leg in (("to Kafka", written), ("tracker", judged), ("back", read))
    )


async def latencies(settings: Settings, cpu: Callable[[], float]) -> tuple[dict[str, tuple[float, float]], float, str]:
    """Asked and answered of the run after its warm-up, CPU seconds of the pipeline meanwhile, and the legs."""
    async with (
        connected(settings, client_id="bench") as (log, codec),
        VerificationClient(log=log, codec=codec) as client,
    ):
        ids = await prepare(client, RATE * (WARM_UP_S + RUN_S))
        await ask(client, ids[: RATE * WARM_UP_S])
        before_s = cpu()
        taken = await ask(client, ids[RATE * WARM_UP_S :])
        return taken, cpu() - before_s, await legs(log, taken)


async def foreign_us(bootstrap: str) -> list[float]:
    """Microseconds of CPU for each reply that nobody here waits for, fetching included."""
    settings = deployment(bootstrap)
    codec = Codec()
    emits = []
    for n in range(FOREIGN):
        reply = Reply(
            request_id=f"0f8fad5b-d9cb-469f-a165-{n:012d}",
            verification_id=f"7c9e6679-7425-40de-944b-{n:012d}",
            kind=ReplyKind.CHECK,
            reason="wrong_code",
            checks_left=2,
            state=VerificationState.SENT,
            step_index=0,
            replied_at=1_763_769_600_000,
        )
        key = reply.verification_id.encode()
        emits.append(Emit(topics.REPLIES, key, codec.encode(reply), n % PARTITIONS, codec.headers(reply)))
    log = KafkaLog(settings, client_id="bench")
    async with topics_of(settings, {topics.REPLIES: False}, PARTITIONS):
        await log.start()
        await fill(log, emits)

        async def nowhere(emit: Emit) -> None:
            raise AssertionError("nothing is asked here")

        asked = RequestReply(codec=codec, publish=nowhere)
        reader = await log.reader({TopicPartition(topics.REPLIES, number): 0 for number in range(PARTITIONS)})
        marks, seen = [time.process_time()], 0
        while seen < FOREIGN:
            for record in await reader.fetch(timeout_ms=500, max_records=2_000):
                asked.take(record)
                seen += 1
                if seen % WINDOW == 0:
                    marks.append(time.process_time())
        await reader.stop()
        await log.stop()
    # The first window connects and compiles.
    return [(after - before) / WINDOW * 1e6 for before, after in itertools.pairwise(marks[1:])]


def measure(bootstrap: str) -> Figures:
    """``check_100_p50_ms``, ``check_100_p99_ms`` and ``foreign_reply_us``."""
    with tempfile.TemporaryDirectory() as folder, running(bootstrap, Path(folder)) as (settings, pipeline):
        asked, spent_s, where = on_loop(lambda: latencies(settings, lambda: cpu_s(pipeline.pid)))
    taken = [ended_ms - began_ms for began_ms, ended_ms in asked.values()]
    note = f"{RATE}/s for {RUN_S} s over Kafka, {PARTITIONS} partitions; run all used {spent_s / RUN_S:.0%} of a core"
    foreign = f"fetched, in {PARTITIONS} partitions, {WINDOW} a run"
    return {
        f"check_{RATE}_p50_ms": Figure(percentile(taken, 0.50), "ms", note),
        f"check_{RATE}_p99_ms": Figure(
            percentile(taken, 0.99), "ms", f"max {max(taken):.0f} ms; p50/p99 of legs: {where}"
        ),
        "foreign_reply_us": best(on_loop(lambda: foreign_us(bootstrap)), "us", foreign),
    }


if __name__ == "__main__":
    expect_none(__doc__)
    with broker() as address:
        print(shown(measure(address)))
