"""Three brokers, killed in turn under load: what is promised where no partition is ever without a leader to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from pipeline.dev.cluster import DevCluster
from tests.acceptance.installed import installed
from tests.faults.pipeline.weather import PROCESSES, weathered
from tests.kafka_fixtures import scratch

pytestmark = [pytest.mark.kafka, pytest.mark.campaign, pytest.mark.timeout(600)]


def test_each_of_three_brokers_killed_in_turn_loses_and_doubles_nothing(
    kafka_jars: str, tmp_path_factory: pytest.TempPathFactory, people: Iterator[str]
) -> None:
    with (
        DevCluster(kafka_version=kafka_jars, scratch=scratch()) as cluster,
        installed(
            kafka=cluster.bootstrap_servers,
            folder=tmp_path_factory.mktemp("in_turn"),
            processes=PROCESSES,
            replicas=len(cluster.brokers),
        ) as house,
    ):
        weathered(house, people, lambda: _in_turn(cluster), within_s=400)


def _in_turn(cluster: DevCluster) -> None:
    """SIGKILL to each; long enough away that others lead what it led, and back in sync before the next."""
    for broker in cluster.brokers:
        time.sleep(5)
        asyncio.run(broker.kill())
        time.sleep(12)
        asyncio.run(broker.start())
        asyncio.run(cluster.wait_in_sync())
