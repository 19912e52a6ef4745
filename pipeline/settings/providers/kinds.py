"""Which kinds of provider there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Discriminator, Tag

from pipeline.settings.providers.bird import BirdSettings
from pipeline.settings.providers.common import ProviderSettings
from pipeline.settings.providers.neutrino import NeutrinoSettings
from pipeline.settings.providers.smtp import SmtpSettings
from pipeline.settings.providers.telesign import TelesignSettings
from pipeline.settings.providers.thundersms import ThunderSmsSettings
from pipeline.settings.providers.ycloud import YCloudSettings

KINDS: Final[Mapping[str, type[ProviderSettings]]] = {
    "ycloud": YCloudSettings,
    "telesign": TelesignSettings,
    "bird": BirdSettings,
    "neutrino": NeutrinoSettings,
    "thundersms": ThunderSmsSettings,
    "smtp": SmtpSettings,
}
"""Every kind of provider by its name."""


def _kind(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return str(kind) if kind else None


AnyProvider = Annotated[
    Annotated[YCloudSettings, Tag("ycloud")]
    | Annotated[TelesignSettings, Tag("telesign")]
    | Annotated[BirdSettings, Tag("bird")]
    | Annotated[NeutrinoSettings, Tag("neutrino")]
    | Annotated[ThunderSmsSettings, Tag("thundersms")]
    | Annotated[SmtpSettings, Tag("smtp")],
    Discriminator(_kind),
]
"""One configured provider, its class chosen by ``kind``."""
