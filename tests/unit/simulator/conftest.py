from __future__ import annotations

import random
from collections.abc import AsyncIterator

import httpx
import pytest

from pipeline.simulator.app import create_app
from pipeline.simulator.history import Calls, Inbox
from pipeline.simulator.webhooks import Webhooks
from pipeline.simulator.world import World
from pipeline.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_735_787_045_000)


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(
        clock=clock,
        rng=random.Random(7),
        inbox=Inbox(100),
        calls=Calls(100),
        webhooks=Webhooks(url="", clock=clock, policies={}),
        keep=100,
    )


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client that talks to the application without a socket."""
    transport = httpx.ASGITransport(app=create_app(world=world))
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
        yield client
