"""From publishing a request to the provider's server receiving the call, through the whole pipeline.

Requests are published at an even pace whatever becomes of them. Both ends are read from one machine's clock. Beside the
latency stands the CPU that a request costs `run all` and the broker: whoever shares the machine changes it less.

    python -m tests.benchmarks.start_to_call 200
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.request
from pathlib import Path

from pipeline.records.public import VerificationRequest
from pipeline.settings import Settings
from tests.benchmarks import arguments
from tests.benchmarks.figures import Figure, Figures, on_loop, percentile, shown
from tests.benchmarks.flow import numbers
from tests.benchmarks.kafka import broker
from tests.benchmarks.processes import cpu_s, listening
from tests.benchmarks.request_load import publish
from tests.benchmarks.whole_pipeline import HOST, PARTITIONS, running

RATES = (20, 200, 1_000)
"""Requests a second."""
WARM_UP_S, RUN_S = 5, 15
LATE_S = 180
"""How long the last calls may take after the last request; what is not called by then counts as called then."""


def published_at(settings: Settings, rate: int, seconds: int, first: int) -> dict[str, float]:
    """Publish from the ``first`` on at this rate; when each was handed to the producer (epoch ms)."""
    recipients = numbers(first + rate * seconds)[first:]

    def request(n: int) -> VerificationRequest:
        return VerificationRequest(verification_id=f"bench-{first + n}", recipient=recipients[n])

    return on_loop(lambda: publish(settings, rate, len(recipients), request))


def calls(simulator: str) -> dict[str, int]:
    """When the first call of each verification reached a provider (epoch ms), by verification id."""
    with urllib.request.urlopen(f"{simulator}/calls", timeout=30) as response:
        lines = [json.loads(line) for line in response.read().splitlines()]
    found: dict[str, int] = {}
    for line in lines:
        if line["reference"]:
            found.setdefault(line["reference"].split("_", 1)[0], line["at"])
    return found


def at_rate(bootstrap: str, rate: int) -> Figures:
    """p50 and p99 at this rate, and the CPU of one request, on a deployment of its own."""
    with tempfile.TemporaryDirectory() as folder, running(bootstrap, Path(folder)) as (settings, pipeline):
        page = f"http://{HOST}:{settings.simulator.port}"
        both = {"run all": pipeline.pid, "the broker": listening(bootstrap)}
        published_at(settings, rate, WARM_UP_S, 0)
        before_s = {name: cpu_s(pid) for name, pid in both.items()}
        began_s = time.monotonic()
        published = published_at(settings, rate, RUN_S, WARM_UP_S * rate)
        end_s = time.monotonic() + LATE_S
        while not published.keys() <= (called := calls(page)).keys() and time.monotonic() < end_s:
            time.sleep(0.5)
        over_ms, lasted_s = time.time() * 1000, time.monotonic() - began_s
        spent_s = {name: cpu_s(pid) - before_s[name] for name, pid in both.items()}
    missing = sum(verification_id not in called for verification_id in published)
    taken = [called.get(verification_id, over_ms) - at_ms for verification_id, at_ms in published.items()]
    note = f"{rate}/s for {RUN_S} s, {PARTITIONS} partitions; {missing} not called within {lasted_s:.0f} s"
    figures = {
        f"start_to_call_{rate}_p50_ms": Figure(percentile(taken, 0.50), "ms", note),
        f"start_to_call_{rate}_p99_ms": Figure(percentile(taken, 0.99), "ms", f"max {max(taken):.0f} ms"),
    }
    for name, seconds in spent_s.items():
        used = f"CPU of {name} for one request; {seconds / lasted_s:.0%} of a core"
        short = name.rpartition(" ")[2]
        figures[f"start_to_call_{rate}_{short}_cpu_ms"] = Figure(seconds / len(published) * 1000, "ms", used)
    return figures


def measure(bootstrap: str, rates: tuple[int, ...] = RATES) -> Figures:
    """``start_to_call_<rate>_p50_ms``, ``…_p99_ms``, ``…_all_cpu_ms`` and ``…_broker_cpu_ms`` at each rate."""
    figures: Figures = {}
    for rate in rates:
        figures |= at_rate(bootstrap, rate)
    return figures


if __name__ == "__main__":
    wanted = arguments.rates(__doc__, RATES)
    with broker() as address:
        print(shown(measure(address, wanted)))
