"""Each test has a prefix of its own on the session's broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.hazards.ground import Ground, Sent, as_it_comes, quiet


@pytest.fixture
async def ground(kafka: str, topic_prefix: str) -> AsyncIterator[Ground]:
    with quiet():
        made = Ground(kafka, topic_prefix)
        yield made
        await made.close()


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library without what we change in it."""
    as_it_comes(monkeypatch)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)
