"""A real Kafka for tests: ``kafka`` (one broker per test session), ``topic_prefix`` and ``apply_topics``.

A test that uses them is marked ``kafka``. ``TEST_KAFKA_VERSION`` picks the Kafka release, and
``TEST_KAFKA`` (``host:port``) names a running broker to use instead of starting one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NoReturn

import pytest

from pipeline.dev import jars
from pipeline.dev.broker import DevBroker
from pipeline.dev.java import find_java
from pipeline.errors import Infrastructure, UsageError
from pipeline.settings import KafkaSettings
from pipeline.topics_admin import apply
from pipeline.topics_file import load, wanted_topics

# Read at import: fixtures that clean the environment for a test may run before the first use of the broker.
# Their former names are read too, but the program refuses to run with one exported: it takes it for a mistyped setting.
VERSION: Final = (
    os.environ.get("TEST_KAFKA_VERSION") or os.environ.get("PIPELINE_TEST_KAFKA_VERSION") or jars.DEFAULT_VERSION
)
RUNNING: Final = os.environ.get("TEST_KAFKA") or os.environ.get("PIPELINE_TEST_KAFKA") or ""
IN_CI: Final = os.environ.get("CI", "").lower() in ("true", "1")


def scratch() -> Path | None:
    """A folder in memory where there is room: Kafka syncs every new partition, 160 of them take 1.6 s on a disk."""
    memory = Path("/dev/shm")
    with contextlib.suppress(OSError):
        if shutil.disk_usage(memory).free > 4 * 1024**3 and os.access(memory, os.W_OK):
            return memory
    return None


def kafka_absent(reason: str) -> NoReturn:
    """Skip on a person's machine; in CI (``CI=true``) a promise not tested is a failure."""
    if IN_CI:
        pytest.fail(f"Kafka cannot be had: {reason}", pytrace=False)
    pytest.skip(f"Kafka cannot be had: {reason}")


@pytest.fixture(scope="session")
def kafka_jars() -> str:
    """The release under test, with its jars fetched and a Java found (else the test is skipped)."""
    try:
        find_java()
        jars.classpath(VERSION)
    except (UsageError, Infrastructure) as error:
        kafka_absent(str(error))
    return VERSION


@pytest.fixture(scope="session")
def dev_broker(kafka_jars: str) -> Iterator[DevBroker]:
    """The broker of this test session. Never kill or stop it: start one of your own for that."""
    with DevBroker(kafka_version=kafka_jars, scratch=scratch()) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """``host:port`` of the one broker all tests of this session share."""
    if RUNNING:
        return RUNNING
    broker: DevBroker = request.getfixturevalue("dev_broker")
    return broker.bootstrap_servers


@pytest.fixture
def topic_prefix() -> str:
    """A deployment prefix no other test uses, so that tests share a broker without meeting."""
    return f"t{secrets.token_hex(4)}."


@pytest.fixture
def apply_topics(kafka: str) -> Callable[..., Awaitable[None]]:
    """``await apply_topics(prefix, partitions=4, providers=(...))`` creates all topics of one deployment."""

    async def create(prefix: str, partitions: int = 4, providers: Iterable[str] = ("ycloud", "neutrino")) -> None:
        wanted = wanted_topics(load(), prefix=prefix, providers=providers, partitions=partitions, replication_factor=1)
        await apply(KafkaSettings(bootstrap_servers=kafka, topic_prefix=prefix), wanted, partitions=partitions)

    return create
