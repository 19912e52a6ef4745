"""A broker killed, restarted and full under load: nothing is lost or doubled, and no process needs a person."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.dev.broker import DevBroker
from tests.acceptance.harness import Deployment, eventually
from tests.acceptance.installed import installed
from tests.faults.pipeline.weather import PROCESSES, weathered
from tests.kafka_fixtures import scratch

pytestmark = [pytest.mark.kafka, pytest.mark.campaign, pytest.mark.timeout(420)]

WORDS_BYTES = 20_000
MENDING_S = 30.0
"""Until the broker knows that it is alone, and what was not decided has timed out."""


def killed(broker: DevBroker) -> None:
    """SIGKILL, and started again at once; it needs some 13 s to believe that it is alone."""
    asyncio.run(broker.kill())
    asyncio.run(broker.start())


def restarted(broker: DevBroker) -> None:
    asyncio.run(broker.restart())


def full(broker: DevBroker) -> None:
    """No file may grow any more, as on a full disk: the broker gives its only log directory up and ends."""
    # Its own words go to a file as well, and need a little room. Not the hard limit: raising that takes a privilege.
    _, hard = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (broker.log_file.stat().st_size + WORDS_BYTES, hard))
    eventually(lambda: not broker.running, 60, lambda: f"it goes on:\n{broker.last_lines()}")
    told = broker.log_file.read_text(encoding="utf-8", errors="replace")
    assert "File too large" in told, broker.last_lines(40)
    asyncio.run(broker.kill())
    asyncio.run(broker.start())


def frozen(broker: DevBroker) -> None:
    """SIGSTOP for longer than any session, request or transaction may take."""
    os.kill(broker.pid, signal.SIGSTOP)
    time.sleep(40)
    os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.parametrize("fault", [killed, restarted, full, frozen], ids=lambda fault: fault.__name__)
def test_nothing_is_lost_or_doubled_and_no_process_is_restarted(
    kafka_jars: str, tmp_path_factory: pytest.TempPathFactory, people: Iterator[str], fault: Callable[[DevBroker], None]
) -> None:
    with (
        DevBroker(kafka_version=kafka_jars, scratch=scratch()) as broker,
        installed(
            kafka=broker.bootstrap_servers, folder=tmp_path_factory.mktemp(fault.__name__), processes=PROCESSES
        ) as house,
    ):
        random_ = random.Random(fault.__name__)
        weathered(house, people, lambda: (time.sleep(random_.uniform(6, 12)), fault(broker), _mended(house)))


def _mended(house: Deployment) -> None:
    """What the runbook says of a lone broker that was away: a release that leaves nothing open has nothing to end."""
    last = time.monotonic() + MENDING_S
    while time.monotonic() < last:
        code, out, told = house.ended("transactions", "end")
        print(out, told if code else "")
        time.sleep(3)
    assert house.ended("transactions", "find")[0] == 0
