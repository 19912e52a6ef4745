"""From publishing a request to the provider's server receiving the call, through the whole pipeline.

Requests are published at an even pace whatever becomes of them. Both ends are read from one machine's clock.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import urllib.request
from pathlib import Path

from pipeline import topics
from pipeline.process import connected
from pipeline.records.public import VerificationRequest
from pipeline.runtime.api import Emit
from pipeline.settings import Settings
from tests.benchmarks.figures import Figure, Figures, on_loop, percentile, shown
from tests.benchmarks.flow import numbers
from tests.benchmarks.kafka import broker
from tests.benchmarks.whole_pipeline import HOST, PARTITIONS, cpu_s, evenly, running

RATE, WARM_UP_S, RUN_S = 200, 5, 15


async def publish(settings: Settings, seconds: int, first: int) -> dict[str, float]:
    """Publish at ``RATE`` without waiting for anything; when each was handed to the producer (epoch ms)."""
    published: dict[str, float] = {}
    recipients = numbers(first + RATE * seconds)[first:]
    async with connected(settings, client_id="load") as (log, codec):
        producer = await log.producer()
        sending: set[asyncio.Task[tuple[int, int]]] = set()
        async for n, _ in evenly(RATE, len(recipients)):
            request = VerificationRequest(verification_id=f"bench-{first + n}", recipient=recipients[n])
            emit = Emit(topics.REQUESTS, recipients[n].encode(), codec.encode(request))
            published[request.verification_id] = time.time() * 1000
            task = asyncio.create_task(producer.send(emit))
            sending.add(task)
            task.add_done_callback(sending.discard)
        await asyncio.gather(*sending)
        await producer.stop()
    return published


def calls(simulator: str) -> dict[str, int]:
    """When the first call of each verification reached a provider (epoch ms), by verification id."""
    with urllib.request.urlopen(f"{simulator}/calls", timeout=30) as response:
        lines = [json.loads(line) for line in response.read().splitlines()]
    found: dict[str, int] = {}
    for line in lines:
        if line["reference"]:
            found.setdefault(line["reference"].split("_", 1)[0], line["at"])
    return found


def measure(bootstrap: str) -> Figures:
    """``start_to_call_200_p50_ms`` and ``start_to_call_200_p99_ms``."""
    with tempfile.TemporaryDirectory() as folder, running(bootstrap, Path(folder)) as (settings, pipeline):
        page = f"http://{HOST}:{settings.simulator.port}"
        on_loop(lambda: publish(settings, WARM_UP_S, 0))
        before_s = cpu_s(pipeline)
        published = on_loop(lambda: publish(settings, RUN_S, WARM_UP_S * RATE))
        end_s = time.monotonic() + 30
        while len(called := calls(page)) < (WARM_UP_S + RUN_S) * RATE and time.monotonic() < end_s:
            time.sleep(0.5)
        spent_s = cpu_s(pipeline) - before_s
    missing = [vid for vid in published if vid not in called]
    assert not missing, f"{len(missing)} of {len(published)} requests never reached a provider"
    taken = [called[vid] - at_ms for vid, at_ms in published.items()]
    note = f"{RATE}/s for {RUN_S} s, {PARTITIONS} partitions; run all used {spent_s / RUN_S:.0%} of a core"
    return {
        f"start_to_call_{RATE}_p50_ms": Figure(percentile(taken, 0.50), "ms", note),
        f"start_to_call_{RATE}_p99_ms": Figure(percentile(taken, 0.99), "ms", f"max {max(taken):.0f} ms"),
    }


if __name__ == "__main__":
    with broker() as address:
        print(shown(measure(address)))
