"""``pipeline providers``: what is configured, what it can do, and whether its credentials are taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from pipeline.cli import main
from pipeline.model.capabilities import Walk
from pipeline.records.types import Channel
from pipeline.senders import registry
from pipeline.senders.exchange import NotSent
from pipeline.settings import Settings

SECRET = "hunter2-shop"
BOTH = f"""
[providers.ycloud]
enabled = true
api_key = "{SECRET}"
webhook_secret = "{SECRET}"

[providers.second]
kind = "ycloud"
enabled = true
channels = ["sms"]
api_key = "{SECRET}"

[providers.neutrino]
user_id = "{SECRET}"
"""


class Line:
    """An exchange that answers by instance, and remembers how many were asked at the same time."""

    at_once = 0
    most = 0

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self._answer = answer

    async def exchange(self, request: Any, before_first_byte: Callable[[], None]) -> httpx.Response:
        assert isinstance(request, httpx.Request)
        Line.at_once += 1
        Line.most = max(Line.most, Line.at_once)
        await asyncio.sleep(0.01)
        Line.at_once -= 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def aclose(self) -> None:
        pass


TAKEN = httpx.Response(200, json={"amount": 12.5, "currency": "EUR"})
REFUSED = httpx.Response(401, json={"error": {"code": "UNAUTHORIZED", "message": SECRET}})


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERMINAL_WIDTH", "300")

    def write(text: str) -> None:
        (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``answering(ycloud=…, second=…)`` decides what each instance answers."""

    def set_up(**answers: httpx.Response | Exception) -> None:
        def exchange(settings: Settings, name: str) -> Line:
            return Line(answers[name])

        monkeypatch.setattr(registry, "exchange", exchange)

    return set_up


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_list_shows_every_configured_provider_with_what_it_can_do(
    configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(BOTH)
    assert main(["providers", "list", "--json"]) == 0
    first, second, third = told(capsys)
    assert [(row["name"], row["kind"], row["enabled"]) for row in (first, second, third)] == [
        ("ycloud", "ycloud", True),
        ("second", "ycloud", True),
        ("neutrino", "neutrino", False),
    ]
    assert [row["channels"] for row in (second, third)] == [["sms"], ["sms", "voice"]]
    assert [row["receipts"] for row in (first, second, third)] == [
        "webhooks, ready",
        "missing: providers.second.webhook_secret",
        "none",
    ]
    assert first["code"] == "sms, whatsapp, email: 4-8 digits; voice: 4-6 digits, no leading zero"
    assert first["also"] == {
        "look-up": ["sms", "voice"],
        "check": [],
        "report": ["sms", "voice", "whatsapp", "email"],
        "cancel": [],
        "walk": [],
        "resend": [],
        "failover": [],
    }
    assert third["code"] == "4-9 digits, no leading zero or its own 4-12, told in the answer"
    assert (third["rate_per_s"], third["max_concurrency"]) == (2.0, 10)
    assert third["abilities"]["voice"]["options"] == "limit limit_ttl playback_delay"


def test_list_as_a_table_has_one_line_for_each_and_no_secret(
    configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(BOTH)
    assert main(["providers", "list"]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert [line[:3] for line in lines if line and line[0] in ("ycloud", "second", "neutrino")] == [
        ["ycloud", "ycloud", "yes"],
        ["second", "ycloud", "yes"],
        ["neutrino", "neutrino", "no"],
    ]
    assert "2/s, 10 at once" in shown
    assert "look-up (sms, voice)" in shown
    assert SECRET not in shown


def test_list_says_when_reports_are_switched_off_asked_for_or_unknown(
    configured: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = registry.KINDS["neutrino"]
    channels = {
        channel: replace(able, lookups_s=(30,), walk=Walk(channels=frozenset({Channel.VOICE})))
        for channel, able in kind.capabilities.channels.items()
    }
    polled = replace(kind, capabilities=replace(kind.capabilities, channels=channels))
    monkeypatch.setattr(registry, "KINDS", MappingProxyType({**registry.KINDS, "neutrino": polled}))
    configured(
        "[providers.neutrino]\n[providers.ycloud]\nrequires_receipts = false\n[providers.third]\nkind = 'ycloud'\n"
    )
    assert main(["providers", "list", "--json"]) == 0
    asked_for, off, disabled = told(capsys)
    assert (asked_for["receipts"], off["receipts"], disabled["receipts"]) == ("asked for", "switched off", "webhooks")
    assert asked_for["also"]["walk"] == ["sms", "voice"]


def test_list_says_what_bird_was_switched_on_for(
    configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    uuid = "6f0c1f6e-0d1b-4c1e-9b0a-3f5d2c7e8a90"
    ids = f"[providers.bird.channels]\nsms = '{uuid}'\nwhatsapp = '{uuid}'\nemail = '{uuid}'\n"
    for paths, also in (
        ("", {"resend": [], "failover": []}),
        (
            "resend_path = '/verify/{id}/resend'\nfailover_path = '/verify/{id}/failover'\n",
            {"resend": ["sms", "whatsapp", "email"], "failover": ["sms", "whatsapp"]},
        ),
    ):
        configured(f"[providers.bird]\n{paths}{ids}")
        assert main(["providers", "list", "--json"]) == 0
        (bird,) = told(capsys)
        assert {what: bird["also"][what] for what in also} == also


def test_list_of_kinds_needs_no_settings(configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    configured("this is no TOML")
    assert main(["providers", "list", "--kinds", "--json"]) == 0
    assert {row["kind"] for row in told(capsys)} == set(registry.KINDS)
    assert main(["providers", "list", "--kinds"]) == 0
    shown = capsys.readouterr().out
    assert "our code or the caller's" in shown
    assert set(registry.KINDS) <= {line.strip() for line in shown.splitlines()}


def test_check_asks_all_enabled_at_once_and_ends_with_0(
    configured: Callable[[str], None], answering: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(BOTH)
    answering(ycloud=TAKEN, second=TAKEN)
    Line.most = 0
    assert main(["providers", "check"]) == 0
    shown = capsys.readouterr().out
    assert Line.most == 2
    assert [line.split()[:3] for line in shown.splitlines() if "taken" in line] == [
        ["ycloud", "ycloud", "taken"],
        ["second", "ycloud", "taken"],
    ]
    assert "balance 12.5 EUR" in shown
    assert "providers.second.webhook_secret" in shown
    assert "providers.ycloud.webhook_secret" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("answer", "detail"),
    [(REFUSED, "HTTP 401 UNAUTHORIZED"), (NotSent("unreachable"), "no answer (unreachable)")],
)
def test_check_ends_with_1_when_one_of_them_fails_and_tells_of_all(
    answer: httpx.Response | Exception,
    detail: str,
    configured: Callable[[str], None],
    answering: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured(BOTH)
    answering(ycloud=answer, second=TAKEN)
    assert main(["providers", "check", "--json"]) == 1
    printed = capsys.readouterr()
    first, second = json.loads(printed.out)
    assert (first["ok"], first["detail"], second["ok"]) == (False, detail, True)
    assert SECRET not in printed.out + printed.err
    assert main(["providers", "check"]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_check_of_one_leaves_the_others_alone(
    configured: Callable[[str], None], answering: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(BOTH)
    answering(second=TAKEN)
    assert main(["providers", "check", "second", "--json"]) == 0
    assert [row["name"] for row in told(capsys)] == ["second"]


def test_a_provider_without_a_harmless_probe_is_no_failure(
    configured: Callable[[str], None],
    answering: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured(BOTH)
    answering(ycloud=TAKEN, second=TAKEN)
    monkeypatch.setattr("pipeline.senders.providers.ycloud.YCloud.probe", lambda self, now_ms: None)
    assert main(["providers", "check", "ycloud", "--json"]) == 0
    [row] = told(capsys)
    assert (row["ok"], row["detail"]) == (None, "no harmless probe exists")
    assert main(["providers", "check", "ycloud"]) == 0
    assert "not asked" in capsys.readouterr().out


def test_a_public_address_is_missing_only_where_a_provider_is_told_one(
    configured: Callable[[str], None],
    answering: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured(BOTH)
    answering(ycloud=TAKEN, second=TAKEN)
    telling = replace(registry.KINDS["ycloud"], names_callback=True)
    monkeypatch.setattr(registry, "KINDS", MappingProxyType({**registry.KINDS, "ycloud": telling}))
    assert main(["providers", "check", "--json"]) == 0
    assert [row["missing"] for row in told(capsys)] == [
        ["gateway.public_url"],
        ["providers.second.webhook_secret", "gateway.public_url"],
    ]


@pytest.mark.parametrize("name", ["neutrino", "nobody"])
def test_check_of_a_provider_that_is_not_enabled_is_wrong_usage(
    name: str, configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(BOTH)
    assert main(["providers", "check", name]) == 2
    assert f"{name}: no provider of this name is enabled; enabled are: ycloud, second" in capsys.readouterr().err


def test_without_any_provider_there_is_nothing_to_show(
    configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured("")
    assert main(["providers", "list"]) == 0
    assert "No provider is configured" in capsys.readouterr().err
    assert main(["providers", "list", "--json"]) == 0
    assert told(capsys) == []
    assert main(["providers", "check"]) == 1, "a gate before a deployment must not pass where nothing is switched on"
    assert "No provider is enabled: set enabled = true" in capsys.readouterr().err


def test_settings_that_are_wrong_end_with_2(
    configured: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    configured("[providers.ycloud]\nenabled = true\n")
    assert main(["providers", "list"]) == 2
    assert "providers.ycloud.api_key" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["providers", "list"], ["providers", "check"], ["providers"]])
def test_help_shows_an_example(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*argv, "--help"]) == 0
    assert "Example: pipeline providers" in capsys.readouterr().out.replace("`", "")
