"""Which kinds of provider exist, and the providers a configuration makes of them.

Imports no HTTP client: the router asks here what its providers can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from pydantic import BaseModel, SecretStr, ValidationError

from pipeline.errors import SettingsError
from pipeline.model.capabilities import ProviderCapabilities
from pipeline.records.types import Channel
from pipeline.senders.provider import Provider
from pipeline.senders.providers import neutrino, ycloud
from pipeline.settings import ProviderSettings, Settings


class ProviderClass(Protocol):
    """How a configured account becomes a provider."""

    @property
    def account_type(self) -> type[BaseModel]:
        """What ``[providers.<name>]`` must hold beside the common settings."""

    def __call__(self, *, instance: str, account: Any, base_url: str, capabilities: ProviderCapabilities) -> Provider:
        """One account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of provider: its class, what it can do, and the pace that is assumed safe for it."""

    make: ProviderClass
    capabilities: ProviderCapabilities
    max_concurrency: int
    rate_per_s: float


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ycloud": Kind(
            make=ycloud.YCloud,
            capabilities=ycloud.CAPABILITIES,
            max_concurrency=ycloud.MAX_CONCURRENCY,
            rate_per_s=ycloud.RATE_PER_S,
        ),
        "neutrino": Kind(
            make=neutrino.Neutrino,
            capabilities=neutrino.CAPABILITIES,
            max_concurrency=neutrino.MAX_CONCURRENCY,
            rate_per_s=neutrino.RATE_PER_S,
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
        providers[name] = kind.make(
            instance=name,
            account=_account(name, kind, section),
            base_url=section.base_url,
            capabilities=_capabilities(name, kind, section),
        )
    return providers


def capabilities(settings: Settings) -> Mapping[str, ProviderCapabilities]:
    """What each enabled provider can do, restricted to the channels configured for it. Raises SettingsError."""
    return {
        name: _capabilities(name, _kind(name, section), section)
        for name, section in settings.providers.items()
        if section.enabled
    }


def limits(settings: Settings, name: str) -> Limits:
    """The pace of one provider: as configured, else the safe one of its kind. Raises SettingsError."""
    section = settings.providers.get(name)
    if section is None:
        raise SettingsError(f"providers.{name}: is not configured; known are {', '.join(sorted(settings.providers))}")
    kind = _kind(name, section)
    given = section.model_fields_set
    return Limits(
        max_concurrency=section.max_concurrency if "max_concurrency" in given else kind.max_concurrency,
        rate_per_s=section.rate_per_s if "rate_per_s" in given else kind.rate_per_s,
        timeout_s=section.timeout_s,
        connect_timeout_s=min(section.connect_timeout_s, section.timeout_s),
    )


def _kind(name: str, section: ProviderSettings) -> Kind:
    kind = KINDS.get(section.kind or name)
    if kind is None:
        known = ", ".join(sorted(KINDS))
        raise SettingsError(f"providers.{name}.kind: there is no provider {section.kind or name!r}; use one of {known}")
    return kind


def _account(name: str, kind: Kind, section: ProviderSettings) -> BaseModel:
    given = {
        key: value.get_secret_value() if isinstance(value, SecretStr) else value
        for key, value in (section.model_extra or {}).items()
    }
    try:
        account: BaseModel = kind.make.account_type.model_validate(given)
    except ValidationError as error:
        # Only places and kinds of the problems: the values are secrets.
        problems = [f"providers.{name}.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise SettingsError("; ".join(problems)) from None
    return account


def _capabilities(name: str, kind: Kind, section: ProviderSettings) -> ProviderCapabilities:
    if not section.channels:
        return kind.capabilities
    able = kind.capabilities.channels
    chosen: dict[Channel, Any] = {}
    for channel in section.channels:
        if channel not in able:
            known = ", ".join(each.value for each in able)
            raise SettingsError(f"providers.{name}.channels: {kind.capabilities.kind} has no {channel!r}; use {known}")
        chosen[Channel(channel)] = able[Channel(channel)]
    return replace(kind.capabilities, channels=MappingProxyType(chosen))
