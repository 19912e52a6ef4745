"""A long run of the whole pipeline at an even rate: whether memory, files, tasks and lag stay where they are.

    python -m tests.benchmarks.soak --minutes 30 --rate 200

Every 10 s `run all` is looked at; at the end a table of what was seen, and for each value the straight line through the
second half (least squares). Flat is what is not known to grow by more than its limit in :data:`LIMITS` in an hour, by
two standard errors of the line; the exit status is 1 when something is not. State grows with every verification that is
remembered, so an hour's worth of entries is allowed for: memory is judged by what is left after :data:`STATE_BYTES` for
each entry that came.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Coroutine, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from pipeline.records.public import VerificationRequest
from pipeline.settings import Settings
from tests.benchmarks.figures import on_loop
from tests.benchmarks.flow import numbers
from tests.benchmarks.kafka import broker
from tests.benchmarks.processes import cpu_s, open_files, resident_bytes
from tests.benchmarks.request_load import publish
from tests.benchmarks.whole_pipeline import HOST, running

EVERY_S = 10.0
LEAST = 3
"""Samples that a line needs to have an error."""
STATE_BYTES = 1_500
"""What an entry of state may hold on to, with its timers and its place in the store."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one moment; ``at_s`` counts from the first request."""

    at_s: float
    memory_mb: float
    files: float
    tasks: float
    lag: float
    entries: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Limit:
    """By how much a value may grow in an hour: a share of its mean, but at least so much."""

    share: float
    least: float


LIMITS = {"memory_mb": Limit(0.10, 20), "files": Limit(0.0, 10), "tasks": Limit(0.10, 50), "lag": Limit(0.10, 200)}


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """How steeply the line of least squares through these points rises, and the standard error of that."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    if len(points) < LEAST or not spread:
        return 0.0, 0.0
    rise = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread
    left = sum((y - middle_y - rise * (x - middle_x)) ** 2 for x, y in points)
    return rise, math.sqrt(left / (len(points) - 2) / spread)


@dataclass(frozen=True, slots=True)
class Growth:
    """What one value does, in an hour."""

    name: str
    growth: float
    error: float
    """Its standard error: lag goes up and down by more than an hour may add."""
    limit: float

    @property
    def flat(self) -> bool:
        """Whether it is not known, with some 97 %, to grow by more than it may."""
        return self.growth - 2 * self.error <= self.limit


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Each value's growth in an hour over the second half of the samples."""
    half = samples[len(samples) // 2 :]
    found = []
    for name, limit in LIMITS.items():
        values = [(one.at_s, getattr(one, name)) for one in half]
        if name == "memory_mb":
            values = [(one.at_s, one.memory_mb - one.entries * STATE_BYTES / 1e6) for one in half]
        mean = sum(getattr(one, name) for one in half) / len(half)
        rise, error = slope(values)
        found.append(Growth(name, rise * 3_600, error * 3_600, max(limit.least, limit.share * mean)))
    return found


def report(samples: Sequence[Sample]) -> str:
    """The table, and what it says."""
    names = [field.name for field in fields(Sample)]
    lines = ["  ".join(name.rjust(10) for name in names)]
    lines += ["  ".join(f"{value:10.1f}" for value in astuple(one)) for one in samples]
    for one in growths(samples):
        says = "flat" if one.flat else "NOT FLAT"
        lines.append(f"{one.name}: {one.growth:+.1f} ± {one.error:.1f} in an hour, at most {one.limit:.1f}: {says}")
    return "\n".join(lines)


def look(settings: Settings, pid: int, at_s: float) -> Sample:
    """One sample of `run all`."""
    with urllib.request.urlopen(f"http://{HOST}:{settings.metrics.port}/metrics", timeout=30) as response:
        page = response.read().decode()
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            sums[one.name] = sums.get(one.name, 0.0) + one.value
    return Sample(
        at_s,
        resident_bytes(pid) / 1e6,
        open_files(pid),
        sums["verification_event_loop_tasks"],
        sums["verification_lag_records"],
        sums["verification_state_entries"],
        cpu_s(pid),
    )


def lift_limits(settings: Settings) -> None:
    """Make the simulated providers take any rate: their own limits are less than what comes to each when the other is
    left out, as it is for whoever asks again."""
    for provider in settings.providers:
        url = f"http://{HOST}:{settings.simulator.port}/behaviour/{provider}"
        request = urllib.request.Request(url, data=b'{"limits": {}}', method="PUT")
        urllib.request.urlopen(request, timeout=30).close()


async def load(
    settings: Settings, recipients: Sequence[str], rate: float, seconds: float, expires_in_s: int | None
) -> None:
    """Numbers come again after a while, verification ids do not."""

    def request(n: int) -> VerificationRequest:
        recipient = recipients[n % len(recipients)]
        return VerificationRequest(verification_id=f"soak-{n}", recipient=recipient, expires_in_s=expires_in_s)

    await publish(settings, rate, int(rate * seconds), request)


async def soak(
    process: subprocess.Popen[bytes], settings: Settings, loading: Coroutine[Any, Any, None]
) -> list[Sample]:
    """Samples until all was published."""
    samples: list[Sample] = []
    began_s = time.monotonic()
    publishing = asyncio.create_task(loading)
    while not publishing.done():
        # Not at once: a process that has just become ready has not measured its lag yet.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(publishing), EVERY_S)
        assert process.poll() is None, "the pipeline has ended"
        # The load goes on while the page is read.
        samples.append(await asyncio.to_thread(look, settings, process.pid, time.monotonic() - began_s))
        print(astuple(samples[-1]), file=sys.stderr, flush=True)
    await publishing
    return samples


def main() -> int:
    """The exit status: 0 when all is flat."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    parser.add_argument("--expires-in-s", type=int, default=None, help="of each code; nobody types one")
    wanted = parser.parse_args()
    recipients = numbers(100_000)  # takes seconds, in which a loop that runs would take no samples
    with (
        broker() as bootstrap,
        tempfile.TemporaryDirectory() as folder,
        running(bootstrap, Path(folder)) as (settings, process),
    ):
        lift_limits(settings)
        requests = load(settings, recipients, wanted.rate, wanted.minutes * 60, wanted.expires_in_s)
        samples = on_loop(lambda: soak(process, settings, requests))
    print(report(samples))
    return 0 if all(one.flat for one in growths(samples)) else 1


if __name__ == "__main__":
    sys.exit(main())
