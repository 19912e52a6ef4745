"""All settings, validated once at start; nothing else reads the environment.

One TOML file, every value also as ``PIPELINE_<SECTION>__<NAME>``, secrets also as files. Units are in the names.
"""

from __future__ import annotations

from pipeline.settings.base import ChannelName, CountryCode, Section
from pipeline.settings.edges import (
    LONGEST_API_KEY,
    ApiKeySettings,
    GatewaySettings,
    LoggingSettings,
    MetricsSettings,
    ReadModelSettings,
    SimulatorSettings,
    TracingSettings,
)
from pipeline.settings.finding import Finding
from pipeline.settings.kafka import KafkaSettings, KeysSettings, RecordsSettings, RegistrySettings, RuntimeSettings
from pipeline.settings.load import instance_ordinal, load
from pipeline.settings.masked import masked
from pipeline.settings.policy import (
    BudgetProtection,
    ConversionProtection,
    CountriesProtection,
    DeniedProtection,
    LineTypesProtection,
    PolicySettings,
    PriceRule,
    PricesSettings,
    Protection,
    ProtectionsSettings,
    RouteRule,
    RoutesSettings,
    SenderRule,
    TemplateSettings,
    TenantSettings,
    VelocityProtection,
)
from pipeline.settings.providers import (
    KINDS,
    WEBHOOK_SECRETS,
    AnyProvider,
    BirdNames,
    BirdSettings,
    NeutrinoSettings,
    ProviderChannelSettings,
    ProviderSettings,
    SmtpSettings,
    TelesignSettings,
    ThunderSmsSettings,
    YCloudSettings,
)
from pipeline.settings.root import Settings

__all__ = [
    "KINDS",
    "LONGEST_API_KEY",
    "WEBHOOK_SECRETS",
    "AnyProvider",
    "ApiKeySettings",
    "BirdNames",
    "BirdSettings",
    "BudgetProtection",
    "ChannelName",
    "ConversionProtection",
    "CountriesProtection",
    "CountryCode",
    "DeniedProtection",
    "Finding",
    "GatewaySettings",
    "KafkaSettings",
    "KeysSettings",
    "LineTypesProtection",
    "LoggingSettings",
    "MetricsSettings",
    "NeutrinoSettings",
    "PolicySettings",
    "PriceRule",
    "PricesSettings",
    "Protection",
    "ProtectionsSettings",
    "ProviderChannelSettings",
    "ProviderSettings",
    "ReadModelSettings",
    "RecordsSettings",
    "RegistrySettings",
    "RouteRule",
    "RoutesSettings",
    "RuntimeSettings",
    "Section",
    "SenderRule",
    "Settings",
    "SimulatorSettings",
    "SmtpSettings",
    "TelesignSettings",
    "TemplateSettings",
    "TenantSettings",
    "ThunderSmsSettings",
    "TracingSettings",
    "VelocityProtection",
    "YCloudSettings",
    "instance_ordinal",
    "load",
    "masked",
]
