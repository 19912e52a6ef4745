"""A mail server that could not work, or that would be told a password in clear, is refused at start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import SmtpSettings, load

GOOD: dict[str, object] = {"enabled": True, "host": "mail.example.org", "from_address": "verify@example.org"}


def loaded(tmp_path: Path, **section: object) -> SmtpSettings:
    rows = [f"{name} = {json.dumps(value)}" for name, value in section.items()]
    path = tmp_path / "settings.toml"
    path.write_text("\n".join(["[providers.smtp]", *rows]), encoding="utf-8")
    smtp = load(path, environ={}).providers["smtp"]
    assert isinstance(smtp, SmtpSettings)
    return smtp


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"host": "192.0.2.1", "username": "u", "password": "p"},
        {"tls": True, "port": 465, "username": "u", "password": "p"},
        {"tls": True, "starttls": False, "username": "u", "password": "p"},
        {"starttls": False},
        {"starttls": False, "host": "localhost", "username": "u", "password": "p"},
        {"starttls": False, "host": "127.0.0.2", "username": "u", "password": "p"},
        {"starttls": False, "host": "::1", "username": "u", "password": "p"},
        {"from_name": "Bücher, Söhne", "helo_name": "verify.example.org"},
        {"from_address": "verify+codes@xn--bcher-kva.example"},
    ],
)
def test_a_mail_server_that_can_be_spoken_to_is_taken(tmp_path: Path, more: dict[str, Any]) -> None:
    assert loaded(tmp_path, **(GOOD | more)).enabled


@pytest.mark.parametrize(
    ("more", "named", "fix"),
    [
        ({"host": ""}, "host", "an enabled provider needs it"),
        ({"from_address": ""}, "from_address", "an enabled provider needs it"),
        ({"host": "smtp://mail.example.org"}, "host", "write mail.example.org"),
        ({"host": "mail.example.org:25"}, "host", "the port in port"),
        ({"from_address": "Verify <verify@example.org>"}, "from_address", "without a name"),
        ({"from_address": "verify@bücher.example"}, "from_address", "xn-- form"),
        ({"from_address": "verify@localhost"}, "from_address", "verify@example.org"),
        ({"from_address": "a\nb@example.org"}, "from_address", "verify@example.org"),
        ({"from_name": "Acme\r\nBcc: x@example.org"}, "from_name", "on one line"),
        ({"helo_name": "my host"}, "helo_name", "verify.example.org"),
        ({"base_url": "http://127.0.0.1:8090"}, "base_url", "set host and port"),
        ({"username": "u"}, "username", "set both"),
        ({"password": "p"}, "username", "set both"),
        ({"starttls": False, "username": "u", "password": "p"}, "starttls", "set starttls = true"),
        ({"starttls": False, "host": "192.0.2.1", "username": "u", "password": "p"}, "starttls", "tls = true"),
    ],
)
def test_a_mail_server_that_cannot_work_is_refused_with_the_fix(
    tmp_path: Path, more: dict[str, Any], named: str, fix: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, **(GOOD | more))
    message = str(refused.value)
    assert message.startswith("1 problem in the settings:")
    assert f"providers.smtp.{named}" in message
    assert fix in message
    assert "Bcc" not in message


def test_what_is_switched_off_may_be_half_written(tmp_path: Path) -> None:
    assert not loaded(tmp_path, enabled=False, username="u").enabled


@pytest.mark.parametrize(("ports", "taken"), [("port = 1\nsmtp_port = 1", False), ("port = 0\nsmtp_port = 0", True)])
def test_the_simulators_two_ports_are_two(tmp_path: Path, ports: str, taken: bool) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"[simulator]\n{ports}", encoding="utf-8")
    if taken:
        load(path, environ={})
        return
    with pytest.raises(SettingsError, match=r"simulator\.smtp_port: 1 is simulator\.port too"):
        load(path, environ={})
