"""A whole pipeline to measure: its settings, its topics and its processes, and work given to it at an even pace.

``pipeline run …`` and ``pipeline simulator`` are processes of their own. All of it, and the broker, share the machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError

from pipeline.clock import SystemClock
from pipeline.dev.ports import free_port
from pipeline.key_files import create
from pipeline.settings import Settings, load
from pipeline.topics_admin import apply
from pipeline.topics_file import load as load_topics
from pipeline.topics_file import wanted_topics
from tests.benchmarks.kafka import deployment

HOST = "127.0.0.1"
PARTITIONS = 4
READY_S = 300.0
"""How long a process may take to be ready: on a machine that others keep busy, more than a minute."""
KEY = "bench"
"""An API key that may do everything as often as it likes."""


class Place(NamedTuple):
    """Where a pipeline that is to be measured was set up."""

    file: Path
    """Its settings, for its processes."""
    settings: Settings


class Running(NamedTuple):
    """``run all`` with a simulator."""

    settings: Settings
    pipeline: subprocess.Popen[bytes]


def place(bootstrap: str, folder: Path, database: str | None = None) -> Place:
    """Settings, keys and topics of a deployment nobody else uses; ``database`` is a URL, else SQLite in the folder."""
    for name in [name for name in os.environ if name.startswith("PIPELINE_")]:
        del os.environ[name]  # every one of them would be taken for a setting
    folder.mkdir(exist_ok=True)
    file = _configuration(bootstrap, folder, database or f"sqlite:///{folder}/readmodel.sqlite")
    settings = load(file)
    asyncio.run(_create_topics(settings))
    return Place(file, settings)


@contextmanager
def running(bootstrap: str, folder: Path) -> Iterator[Running]:
    """All of it, ready."""
    file, settings = place(bootstrap, folder)
    with ExitStack() as stack:
        simulator = stack.enter_context(child(file, "simulator"))
        pipeline = stack.enter_context(child(file, "run", "all"))
        wait_for(f"http://{HOST}:{settings.simulator.port}/healthz", simulator)
        wait_until_ready(settings, pipeline)
        yield Running(settings, pipeline)


def _configuration(bootstrap: str, folder: Path, database: str) -> Path:
    """Settings of a whole pipeline against the simulator, with providers that take any rate."""
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(HOST, avoid=ports))
    gateway, simulator, metrics = ports
    keys = folder / "keys"
    keys.mkdir()
    create(keys, SystemClock())
    file = folder / "pipeline.toml"
    file.write_text(
        f"""
[kafka]
bootstrap_servers = "{bootstrap}"
topic_prefix = "{deployment(bootstrap).topic_prefix}"
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
base_url = "http://{HOST}:{simulator}/ycloud/v2"
api_key = "yk-test-1"
webhook_secret = ["whsec_test_1"]
[providers.neutrino]
enabled = true
rate_per_s = 5000
max_concurrency = 400
base_url = "http://{HOST}:{simulator}/neutrino"
user_id = "u1"
api_key = "nk-test-1"
[gateway]
port = {gateway}
[gateway.api_keys.bench]
key = "{KEY}"
rate_per_s = 100000
scopes = ["start", "check", "read", "manage"]
[simulator]
port = {simulator}
smtp_port = 0
webhook_url = "http://{HOST}:{gateway}/v1/webhooks"
[readmodel]
url = "{database}"
[metrics]
port = {metrics}
"""
    )
    return file


async def _create_topics(settings: Settings) -> None:
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


@contextmanager
def child(file: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours with these settings, ended by SIGTERM."""
    command = [sys.executable, "-m", "pipeline", "--config", str(file), *arguments]
    # Errors are to be seen, but what the simulator says to a person would stand in the middle of the table.
    with ended(subprocess.Popen(command, stdout=subprocess.DEVNULL)) as process:
        yield process


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block: SIGTERM, and SIGKILL if need be."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process says that all of it works."""
    wait_for(f"http://{HOST}:{settings.metrics.port}/readyz", process)


def wait_for(url: str, process: subprocess.Popen[bytes], timeout_s: float = READY_S, *, status: int = 200) -> None:
    """Wait until a page answers with this status."""
    end_s = time.monotonic() + timeout_s
    while _status(url) != status:
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < end_s, f"{url} is not ready"
        time.sleep(0.2)


def _status(url: str) -> int | None:
    """What this page answers with; None while nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return None


async def evenly(rate: float, count: int) -> AsyncIterator[tuple[int, float]]:
    """The numbers from 0, each with when it is due (``time.perf_counter``), given out then, ``rate`` a second.

    Who takes them waits for nothing else, so that a late answer delays no other question.
    """
    began_s = time.perf_counter()
    for n in range(count):
        at_s = began_s + n / rate
        if (ahead_s := at_s - time.perf_counter()) > 0:
            await asyncio.sleep(ahead_s)
        yield n, at_s
