from __future__ import annotations

import pytest

from tests.unit.correlator.world import World, new_world


@pytest.fixture
def world() -> World:
    return new_world()
