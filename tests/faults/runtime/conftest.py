"""A cluster of its own for each fault test of the runtime on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.runtime.cluster import Cluster


@pytest.fixture
async def cluster(kafka: str, topic_prefix: str) -> AsyncIterator[Cluster]:
    async with Cluster.of(kafka, topic_prefix) as cluster:
        yield cluster
