"""One installation for the whole suite, as ``pipeline run all``; only who kills processes has one of his own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.acceptance.api import Api
from tests.acceptance.harness import Deployment, Simulator
from tests.acceptance.installed import ALL, installed, numbers, visited
from tests.acceptance.stranger import Stranger


@pytest.fixture(scope="session")
def deployment(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything in one process, ready."""
    with installed(kafka=kafka, folder=tmp_path_factory.mktemp("all"), processes=ALL) as running:
        yield running


@pytest.fixture(scope="session")
def simulator(deployment: Deployment) -> Simulator:
    """The providers and people of the installation."""
    return deployment.simulator


def _holder(deployment: Deployment, key: str) -> Iterator[Api]:
    client = Api(deployment.api_url, key)
    yield client
    client.close()


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Iterator[Api]:
    """The REST API with every scope, as the tenant of the other tests."""
    yield from _holder(deployment, "acceptance-shop")


@pytest.fixture(scope="session")
def other_api(deployment: Deployment) -> Iterator[Api]:
    """The same as another tenant."""
    yield from _holder(deployment, "acceptance-other")


@pytest.fixture(scope="session")
def kiosk(deployment: Deployment) -> Iterator[Api]:
    """The API with a key that may only start."""
    yield from _holder(deployment, "acceptance-kiosk")


@pytest.fixture(scope="session")
def service(deployment: Deployment) -> Iterator[Stranger]:
    """The client alone; tests take :func:`stranger`."""
    with visited(deployment) as client:
        yield client


@dataclass(slots=True)
class Unfinished:
    """What nobody completes. The shortest life of a code is 30 s, and passes while other tests run."""

    codes: dict[str, str]
    """Delivered codes by verification id."""
    lost: str
    """A verification whose message was lost, and with it the provider's answer."""
    lost_person: str


@pytest.fixture(scope="session")
def unfinished(service: Stranger, simulator: Simulator, people: Iterator[str]) -> Unfinished:
    """Started before everything else, looked at last."""
    started = {service.request(recipient=person): person for person in itertools.islice(people, 6)}
    # The simulator closes the connection to this number and sends nothing.
    lost_person = "+4915112900036"
    ycloud = [{"channel": "sms", "provider": "ycloud"}]
    return Unfinished(
        lost=service.request(recipient=lost_person, steps=ycloud),
        lost_person=lost_person,
        codes={verification_id: simulator.code(person) for verification_id, person in started.items()},
    )


@pytest.fixture(scope="session")
def stranger(service: Stranger, unfinished: Unfinished) -> Stranger:
    """A service that publishes to the installation and reads from it."""
    return service


@pytest.fixture(scope="session")
def people() -> Iterator[str]:
    """Numbers that nobody had before."""
    return numbers(20_000_000)
