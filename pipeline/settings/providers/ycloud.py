"""YCloud, by the names of its console."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from pipeline.settings.credentials import Credential
from pipeline.settings.providers.common import Secrets, SigningProviderSettings


class YCloudSettings(SigningProviderSettings):
    """YCloud: sms, voice, whatsapp, email."""

    kind: Literal["ycloud"] = "ycloud"
    """Which provider it is."""
    rate_per_s: float = Field(2.77, gt=0)
    """Calls per second of this credential, over all processes; the default is the account's quota of 10 000 an hour,
    as YCloud publishes no limit for Verify."""
    channels: list[Literal["sms", "voice", "whatsapp", "email"]] = []
    """Channels to use; empty means all that the provider offers."""
    api_key: Credential = SecretStr("")
    """Sent as ``X-API-Key``."""
    webhook_secret: Secrets = []
    """Of the webhook endpoint; without it receipts are refused. Several are accepted while rotating."""
    whatsapp_falls_back: bool = False
    """Whether the account's console sends an SMS where a WhatsApp message fails. Then its failing is no end, and the
    next step waits its time, or the person would get our SMS beside YCloud's own."""
    report_success: bool = True
    """Whether to tell YCloud of each success, as it asks for; else its own success rates know nothing of our codes."""
