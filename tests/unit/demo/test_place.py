from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path

import pytest

from pipeline.demo.configuration import WALKING, kind_of
from pipeline.demo.place import Place, environment
from pipeline.demo.providers import TITLES
from pipeline.senders.registry import KINDS, capabilities
from pipeline.settings import SmtpSettings
from pipeline.simulator.app import make_all
from pipeline.simulator.server import Simulator, accounts_of
from pipeline.testing.clock import ManualClock


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        folder=tmp_path, gateway_port=20_001, simulator_port=20_002, smtp_port=20_005, metrics_port=20_003, api_key="k"
    )


def test_the_settings_it_writes_are_valid_and_point_at_its_own_processes(place: Place) -> None:
    settings = place.configure("127.0.0.1:20004", ManualClock(now_ms=1_764_000_000_000))
    assert settings.kafka.bootstrap_servers == "127.0.0.1:20004"
    assert {name: provider.base_url for name, provider in settings.providers.items() if provider.enabled} == {
        "ycloud": "http://127.0.0.1:20002/ycloud/v2",
        "neutrino": "http://127.0.0.1:20002/neutrino",
        "telesign": "http://127.0.0.1:20002/telesign",
        "bird": "http://127.0.0.1:20002/bird",
        "thundersms": "http://127.0.0.1:20002/thundersms/api/v2",
        WALKING: "http://127.0.0.1:20002/thundersms/api/v2",
        "smtp": "",
    }
    mail = settings.providers["smtp"]
    assert isinstance(mail, SmtpSettings)
    assert (mail.host, mail.port, mail.starttls) == ("127.0.0.1", settings.simulator.smtp_port, False)
    assert settings.simulator.webhook_url == f"{place.gateway}/v1/webhooks"
    assert settings.gateway.public_url == place.gateway
    ports = (settings.gateway.port, settings.simulator.port, settings.simulator.smtp_port, settings.metrics.port)
    assert ports == (20_001, 20_002, 20_005, 20_003)


def test_its_accounts_are_all_kinds_on_all_channels_one_of_them_twice(place: Place) -> None:
    settings = place.configure("h:1", ManualClock(now_ms=1_764_000_000_000))
    assert Counter(provider.kind for provider in settings.providers.values()) == {**dict.fromkeys(KINDS, 1)} | {
        "thundersms": 2
    }
    assert list(settings.providers) == list(TITLES)
    assert {name: kind_of(name) for name in settings.providers} == {
        name: provider.kind for name, provider in settings.providers.items()
    }
    for name, able in capabilities(settings).items():
        assert able.channels.keys() == KINDS[kind_of(name)].capabilities.channels.keys(), name


def test_the_simulator_knows_its_accounts(place: Place) -> None:
    settings = place.configure("h:1", ManualClock(now_ms=1_764_000_000_000))
    accounts = accounts_of(settings.providers)
    assert {account.instance for account in accounts} == set(settings.providers)
    make_all(Simulator().world, accounts)


def test_each_demo_has_secrets_of_its_own_that_others_cannot_read(place: Place, tmp_path: Path) -> None:
    clock = ManualClock(now_ms=1_764_000_000_000)
    other = Place(folder=tmp_path / "other", gateway_port=1, simulator_port=2, smtp_port=3, metrics_port=4, api_key="l")
    other.folder.mkdir()
    one, two = (
        [
            text
            for account in accounts_of(each.configure("h:1", clock).providers)
            for text in account.credentials.values()
        ]
        for each in (place, other)
    )
    assert not {text for text in one if text} & {text for text in two if text}
    if os.name == "posix":
        assert stat.S_IMODE(place.config.stat().st_mode) == 0o600


def test_exported_settings_do_not_reach_the_children() -> None:
    variables = {"PIPELINE_KAFKA__BOOTSTRAP_SERVERS": "production:9092", "PIPELINE_CONFIG": "x", "PATH": "/bin"}
    assert environment(variables) == {"PATH": "/bin"}
