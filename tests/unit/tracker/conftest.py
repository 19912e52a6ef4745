from __future__ import annotations

import pytest

from tests.unit.tracker.world import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()


@pytest.fixture
def sent(world: World) -> World:
    """A verification whose one attempt was accepted by the provider a second ago."""
    world.decide(world.accepted())
    world.tell()
    world.advance(1_000)
    return world
