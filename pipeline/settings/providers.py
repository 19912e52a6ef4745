"""The providers: common fields, and the credentials of each kind by the names its own console uses."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, SecretStr, Tag, TypeAdapter, field_validator

from pipeline.settings.base import Section, Url, Uuid, shaped
from pipeline.settings.credentials import Credential, Password, SigningSecret
from pipeline.settings.mail import HelloName, MailAddress, MailHost, MailName

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


class _WithSecrets(ProviderSettings):
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


BirdChannel = Literal["sms", "email", "whatsapp"]
_ItemPath = Annotated[
    str, shaped(r"(?:/[A-Za-z0-9._/-]*\{id\}[A-Za-z0-9._/-]*)?", 'a path that holds {id}, such as "/verify/{id}"')
]
_ListPath = Annotated[str, shaped(r"(?:/[A-Za-z0-9._/-]+)?", 'a path, such as "/verify"')]
_FieldName = Annotated[str, shaped(r"[A-Za-z][A-Za-z0-9_.-]{0,39}", "the name of a field, such as pageToken")]


class BirdTemplateSettings(Section):
    """A template of the workspace, by the ids of its studio."""

    project_id: Uuid = Field(min_length=1)
    """The template's project."""
    version: Uuid = Field(min_length=1)
    """Its published version."""
    locale: str | None = Field(None, min_length=2, max_length=35)
    """The one language it is written in; without it each message asks for the wished one."""


class BirdNames(Section):
    """Names of fields that Bird's documentation leaves open; only the requests switched on by a path use them."""

    limit: _FieldName = "limit"
    """Query of the list: how many."""
    start: _FieldName = "startAt"
    """Query of the list: created at or after, RFC 3339."""
    end: _FieldName = "endAt"
    """Query of the list: created at or before, RFC 3339."""
    items: _FieldName = "results"
    """Answer of the list: the verifications."""
    next_page: _FieldName = "nextPageToken"
    """Answer of the list: set while there are more."""
    created: _FieldName = "createdAt"
    """When a verification was created."""
    step: _FieldName = "stepIndex"
    """Body of the resend: which step."""


class BirdSettings(_WithSecrets):
    """Bird Verify: sms, email, whatsapp; Bird makes and checks the code.

    Requests whose path is not documented for certain are off until their path is set; paths begin below
    ``/workspaces/<workspace_id>``.
    """

    kind: Literal["bird"] = "bird"
    """Which provider it is."""
    rate_per_s: float = Field(10.0, gt=0)
    """Calls per second of this credential, over all processes; a careful one, as Bird publishes no limit."""
    channels: dict[BirdChannel, Uuid] = {}
    """Channel → channel id in the workspace; only the channels named here are used."""
    workspace_id: Credential = SecretStr("")
    """The workspace, a UUID (not the ``ws_…`` id of Bird's new platform)."""
    access_key: Credential = SecretStr("")
    """Access key with the verify role."""
    signing_key: Secrets = []
    """Of the webhook subscription; without it receipts are refused. Several are accepted while rotating."""
    navigator_id: Uuid = ""
    """Navigator that picks the SMS channel by country, used instead of ``channels.sms``."""
    templates: dict[BirdChannel, BirdTemplateSettings] = {}
    """Channel → its template; WhatsApp needs one."""
    max_attempts: int = Field(10, ge=1, le=10)
    """Wrong codes that Bird takes for one message; ``max_checks`` of the request is counted by us."""
    get_path: _ItemPath = ""
    """Request for one verification, for look-ups: probably ``/verify/{id}``; empty: off."""
    list_path: _ListPath = ""
    """Request for the list of verifications, to find one whose answer was lost and to probe the credentials:
    probably ``/verify``; empty: off."""
    list_limit: int = Field(25, ge=1, le=1_000)
    """How many verifications to ask a list for; Bird's default, its maximum is not published."""
    resend_path: _ItemPath = ""
    """Request to send a step again: probably ``/verify/{id}/resend``; empty: a resend is a new verification."""
    names: BirdNames = BirdNames()
    """Names of fields that the documentation leaves open."""

    @field_validator("workspace_id")
    @classmethod
    def _is_a_uuid(cls, value: SecretStr) -> SecretStr:
        TypeAdapter(Uuid).validate_python(value.get_secret_value())
        return value

    @property
    def used_channels(self) -> Collection[str]:
        """Those with a channel id, and sms with a navigator."""
        by_navigator = {"sms": self.navigator_id}
        return tuple(name for name in get_args(BirdChannel) if self.channels.get(name) or by_navigator.get(name))

    def lacks(self) -> Iterator[tuple[str, str]]:
        """A channel; for WhatsApp its template."""
        if not self.used_channels:
            yield "channels", "no channel is set; set navigator_id or channels.sms, channels.email, channels.whatsapp"
        if "whatsapp" in self.used_channels and "whatsapp" not in self.templates:
            yield (
                "templates.whatsapp",
                "Bird sends WhatsApp by template only; set its project_id and version, or remove channels.whatsapp",
            )


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

    def lacks(self) -> Iterator[tuple[str, str]]:
        """A secure way: the token goes with every request."""
        address = urlsplit(self.base_url)
        if address.scheme == "http" and not self.allow_plain_http and not is_loopback(address.hostname or ""):
            yield (
                "base_url",
                "the access token would travel in clear; write https://, or set allow_plain_http = true",
            )


class SmtpSettings(ProviderSettings):
    """E-mail by plain SMTP."""

    kind: Literal["smtp"] = "smtp"
    """Which provider it is."""
    max_concurrency: int = Field(5, ge=1, le=10_000)
    """Connections of one process to the mail server, each with one message at a time."""
    rate_per_s: float = Field(10.0, gt=0)
    """Messages per second of this account, over all processes; servers for submission commonly take this much."""
    channels: list[Literal["email"]] = []
    """Channels to use; it offers email only."""
    requires_receipts: bool = False
    """SMTP sends none."""
    host: MailHost = ""
    """Mail server."""
    port: int = Field(587, ge=1, le=65_535)
    """Its port; servers that encrypt from the first byte mostly have 465."""
    username: str = ""
    """User, where the server wants one."""
    password: Password = SecretStr("")
    """Password of the user."""
    from_address: MailAddress = ""
    """Sender of the messages; its domain is also that of the message ids."""
    from_name: MailName = ""
    """Name shown as the sender; empty shows the brand of the verification, or none."""
    tls: bool = False
    """Encrypt from the first byte; ``starttls`` then says nothing more."""
    starttls: bool = True
    """Encrypt before anything else is said, and refuse to go on without. Off with ``tls`` off too: nothing is
    encrypted, so codes and addresses can be read on the way; no password is sent so but to this machine."""
    helo_name: HelloName = ""
    """Name by which we introduce ourselves; empty uses the domain of ``from_address``."""

    def lacks(self) -> Iterator[tuple[str, str]]:
        """User and password together, and no way on which the password could be read."""
        if self.base_url:
            yield "base_url", "mail has no address of an API; remove it, and set host and port"
        if bool(self.username) != bool(self.password.get_secret_value()):
            yield (
                "username",
                "a user and a password belong together; set both, or neither for a server that asks for none",
            )
        if self.username and not (self.tls or self.starttls) and not is_loopback(self.host):
            yield (
                "starttls",
                "the password would cross the network in clear; set starttls = true, or tls = true for a server that "
                "encrypts from the first byte (port 465)",
            )


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
