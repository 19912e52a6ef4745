"""The providers: common fields, and the credentials of each kind by the names its own console uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, SecretStr, Tag, field_validator

from pipeline.settings.base import Section, Url
from pipeline.settings.credentials import Credential, Password, SigningSecret

Secrets = list[SigningSecret]
"""One secret, or several while it is being rotated: each of them is accepted."""
WEBHOOK_SECRETS: Final = ("webhook_secret", "signing_key")
"""What a kind calls the field that its webhooks are signed with, in the words of its own console."""

DRAIN_S: Final = 5.0
"""Added to a call's timeout wherever its end is awaited, so that its result is committed too."""


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


class _WithSecrets(ProviderSettings):
    """A provider that signs its webhooks."""

    @field_validator(*WEBHOOK_SECRETS, mode="before", check_fields=False)
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


class YCloudSettings(_WithSecrets):
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
    report_success: bool = True
    """Whether to tell YCloud of each success, as it asks for; else its own success rates know nothing of our codes."""


class TelesignSettings(ProviderSettings):
    """Telesign Smart Verify: sms, voice."""

    kind: Literal["telesign"] = "telesign"
    """Which provider it is."""
    channels: list[Literal["sms", "voice"]] = []
    """Channels to use; empty means all that the provider offers."""
    customer_id: Credential = SecretStr("")
    """Customer id, 36 characters."""
    api_key: Credential = SecretStr("")
    """API key, Base64; also signs the callbacks."""
    auth: Literal["basic", "digest"] = "digest"
    """``digest`` signs each request (HMAC-SHA256), ``basic`` sends the key."""


class BirdSettings(_WithSecrets):
    """Bird Verify: sms, email, whatsapp."""

    kind: Literal["bird"] = "bird"
    """Which provider it is."""
    channels: dict[Literal["sms", "email", "whatsapp"], str] = {}
    """Channel → channel id in the workspace."""
    workspace_id: Credential = SecretStr("")
    """The workspace."""
    access_key: Credential = SecretStr("")
    """Access key with the verify role."""
    signing_key: Secrets = []
    """Of the webhook subscription; without it receipts are refused. Several are accepted while rotating."""
    navigator_id: str = ""
    """Navigator that picks the channel; empty uses ``channels``."""


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
    user_id: Credential = SecretStr("")
    """User id of the account."""
    api_key: Credential = SecretStr("")
    """API key of the user."""


class ProviderChannelSettings(Section):
    """Account data of one channel at one provider."""

    sender: str | None = Field(None, alias="from")
    """Sender id registered for the channel."""
    flow_id: str | None = None
    """Voice flow."""


class ThunderSmsSettings(_WithSecrets):
    """ThunderSMS: whatsapp, sms, voice, viber."""

    kind: Literal["thundersms"] = "thundersms"
    """Which provider it is."""
    channels: dict[Literal["whatsapp", "sms", "voice", "viber"], ProviderChannelSettings] = {}
    """Channel → its account data; empty means all channels without any."""
    access_token: Credential = SecretStr("")
    """Bearer token."""
    webhook_secret: Secrets = []
    """Signs the callbacks; without it they are refused. Several are accepted while rotating."""


class SmtpSettings(ProviderSettings):
    """E-mail by plain SMTP."""

    kind: Literal["smtp"] = "smtp"
    """Which provider it is."""
    channels: list[Literal["email"]] = []
    """Channels to use; it offers email only."""
    requires_receipts: bool = False
    """SMTP sends none."""
    host: str = ""
    """Mail server."""
    port: int = Field(587, ge=1, le=65_535)
    """Its port."""
    username: str = ""
    """User, where the server wants one."""
    password: Password = SecretStr("")
    """Password of the user."""
    from_address: str = ""
    """Sender of the messages."""
    starttls: bool = True
    """Refuse to go on without encryption."""


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
