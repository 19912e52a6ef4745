"""The providers: common fields, and the credentials of each kind by the names its own console uses."""

from __future__ import annotations

from pipeline.settings.providers.bird import BirdNames, BirdSettings
from pipeline.settings.providers.common import DRAIN_S, WEBHOOK_SECRETS, ProviderSettings
from pipeline.settings.providers.kinds import KINDS, AnyProvider
from pipeline.settings.providers.neutrino import NeutrinoSettings
from pipeline.settings.providers.smtp import SmtpSettings
from pipeline.settings.providers.telesign import TelesignSettings
from pipeline.settings.providers.thundersms import ProviderChannelSettings, ThunderSmsSettings
from pipeline.settings.providers.ycloud import YCloudSettings

__all__ = [
    "DRAIN_S",
    "KINDS",
    "WEBHOOK_SECRETS",
    "AnyProvider",
    "BirdNames",
    "BirdSettings",
    "NeutrinoSettings",
    "ProviderChannelSettings",
    "ProviderSettings",
    "SmtpSettings",
    "TelesignSettings",
    "ThunderSmsSettings",
    "YCloudSettings",
]
