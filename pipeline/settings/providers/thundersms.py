"""ThunderSMS, by the names of its portal, and what its documentation leaves open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from pipeline.settings.base import Section, Url, shaped
from pipeline.settings.credentials import Credential, Password
from pipeline.settings.providers.common import Secrets, SigningProviderSettings, is_loopback

_Shown = Annotated[
    str, shaped(r"(?! )[^\x00-\x1f\x7f]{1,255}(?<! )", "one line, not empty, without spaces at its ends")
]


class ProviderChannelSettings(Section):
    """Account data of one channel at one provider."""

    sender: _Shown | None = Field(None, alias="from")
    """Sender id registered for the channel."""
    flow_id: _Shown | None = None
    """Voice flow."""


class ThunderSmsSettings(SigningProviderSettings):
    """ThunderSMS: whatsapp, sms, voice, viber."""

    kind: Literal["thundersms"] = "thundersms"
    """Which provider it is."""
    base_url: Url = ""
    """Another address of its API, such as the simulator's; empty means the portal by https, although only plain http
    is documented, with which the token would travel in clear."""
    allow_plain_http: bool = False
    """Whether ``base_url`` may be an ``http://`` address of another machine. Loopback addresses need no permission,
    as nothing leaves the machine."""
    channels: dict[Literal["whatsapp", "sms", "voice", "viber"], ProviderChannelSettings] = {}
    """Channel → its account data. Once one is named, only those named are used; with none, all are, without any data.
    Voice needs a ``flow_id``, here or in each step."""
    max_concurrency: int = Field(20, ge=1, le=10_000)
    """Calls of one process at the same time; ThunderSMS publishes no limit."""
    rate_per_s: float = Field(10.0, gt=0)
    """Calls per second of this credential, over all processes; 1000 GET requests a minute are published, nothing for
    sending."""
    requires_receipts: bool = False
    """Whether delivery reports are set up, so that a missing one means not delivered. That verification messages raise
    any is not documented; without them the status is asked for."""
    access_token: Credential = SecretStr("")
    """Bearer token."""
    webhook_secret: Secrets = []
    """Comes as the bearer token of webhooks; without it they are refused. Several are accepted while rotating."""
    webhook_id: Secrets = []
    """Ids of the webhooks, with which WhatsApp and Viber webhooks can be signed. When given, those must have a right
    ``Signature``; how it is made is not documented, and taken to be hex HMAC-SHA256 over the body."""
    webhook_validation_key: Password = SecretStr("")
    """Given when creating a webhook; when set here, only a first request with it is answered."""
    walk_channels: bool = False
    """Whether ThunderSMS goes on to a plan's further channels by itself. What ends its walk is not documented; without
    it every step is a call of ours, with its policy, metrics and failover."""
    own_texts: bool = True
    """Whether our texts go along. ThunderSMS uses them only while the account's verify configuration names no message;
    where it does, set this to false, so that no step's text is dropped silently."""
    foreign_id_place: Literal["payload", "request", "channels"] = "payload"
    """Where our reference goes: ``payload.foreign_id``, ``foreign_id`` of the whole request, or each channel's
    ``meta.foreign_id``; which of them is read is not documented."""

    def lacks(self) -> Iterator[tuple[str, str]]:
        """A secure way, as the token goes with every request; a secret where webhooks are expected."""
        address = urlsplit(self.base_url)
        if address.scheme == "http" and not self.allow_plain_http and not is_loopback(address.hostname or ""):
            yield (
                "base_url",
                "the access token would travel in clear; write https://, or set allow_plain_http = true",
            )
        for name, channel in self.channels.items():
            if channel.flow_id is not None and name != "voice":
                yield f"channels.{name}.flow_id", "only calls have a flow; set it below channels.voice, or remove it"
        ids, key = self.webhook_id, self.webhook_validation_key.get_secret_value()
        if (ids or key) and not self.webhook_secret:
            yield "webhook_secret", f"without it every webhook is refused; set it, or remove {_either(ids, key)}"


def _either(ids: object, key: object) -> str:
    return " and ".join(name for name, given in (("webhook_id", ids), ("webhook_validation_key", key)) if given)
