"""The providers: common fields, and the credentials of each kind by the names its own console uses."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, SecretStr, Tag, field_validator

from pipeline.settings.base import Section, Url
from pipeline.settings.credentials import Credential, Password, SigningSecret

Secrets = list[SigningSecret]
"""One secret, or several while it is being rotated: each of them is accepted."""

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

    @field_validator("webhook_secret", "signing_key", "webhook_id", mode="before", check_fields=False)
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
    """Telesign SMS Verify, Voice Verify and Smart Verify: sms, voice."""

    kind: Literal["telesign"] = "telesign"
    """Which provider it is."""
    channels: list[Literal["sms", "voice"]] = []
    """Channels to use; empty means all that the provider offers."""
    rate_per_s: float = Field(50.0, gt=0)
    """Calls per second of this credential, over all processes; the default is Telesign's for full-service accounts,
    self-service ones have 1."""
    customer_id: Credential = SecretStr("")
    """Customer id, 36 characters."""
    api_key: Credential = SecretStr("")
    """API key, Base64; also signs the callbacks."""
    auth: Literal["basic", "digest"] = "digest"
    """``digest`` signs each request (HMAC-SHA256), ``basic`` sends the key."""
    own_texts: bool = False
    """Send our texts also where Telesign's own wording would do; a text, brand or payment of a request always takes
    ours."""
    max_text_chars: int = Field(160, ge=1, le=1_600)
    """Longest SMS text of ours; Telesign raises its 160 to 1600 on request."""
    report_success: bool = True
    """Tell Telesign when a person entered our code rightly, which it recommends strongly."""
    smart_verify: bool = False
    """Hand automatic SMS-then-voice plans to Smart Verify as a whole. Such a message takes no sender and no option but
    ``ignore_risk``; without ``smart_own_code`` Telesign makes its code."""
    smart_own_code: bool = False
    """Give Smart Verify a code of ours, of 5 digits. Telesign's SDK sends one, its current page lists none."""
    smart_preference: bool = False
    """Tell Smart Verify the preferred channel, as ``sms`` or ``call``; Telesign's page and its SDK name the values
    differently."""

    @field_validator("customer_id")
    @classmethod
    def _no_colon(cls, value: SecretStr) -> SecretStr:
        if ":" in value.get_secret_value():
            raise ValueError("holds a colon, which ends it in a header; copy it anew, without the key")
        return value

    @field_validator("api_key")
    @classmethod
    def _base64(cls, value: SecretStr) -> SecretStr:
        try:
            # Leniently, as Telesign's own SDK: what is no letter of the alphabet is passed over.
            decoded = base64.b64decode(value.get_secret_value())
        except ValueError:
            decoded = b""
        if value.get_secret_value() and not decoded:
            raise ValueError("is no Base64; copy it anew, with the = at its end")
        return value


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
    base_url: Url = ""
    """Another address of its API, such as the simulator's; empty means the portal by https, although only plain http
    is documented, with which the token would travel in clear."""
    allow_plain_http: bool = False
    """Whether ``base_url`` may be an ``http://`` address of another machine. Loopback addresses need no permission,
    as nothing leaves the machine."""
    channels: dict[Literal["whatsapp", "sms", "voice", "viber"], ProviderChannelSettings] = {}
    """Channel → its account data; empty means all channels without any. Voice needs a ``flow_id``, here or in each
    step."""
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
