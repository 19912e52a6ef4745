"""Neutrino, by the names of its console."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from pipeline.settings.credentials import Credential
from pipeline.settings.providers.common import ProviderSettings


class NeutrinoSettings(ProviderSettings):
    """Neutrino: sms, voice; it reports no delivery."""

    kind: Literal["neutrino"] = "neutrino"
    """Which provider it is."""
    max_concurrency: int = Field(10, ge=1, le=10_000)
    """Calls of one process that may run at the same time; Neutrino takes ten."""
    rate_per_s: float = Field(2.0, gt=0)
    """Calls per second of this credential, over all processes; the default is what Neutrino publishes for the check."""
    channels: list[Literal["sms", "voice"]] = []
    """Channels to use; empty means all that the provider offers."""
    requires_receipts: bool = False
    """Neutrino sends none."""
    unsent_is_certain: bool = True
    """Whether an answer that says a message was not sent is believed, so that another provider may send at once. What
    it means is not documented further; off, the message is in doubt and its step waits out its time."""
    user_id: Credential = SecretStr("")
    """User id of the account."""
    api_key: Credential = SecretStr("")
    """API key of the user."""
