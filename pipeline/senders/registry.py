"""Which kinds of provider exist, and the providers a configuration makes of them.

Imports no client of any protocol: the router asks here what its providers can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from pipeline.errors import SettingsError
from pipeline.model.capabilities import Correlation, ProviderCapabilities
from pipeline.senders.exchange import Exchange
from pipeline.senders.provider import Provider
from pipeline.senders.providers import bird, neutrino, smtp, telesign, thundersms, ycloud
from pipeline.settings import (
    BirdSettings,
    NeutrinoSettings,
    ProviderSettings,
    Settings,
    SmtpSettings,
    TelesignSettings,
    ThunderSmsSettings,
    YCloudSettings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How fast one provider may be called."""

    max_concurrency: int
    """Calls at once, per process."""
    rate_per_s: float
    """Calls per second of the whole group."""
    timeout_s: float
    connect_timeout_s: float


def over_http(settings: ProviderSettings, limits: Limits) -> Exchange:
    """The client of a provider with an HTTP API."""
    # Only senders need it: the router asks for capabilities, and starts without an HTTP client.
    from pipeline.senders.transport import AiohttpTransport

    return AiohttpTransport(
        max_connections=limits.max_concurrency,
        timeout_s=limits.timeout_s,
        connect_timeout_s=limits.connect_timeout_s,
    )


def over_smtp(settings: SmtpSettings, limits: Limits) -> Exchange:
    """The client of a mail server."""
    from pipeline.senders.smtp_connection import MailServer
    from pipeline.senders.smtp_exchange import SmtpExchange

    server = MailServer(
        host=settings.host,
        port=settings.port,
        helo_name=settings.helo_name or settings.from_address.rpartition("@")[2],
        tls=settings.tls,
        starttls=settings.starttls,
        username=settings.username,
        password=settings.password.get_secret_value(),
    )
    return SmtpExchange(
        server,
        max_connections=limits.max_concurrency,
        timeout_s=limits.timeout_s,
        connect_timeout_s=limits.connect_timeout_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of provider: its settings, its class, and what it can do."""

    settings: type[ProviderSettings]
    make: Callable[..., Provider]
    """``make(instance=, settings=, capabilities=, webhook_url=)`` with settings of the type above. ``webhook_url`` is
    the gateway's address for this instance, empty while the gateway has no public one."""
    capabilities: ProviderCapabilities
    able: Callable[[Any, ProviderCapabilities], ProviderCapabilities] = lambda settings, capabilities: capabilities
    """What an account with these settings can do, where that depends on more than its channels."""
    exchange: Callable[[Any, Limits], Exchange] = over_http
    """The client that its requests are for."""
    names_callback: bool = False
    """It is told with each message where to report it, which takes ``gateway.public_url``."""


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ycloud": Kind(
            settings=YCloudSettings,
            make=ycloud.YCloud,
            capabilities=ycloud.CAPABILITIES,
            able=ycloud.able,
        ),
        "bird": Kind(
            settings=BirdSettings,
            make=bird.Bird,
            capabilities=bird.CAPABILITIES,
            able=bird.able,
        ),
        "neutrino": Kind(
            settings=NeutrinoSettings,
            make=neutrino.Neutrino,
            capabilities=neutrino.CAPABILITIES,
        ),
        "telesign": Kind(
            settings=TelesignSettings,
            make=telesign.Telesign,
            capabilities=telesign.CAPABILITIES,
            able=telesign.able,
            names_callback=True,
        ),
        "thundersms": Kind(
            settings=ThunderSmsSettings,
            make=thundersms.ThunderSms,
            capabilities=thundersms.CAPABILITIES,
            able=thundersms.able,
        ),
        "smtp": Kind(
            settings=SmtpSettings,
            make=smtp.Smtp,
            capabilities=smtp.CAPABILITIES,
            exchange=over_smtp,
        ),
    }
)


def load(settings: Settings) -> dict[str, Provider]:
    """Every enabled provider by its instance name. Raises SettingsError naming the setting."""
    providers: dict[str, Provider] = {}
    for name, section in settings.providers.items():
        if not section.enabled:
            continue
        kind = _kind(name, section)
        providers[name] = kind.make(
            instance=name,
            settings=section,
            capabilities=configured(settings, name),
            webhook_url=webhook_url(settings, name),
        )
    return providers


def load_one(settings: Settings, name: str) -> Provider:
    """The enabled provider of this instance name. Raises SettingsError."""
    found = load(settings)
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise SettingsError(f"providers.{name}: is not configured and enabled; enabled are: {known}")
    return found[name]


def capabilities(settings: Settings) -> Mapping[str, ProviderCapabilities]:
    """What each enabled provider can do as it is configured (channels, receipts). Raises SettingsError."""
    return {name: configured(settings, name) for name, section in settings.providers.items() if section.enabled}


def configured(settings: Settings, name: str) -> ProviderCapabilities:
    """What one configured provider can do, or could if it were enabled. Raises SettingsError."""
    section = settings.providers[name]
    kind = _kind(name, section)
    able = _capabilities(name, kind, section)
    if kind.names_callback and webhook_url(settings, name):
        # The address a request gives tells our reference; one that walks on is reported to the account's own.
        channels = {
            channel: each if each.walk is not None else replace(each, correlation=Correlation.REFERENCE)
            for channel, each in able.channels.items()
        }
        able = replace(able, channels=MappingProxyType(channels))
    return able


def webhook_url(settings: Settings, name: str) -> str:
    """Where the gateway takes webhooks of this instance, as the world reaches it; empty when nobody said how."""
    public = settings.gateway.public_url.rstrip("/")
    return f"{public}/v1/webhooks/{name}" if public else ""


def exchange(settings: Settings, name: str) -> Exchange:
    """A new client of one provider. Raises SettingsError."""
    section = settings.providers[name]
    return _kind(name, section).exchange(section, limits(settings, name))


def limits(settings: Settings, name: str) -> Limits:
    """The pace of one provider. Raises SettingsError."""
    section = settings.providers.get(name)
    if section is None:
        raise SettingsError(f"providers.{name}: is not configured; known are {', '.join(sorted(settings.providers))}")
    return Limits(
        max_concurrency=section.max_concurrency,
        rate_per_s=section.rate_per_s,
        timeout_s=section.timeout_s,
        connect_timeout_s=min(section.connect_timeout_s, section.timeout_s),
    )


def _kind(name: str, section: ProviderSettings) -> Kind:
    kind = KINDS.get(section.kind)
    if kind is None or not isinstance(section, kind.settings):
        known = ", ".join(sorted(KINDS))
        raise SettingsError(f"providers.{name}.kind: there is no sender for {section.kind!r}; use one of {known}")
    return kind


def _capabilities(name: str, kind: Kind, section: ProviderSettings) -> ProviderCapabilities:
    able = dict(kind.capabilities.channels)
    if section.used_channels:
        known = ", ".join(channel.value for channel in able)
        for channel in section.used_channels:
            if channel not in able:
                raise SettingsError(f"providers.{name}.channels: {section.kind} has no {channel!r}; use {known}")
        able = {channel: able[channel] for channel in able if channel in section.used_channels}
    if not section.requires_receipts:
        # Reports are not set up for this account: nobody may wait for them, nor read their absence as a failure.
        able = {channel: replace(each, receipts=False) for channel, each in able.items()}
    return kind.able(section, replace(kind.capabilities, channels=MappingProxyType(able)))
