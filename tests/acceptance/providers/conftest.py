"""One installation with every kind of provider, each stage and each sender a process of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.acceptance.campaign import Campaign
from tests.acceptance.harness import Deployment, Simulator
from tests.acceptance.installed import installed, visited
from tests.acceptance.providers.accounts import KINDS, PROCESSES, PROVIDERS
from tests.acceptance.providers.killing import TYPING_S, Killed, kill_all
from tests.acceptance.providers.verifying import Verified, verify_all
from tests.acceptance.stranger import Stranger


@pytest.fixture(scope="package")
def everything(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """All processes, ready; in the end all of them must stop cleanly."""
    folder = tmp_path_factory.mktemp("providers")
    with installed(kafka=kafka, folder=folder, processes=PROCESSES, providers=PROVIDERS, partitions=2) as running:
        yield running


@pytest.fixture(scope="package")
def outside(everything: Deployment) -> Simulator:
    """The providers and people of the installation."""
    return everything.simulator


@pytest.fixture(scope="package")
def client(everything: Deployment) -> Iterator[Stranger]:
    """A service that publishes to the installation and reads from it."""
    with visited(everything) as stranger:
        yield stranger


@pytest.fixture(scope="package")
def mailboxes() -> Iterator[str]:
    """Addresses that nobody had before."""
    return (f"person.{number}@bird-house.example.org" for number in itertools.count(1))


@pytest.fixture(scope="package")
def verified(
    client: Stranger, outside: Simulator, people: Iterator[str], mailboxes: Iterator[str]
) -> dict[str, Verified]:
    """What became of each case, by its name."""
    return verify_all(client, outside, people, mailboxes)


@pytest.fixture(scope="package")
def killed(everything: Deployment, client: Stranger, people: Iterator[str], mailboxes: Iterator[str]) -> Killed:
    """What came of the load under which the senders died."""
    campaign = Campaign(everything, client, {kind: kind for kind in KINDS}, typing_s=TYPING_S)
    return kill_all(campaign, people, mailboxes)
