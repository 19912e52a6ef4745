"""From publishing a request to the provider's server receiving the call, through the whole pipeline.

``pipeline run all`` and ``pipeline simulator`` are processes of their own, this one publishes requests at an even pace
whatever becomes of them. Both ends are read from one machine's clock. All of it, broker included, shares the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline import topics
from pipeline.clock import SystemClock
from pipeline.key_files import create
from pipeline.process import connected
from pipeline.records.public import VerificationRequest
from pipeline.runtime.api import Emit
from pipeline.settings import Settings, load
from pipeline.topics_admin import apply
from pipeline.topics_file import load as load_topics
from pipeline.topics_file import wanted_topics
from tests.benchmarks.figures import Figure, Figures, on_loop, percentile, shown
from tests.benchmarks.flow import numbers
from tests.benchmarks.kafka import broker, deployment

RATE, WARM_UP_S, RUN_S = 200, 5, 15
PARTITIONS = 4
TICK = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def configuration(bootstrap: str, folder: Path, database: str | None = None) -> Path:
    """Settings of a whole pipeline against the simulator, with providers that take any rate."""
    prefix = deployment(bootstrap).topic_prefix
    gateway, simulator, metrics = free_port(), free_port(), free_port()
    keys = folder / "keys"
    keys.mkdir()
    create(keys, SystemClock())
    file = folder / "pipeline.toml"
    file.write_text(
        f"""
[kafka]
bootstrap_servers = "{bootstrap}"
topic_prefix = "{prefix}"
[keys]
directory = "{keys}"
[logging]
level = "warning"
[routes]
rules = [{{ providers = ["ycloud", "neutrino"] }}]
[providers.ycloud]
enabled = true
rate_per_s = 5000
max_concurrency = 400
base_url = "http://127.0.0.1:{simulator}/ycloud/v2"
api_key = "yk-test-1"
webhook_secret = ["whsec_test_1"]
[providers.neutrino]
enabled = true
rate_per_s = 5000
max_concurrency = 400
base_url = "http://127.0.0.1:{simulator}/neutrino"
user_id = "u1"
api_key = "nk-test-1"
[gateway]
port = {gateway}
[simulator]
port = {simulator}
smtp_port = 0
webhook_url = "http://127.0.0.1:{gateway}/v1/webhooks"
[readmodel]
url = "{database or f"sqlite:///{keys}.sqlite"}"

[metrics]
port = {metrics}
"""
    )
    return file


@contextmanager
def child(file: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours with these settings, ended by SIGTERM."""
    command = [sys.executable, "-m", "pipeline", "--config", str(file), *arguments]
    # Errors are to be seen, but what the simulator says to a person would stand in the middle of the table.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds a child has used, of user and system."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def answers(url: str) -> bool:
    """Whether this page is 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def wait_for(url: str, process: subprocess.Popen[bytes], timeout_s: float = 60.0) -> None:
    """Wait until a page is 200."""
    end_s = time.monotonic() + timeout_s
    while not answers(url):
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < end_s, f"{url} is not ready"
        time.sleep(0.2)


async def create_topics(settings: Settings) -> None:
    """All topics of the deployment."""
    wanted = wanted_topics(
        load_topics(),
        prefix=settings.kafka.topic_prefix,
        providers=list(settings.providers),
        partitions=PARTITIONS,
        replication_factor=1,
        id_horizon_s=settings.policy.id_horizon_s,
    )
    await apply(settings.kafka, wanted, partitions=PARTITIONS)


async def publish(settings: Settings, seconds: int, first: int) -> dict[str, float]:
    """Publish at ``RATE`` without waiting for anything; when each was handed to the producer (epoch ms)."""
    published: dict[str, float] = {}
    recipients = numbers(first + RATE * seconds)[first:]
    async with connected(settings, client_id="load") as (log, codec):
        producer = await log.producer()
        sending: set[asyncio.Task[tuple[int, int]]] = set()
        began_s = time.perf_counter()
        for n, recipient in enumerate(recipients):
            ahead_s = began_s + n / RATE - time.perf_counter()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            request = VerificationRequest(verification_id=f"bench-{first + n}", recipient=recipient)
            emit = Emit(topics.REQUESTS, recipient.encode(), codec.encode(request))
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
    for name in [name for name in os.environ if name.startswith("PIPELINE_")]:
        del os.environ[name]  # every one of them would be taken for a setting
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = configuration(bootstrap, folder)
        settings = load(file)
        asyncio.run(create_topics(settings))
        simulator = stack.enter_context(child(file, "simulator"))
        pipeline = stack.enter_context(child(file, "run", "all"))
        page = f"http://127.0.0.1:{settings.simulator.port}"
        wait_for(f"{page}/healthz", simulator)
        wait_for(f"http://127.0.0.1:{settings.metrics.port}/readyz", pipeline)
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
