"""One installation for the whole suite, as ``pipeline run all``; only who kills processes has one of his own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.acceptance.harness import Deployment, Simulator
from tests.acceptance.stranger import Stranger


@pytest.fixture(scope="session")
def deployment(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything in one process, ready."""
    running = Deployment(kafka=kafka, folder=tmp_path_factory.mktemp("all"), processes={"all": ("run", "all")})
    try:
        running.start()
        yield running
    finally:
        codes = running.stop()
        running.simulator.close()
    assert codes == {"all": 0}, "SIGTERM must end every process cleanly"


@pytest.fixture(scope="session")
def simulator(deployment: Deployment) -> Simulator:
    """The providers and people of the installation."""
    return deployment.simulator


@pytest.fixture(scope="session")
def stranger(deployment: Deployment) -> Iterator[Stranger]:
    """A service that publishes to the installation and reads from it."""
    service = Stranger(deployment.kafka, deployment.prefix)
    yield service
    service.close()


_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def people() -> Iterator[str]:
    """German mobile numbers that nobody had before; none of them means anything to the simulator."""
    return (f"+49151{20_000_000 + number * 37:08d}" for number in _numbers if (number * 37) % 1_000_000 // 100 != 9_000)
