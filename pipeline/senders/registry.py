"""Which kinds of provider exist, and the providers a configuration makes of them.

Imports no HTTP client: the router asks here what its providers can do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pipeline.errors import SettingsError
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.senders.provider import Provider
from pipeline.senders.providers import neutrino, ycloud
from pipeline.settings import NeutrinoSettings, ProviderSettings, Settings, YCloudSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of provider: its settings, its class, and what it can do."""

    settings: type[ProviderSettings]
    make: Callable[..., Provider]
    """``make(instance=, settings=, capabilities=)`` with settings of the type above."""
    capabilities: ProviderCapabilities


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ycloud": Kind(
            settings=YCloudSettings,
            make=ycloud.YCloud,
            capabilities=ycloud.CAPABILITIES,
        ),
        "neutrino": Kind(
            settings=NeutrinoSettings,
            make=neutrino.Neutrino,
            capabilities=neutrino.CAPABILITIES,
        ),
    }
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


def load(settings: Settings) -> dict[str, Provider]:
    """Every enabled provider by its instance name. Raises SettingsError naming the setting."""
    providers: dict[str, Provider] = {}
    for name, section in settings.providers.items():
        if not section.enabled:
            continue
        kind = _kind(name, section)
        providers[name] = kind.make(instance=name, settings=section, capabilities=_capabilities(name, kind, section))
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
    return {
        name: _capabilities(name, _kind(name, section), section)
        for name, section in settings.providers.items()
        if section.enabled
    }


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
    if section.channels:
        known = ", ".join(channel.value for channel in able)
        for channel in section.channels:
            if channel not in able:
                raise SettingsError(f"providers.{name}.channels: {section.kind} has no {channel!r}; use {known}")
        able = {channel: able[channel] for channel in able if channel in section.channels}
    if not section.requires_receipts:
        # Reports are not set up for this account: nobody may wait for them, nor read their absence as a failure.
        able = {channel: replace(each, receipts=False) for channel, each in able.items()}
    return replace(kind.capabilities, channels=MappingProxyType(able))
