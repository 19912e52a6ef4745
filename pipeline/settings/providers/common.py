"""What all providers have, whatever their kind."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import Field, SecretStr, field_validator

from pipeline.settings.base import Section, Url
from pipeline.settings.credentials import SigningSecret

Secrets = list[SigningSecret]
"""One secret, or several while it is being rotated: each of them is accepted."""
WEBHOOK_SECRETS: Final = ("webhook_secret", "signing_key")
"""What a kind calls the field that its webhooks are signed with, in the words of its own console."""

DRAIN_S: Final = 5.0
"""Added to a call's timeout wherever its end is awaited, so that its result is committed too."""


def is_loopback(host: str) -> bool:
    """Whether nothing sent to this host leaves the machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ProviderSettings(Section):
    """What every provider has; ``kind`` (default: the section's name) lets one provider be configured twice."""

    enabled: bool = False
    """Whether routes may use it."""
    kind: str = ""
    """Which provider it is."""
    base_url: Url = ""
    """Another address of its API, such as the simulator's; empty means the provider's own."""
    channels: Sequence[str] | Mapping[Any, Any] = ()
    """Channels to use; empty means all that the provider offers."""
    max_concurrency: int = Field(50, ge=1, le=10_000)
    """Calls of one process at the same time; until it is set, what is safe for the kind."""
    rate_per_s: float = Field(100.0, gt=0)
    """Calls per second of this credential over all processes; until it is set, what is safe for the kind."""
    timeout_s: float = Field(10.0, gt=0, le=30)
    """How long one call may take; ``runtime.shutdown_s`` must be 5 s more."""
    connect_timeout_s: float = Field(3.0, gt=0, le=30)
    """How long connecting may take."""
    requires_receipts: bool = True
    """Whether delivery reports are set up, so that a missing one means not delivered."""

    @property
    def used_channels(self) -> Collection[str]:
        """The channels to use; empty means all that the provider offers."""
        return tuple(self.channels)

    def lacks(self) -> Iterator[tuple[str, str]]:
        """What an enabled account of this kind needs beyond its credentials: a setting, and what to do about it."""
        return iter(())

    def idle(self, shortest_code: int) -> Iterator[tuple[str, str]]:
        """Settings that nothing can ever use where no tenant takes codes shorter than this, and what to do about it."""
        return iter(())

    def cannot_reach(self, public_url: str) -> str | None:
        """Why this provider's webhooks never arrive at the gateway's address, and what to do about it."""
        return None


class SigningProviderSettings(ProviderSettings):
    """A provider that signs its webhooks."""

    @field_validator(*WEBHOOK_SECRETS, "webhook_id", mode="before", check_fields=False)
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        # Variables and secret files hold one text: lines or commas separate several secrets.
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if not isinstance(value, str):
            return value
        if value.lstrip()[:1] in ("[", "{"):
            raise ValueError('begins like a list and is none; write ["one", "two"], or one, two')
        parts = [part for line in value.splitlines() for part in map(str.strip, line.split(",")) if part]
        if value and not parts:
            raise ValueError("is blank; give the secret, or remove it")
        return parts
