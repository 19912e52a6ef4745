"""A cluster of its own for each test of the runtime on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .cluster import PARTITIONS, Cluster
from .sample import create_topics


@pytest.fixture
async def cluster(kafka: str, topic_prefix: str) -> AsyncIterator[Cluster]:
    await create_topics(kafka, topic_prefix, PARTITIONS)
    cluster = Cluster(kafka, topic_prefix)
    await cluster.log.start()
    yield cluster
    await cluster.log.stop()
