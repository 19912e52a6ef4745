"""Whether a topic exists is said by a broker only: one that is away says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import LogUnavailable, Misconfigured
from pipeline.runtime.kafka.client import KafkaLog
from pipeline.settings.kafka import KafkaSettings


class Cluster:
    """A library's client that knows no topic."""

    def __init__(self, *answers: bool) -> None:
        self._answers = list(answers)
        self.cluster = self
        self._client = self

    def partitions_for_topic(self, _: str) -> None:
        return None

    def add_topic(self, _: str) -> None: ...

    async def force_metadata_update(self) -> bool:
        return self._answers.pop(0)


def log_on(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> KafkaLog:
    log = KafkaLog(KafkaSettings(), client_id="test")
    connected: Any = cluster
    monkeypatch.setattr(log, "_ends", connected)
    return log


async def test_a_topic_of_which_no_broker_tells_is_not_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LogUnavailable, match=r"no Kafka broker tells of topic verification\.checks"):
        await log_on(Cluster(True, False, False, False), monkeypatch).partitions("verification.checks")


async def test_one_that_a_broker_does_not_have_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="does not exist"):
        await log_on(Cluster(False, True, True, True), monkeypatch).partitions("verification.checks")
