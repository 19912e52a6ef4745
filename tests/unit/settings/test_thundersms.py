"""An access token travels in clear only where somebody said that it may."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import ThunderSmsSettings, load

OTHER = "http://portal.thundersms.com/api/v2"


def section(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text("\n".join(["[providers.thunder]", 'kind = "thundersms"', *lines]), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "address", [OTHER, "http://10.0.0.1", "http://localhost.example.org", "http://[2001:db8::1]:80"]
)
def test_plain_http_to_another_machine_is_refused_with_both_ways_out(tmp_path: Path, address: str) -> None:
    path = section(tmp_path, "enabled = true", 'access_token = "t"', f'base_url = "{address}"')
    with pytest.raises(SettingsError) as refused:
        load(path, environ={})
    assert "providers.thunder.base_url: the access token would travel in clear; write https://" in str(refused.value)
    assert "set allow_plain_http = true" in str(refused.value)


@pytest.mark.parametrize(
    "lines",
    [
        ('base_url = "https://portal.thundersms.com/api/v2"',),
        (f'base_url = "{OTHER}"', "allow_plain_http = true"),
        ('base_url = "http://127.0.0.1:8090/thundersms/api/v2"',),
        ('base_url = "http://[::1]:8090"',),
        ('base_url = "http://localhost:8090"',),
        (),
    ],
)
def test_https_is_fine_and_so_is_what_never_leaves_the_machine(tmp_path: Path, lines: tuple[str, ...]) -> None:
    settings = load(section(tmp_path, "enabled = true", 'access_token = "t"', *lines), environ={})
    assert isinstance(settings.providers["thunder"], ThunderSmsSettings)


def test_a_provider_that_is_switched_off_sends_no_token_anywhere(tmp_path: Path) -> None:
    settings = load(section(tmp_path, f'base_url = "{OTHER}"'), environ={})
    assert not settings.providers["thunder"].enabled


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (('[providers.thunder.channels.sms]\nfrom = ""',), "providers.thunder.channels.sms.from (from"),
        (('[providers.thunder.channels.voice]\nflow_id = " "',), "must be one line, not empty, without spaces"),
        (('[providers.thunder.channels.sms]\nflow_id = "5876"',), "providers.thunder.channels.sms.flow_id: only calls"),
        (('webhook_id = "wh-1"',), "providers.thunder.webhook_secret: without it every webhook is refused; set it"),
        (('webhook_id = "wh-1"', 'webhook_validation_key = "k"'), "or remove webhook_id and webhook_validation_key"),
    ],
)
def test_what_could_do_nothing_is_refused_by_name(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(section(tmp_path, "enabled = true", 'access_token = "t"', *lines), environ={})
    assert told in str(refused.value)


def test_an_enabled_one_needs_its_token(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"providers\.thunder\.access_token: an enabled provider needs it"):
        load(section(tmp_path, "enabled = true"), environ={})


def test_several_ids_of_webhooks_may_stand_in_one_variable(tmp_path: Path) -> None:
    settings = load(section(tmp_path), environ={"PIPELINE_PROVIDERS__THUNDER__WEBHOOK_ID": "wh-1, wh-2"})
    thunder = settings.providers["thunder"]
    assert isinstance(thunder, ThunderSmsSettings)
    assert [each.get_secret_value() for each in thunder.webhook_id] == ["wh-1", "wh-2"]
