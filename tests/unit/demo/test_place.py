from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pipeline.demo.place import Place, environment
from pipeline.testing.clock import ManualClock


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(folder=tmp_path, gateway_port=20_001, simulator_port=20_002, metrics_port=20_003)


def test_the_settings_it_writes_are_valid_and_point_at_its_own_processes(place: Place) -> None:
    settings = place.configure("127.0.0.1:20004", ManualClock(now_ms=1_764_000_000_000))
    assert settings.kafka.bootstrap_servers == "127.0.0.1:20004"
    assert {name: provider.base_url for name, provider in settings.providers.items() if provider.enabled} == {
        "ycloud": "http://127.0.0.1:20002/ycloud/v2",
        "neutrino": "http://127.0.0.1:20002/neutrino",
    }
    assert settings.simulator.webhook_url == f"{place.gateway}/v1/webhooks"
    assert (settings.gateway.port, settings.simulator.port, settings.metrics.port) == (20_001, 20_002, 20_003)


def test_each_demo_has_secrets_of_its_own_that_others_cannot_read(place: Place, tmp_path: Path) -> None:
    clock = ManualClock(now_ms=1_764_000_000_000)
    other = Place(folder=tmp_path / "other", gateway_port=1, simulator_port=2, metrics_port=3)
    other.folder.mkdir()
    one, two = place.configure("h:1", clock).providers["ycloud"], other.configure("h:1", clock).providers["ycloud"]
    assert one.model_dump()["api_key"] != two.model_dump()["api_key"]
    if os.name == "posix":
        assert stat.S_IMODE(place.config.stat().st_mode) == 0o600


def test_exported_settings_do_not_reach_the_children() -> None:
    variables = {"PIPELINE_KAFKA__BOOTSTRAP_SERVERS": "production:9092", "PIPELINE_CONFIG": "x", "PATH": "/bin"}
    assert environment(variables) == {"PATH": "/bin"}
