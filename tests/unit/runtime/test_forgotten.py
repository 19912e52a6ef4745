"""A member that its group forgets again and again: by a twin, or because the brokers stood still."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from pipeline.runtime.kafka.members import KafkaGroupReader
from pipeline.settings import KafkaSettings


def forgotten_every(pause_s: float, session_s: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a member is said to have a twin that loses its place three times, each so long after the other."""
    reader = KafkaGroupReader(
        settings=KafkaSettings(session_timeout_ms=session_s * 1000),
        group="count",
        topics=["in"],
        instance="count-0",
        client_id="count-0",
    )
    reader._joined = True
    reader.consumer = SimpleNamespace(_coordinator=SimpleNamespace(member_id=""))
    loop = asyncio.get_running_loop()
    said = []
    for times in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", lambda at_s=1_000 + times * pause_s: at_s)
            said.append(reader.has_twin())
    assert said[:2] == [False, False]
    return said[2]


@pytest.mark.parametrize("session_s", [6, 30, 300])
async def test_a_member_thrown_out_within_two_heartbeats_each_time_has_a_twin(
    session_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat_s = min(3, session_s / 3)
    assert forgotten_every(2 * heartbeat_s, session_s, monkeypatch)


@pytest.mark.parametrize("session_s", [6, 10, 30])
async def test_a_member_silent_for_a_session_each_time_has_none(
    session_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As brokers that stand still for a moment longer than the session, one freeze after the other.
    assert not forgotten_every(session_s, session_s, monkeypatch)
