"""What the faults of the whole pipeline share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.harness import Deployment
from tests.acceptance.installed import each_alone, installed, numbers, visited
from tests.acceptance.stranger import Stranger


@pytest.fixture(scope="session")
def people() -> Iterator[str]:
    """Numbers that nobody had before."""
    return numbers(40_000_000)


@pytest.fixture(scope="module")
def house(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One installation for a module's tests, with one sender; each leaves it as it was."""
    with installed(kafka=kafka, folder=tmp_path_factory.mktemp("house"), processes=each_alone("ycloud")) as running:
        yield running


@pytest.fixture
def client(house: Deployment) -> Iterator[Stranger]:
    """A service that publishes to it and reads from it."""
    with visited(house) as stranger:
        yield stranger
