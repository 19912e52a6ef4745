from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.model.capabilities import Correlation
from pipeline.records.types import Channel
from pipeline.senders.providers.neutrino import Neutrino
from pipeline.senders.providers.ycloud import CAPABILITIES, YCloud
from pipeline.senders.registry import KINDS, capabilities, exchange, limits, load
from pipeline.senders.smtp_exchange import SmtpExchange
from pipeline.settings import KINDS as SETTINGS
from pipeline.settings import Settings

YCLOUD: dict[str, Any] = {"kind": "ycloud", "enabled": True, "api_key": "k", "webhook_secret": "whsec_1"}
NEUTRINO: dict[str, Any] = {"kind": "neutrino", "enabled": True, "user_id": "u", "api_key": "k"}


def settings(**providers: dict[str, Any]) -> Settings:
    return Settings.model_validate({"providers": providers})


def test_every_enabled_provider_is_made_by_its_kind() -> None:
    providers = load(settings(ycloud=YCLOUD, neutrino=NEUTRINO, spare=YCLOUD | {"enabled": False}))
    assert {name: type(provider) for name, provider in providers.items()} == {"ycloud": YCloud, "neutrino": Neutrino}
    assert [provider.instance for provider in providers.values()] == ["ycloud", "neutrino"]


def test_two_accounts_of_one_kind_work_side_by_side() -> None:
    both = settings(ycloud=YCLOUD, second=YCLOUD | {"api_key": "other"})
    assert set(load(both)) == set(capabilities(both)) == {"ycloud", "second"}


def test_only_the_configured_channels_are_offered() -> None:
    able = capabilities(settings(ycloud=YCLOUD | {"channels": ["voice", "sms"]}))["ycloud"]
    assert list(able.channels) == [Channel.SMS, Channel.VOICE]
    assert able.channels[Channel.SMS] == CAPABILITIES.channels[Channel.SMS]
    assert load(settings(ycloud=YCLOUD | {"channels": ["sms"]}))["ycloud"].capabilities.channels.keys() == {Channel.SMS}


def test_nobody_waits_for_reports_that_are_not_set_up() -> None:
    able = capabilities(settings(ycloud=YCLOUD | {"requires_receipts": False}))["ycloud"]
    assert not any(channel.receipts for channel in able.channels.values())


def test_the_pace_is_the_safe_one_of_the_kind_until_it_is_set() -> None:
    plain = settings(ycloud=YCLOUD, neutrino=NEUTRINO)
    assert (limits(plain, "neutrino").max_concurrency, limits(plain, "neutrino").rate_per_s) == (10, 2.0)
    assert limits(plain, "ycloud").rate_per_s == pytest.approx(10_000 / 3_600, rel=0.01)
    fast = settings(neutrino=NEUTRINO | {"max_concurrency": 300, "rate_per_s": 500, "timeout_s": 2})
    chosen = limits(fast, "neutrino")
    assert (chosen.max_concurrency, chosen.rate_per_s, chosen.timeout_s, chosen.connect_timeout_s) == (300, 500, 2, 2)


async def test_a_mail_server_is_spoken_to_as_it_is_configured() -> None:
    mail = {"enabled": True, "host": "mail.example.org", "from_address": "verify@example.org"}
    chosen = settings(smtp=mail)
    assert (limits(chosen, "smtp").max_concurrency, limits(chosen, "smtp").rate_per_s) == (5, 10.0)
    client = exchange(chosen, "smtp")
    assert isinstance(client, SmtpExchange)
    assert (client.server.helo_name, client.server.starttls) == ("example.org", True)
    named = exchange(settings(smtp=mail | {"helo_name": "verify.example.com", "tls": True, "port": 465}), "smtp")
    assert isinstance(named, SmtpExchange)
    assert (named.server.helo_name, named.server.tls, named.server.port) == ("verify.example.com", True, 465)


def test_a_provider_that_is_not_configured_is_named_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"providers\.bird: is not configured; known are ycloud"):
        limits(settings(ycloud=YCLOUD), "bird")


def test_every_kind_names_itself_and_serves_a_channel() -> None:
    for name, kind in KINDS.items():
        assert kind.capabilities.kind == name
        assert kind.capabilities.channels


def test_the_router_learns_capabilities_without_a_client_of_any_protocol() -> None:
    code = "import sys, pipeline.senders.registry; sys.exit(not {'aiohttp', 'aiosmtplib'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_settings_take_exactly_the_kinds_there_is_a_sender_for() -> None:
    assert {name: kind.settings for name, kind in KINDS.items()} == SETTINGS


def test_receipts_that_come_to_an_address_of_their_own_need_no_correlator() -> None:
    telesign = {"kind": "telesign", "enabled": True, "customer_id": "c", "api_key": "a2V5"}
    by_account = capabilities(settings(telesign=telesign))["telesign"].channels[Channel.SMS]
    assert by_account.correlation is Correlation.MESSAGE_ID
    told = {"gateway": {"public_url": "https://verify.example.org"}, "providers": {"telesign": telesign}}
    named = capabilities(Settings.model_validate(told))["telesign"].channels
    assert named[Channel.SMS].correlation is named[Channel.VOICE].correlation is Correlation.REFERENCE
    told["providers"] = {"telesign": telesign | {"smart_verify": True}}
    walking = capabilities(Settings.model_validate(told))["telesign"].channels[Channel.SMS]
    assert walking.correlation is Correlation.MESSAGE_ID, "Smart Verify takes no address"
