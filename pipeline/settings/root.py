"""The whole configuration as one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from pipeline.settings.base import Name, Section, shaped
from pipeline.settings.edges import (
    GatewaySettings,
    LoggingSettings,
    MetricsSettings,
    ReadModelSettings,
    SimulatorSettings,
    TracingSettings,
)
from pipeline.settings.kafka import KafkaSettings, KeysSettings, RecordsSettings, RegistrySettings, RuntimeSettings
from pipeline.settings.policy import (
    PolicySettings,
    PricesSettings,
    ProtectionsSettings,
    RoutesSettings,
    SenderRule,
    TemplateSettings,
    TenantSettings,
)
from pipeline.settings.providers import AnyProvider, ProviderSettings

TenantName = Annotated[
    str, shaped(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "at most 64 letters, digits and . _ -, no sign first")
]


class Settings(Section):
    """The whole configuration."""

    kafka: KafkaSettings = KafkaSettings()
    """Where the log is."""
    runtime: RuntimeSettings = RuntimeSettings()
    """How tasks batch, commit and give up."""
    records: RecordsSettings = RecordsSettings()
    """Schemas."""
    registry: RegistrySettings = RegistrySettings()
    """A schema registry."""
    keys: KeysSettings = KeysSettings()
    """The key ring."""
    tenants: dict[TenantName, TenantSettings] = {"default": TenantSettings()}
    """Who may publish requests, and with which defaults; without any there is one, ``default``."""
    policy: PolicySettings = PolicySettings()
    """Rules that hold for every verification."""
    routes: RoutesSettings = RoutesSettings()
    """Which providers serve what, in which order."""
    senders: list[SenderRule] = []
    """Sender ids by provider, channel and country."""
    templates: dict[Name, TemplateSettings] = {}
    """Texts that steps can name."""
    prices: PricesSettings = PricesSettings()
    """What messages cost."""
    protections: ProtectionsSettings = ProtectionsSettings()
    """Rules against abuse."""
    test_numbers: list[str] = []
    """Recipients that only ever reach the provider named ``simulator`` and are marked ``test``."""
    providers: dict[Name, AnyProvider] = {}
    """The providers by the name we give them; routes without rules use them in this order."""
    gateway: GatewaySettings = GatewaySettings()
    """The HTTP edge."""
    readmodel: ReadModelSettings = ReadModelSettings()
    """The database of verifications."""
    metrics: MetricsSettings = MetricsSettings()
    """Metrics and health."""
    simulator: SimulatorSettings = SimulatorSettings()
    """The provider simulator."""
    logging: LoggingSettings = LoggingSettings()
    """Logs."""
    tracing: TracingSettings = TracingSettings()
    """Traces."""
    instance: Annotated[int | None, Field(ge=0, le=9_999)] = None
    """Ordinal of this process in its stage (``--instance``, ``PIPELINE_INSTANCE``, else from the host name)."""

    @field_validator("providers", mode="before")
    @classmethod
    def _kind_is_the_name(cls, providers: object) -> object:
        if not isinstance(providers, Mapping):
            return providers
        return {name: _with_kind(name, value) for name, value in providers.items()}


def _with_kind(name: object, value: object) -> object:
    if type(value) is ProviderSettings:  # the common fields alone: its kind decides the class
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping) and not value.get("kind"):
        return {**value, "kind": name}
    return value
