"""Where processes listen and what they tell: gateway, read model, metrics, simulator, logs, traces."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr

from pipeline.settings.base import CountryCode, Host, Name, Section, Url, shaped
from pipeline.settings.credentials import Credential

LONGEST_API_KEY: Final = 256
"""Characters; what is longer is refused before it is hashed."""


class ApiKeySettings(Section):
    """One key of the gateway's API."""

    key_sha256: Annotated[str, shaped(r"[0-9a-f]{64}", "64 hex digits in lower case")] | None = None
    """SHA-256 of the key, hex."""
    key: Annotated[Credential, Field(min_length=1, max_length=LONGEST_API_KEY)] | None = None
    """The key in clear, for development."""
    tenant: str = "default"
    """Whose verifications it starts and sees."""
    scopes: list[Literal["start", "check", "read", "manage"]] = ["start", "check", "read"]
    """What it may do."""
    rate_per_s: float | None = Field(None, gt=0)
    """Requests per second; else ``gateway.rate_per_s``."""


class GatewaySettings(Section):
    """The HTTP edge."""

    host: Host = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65_535)
    """Port; 0 picks a free one."""
    public_url: Url = ""
    """How providers reach the gateway (scheme, host, perhaps a path before ``/v1``): told to those that take an address
    with each message, and part of what some of them sign; empty takes what a webhook was sent to."""
    max_body_bytes: int = Field(65_536, ge=1_024)
    """Larger requests are refused with 413."""
    webhook_max_age_s: int = Field(300, ge=1)
    """Webhooks signed longer ago are refused, where a signature tells when; 300 is what YCloud's own kit takes."""
    produce_timeout_s: float = Field(5.0, gt=0)
    """How long Kafka may take before the caller is told 503."""
    reply_timeout_s: float = Field(5.0, gt=0, le=60)
    """How long the tracker may take to answer a check or command before the caller is told 504."""
    max_waiting: int = Field(5_000, ge=1)
    """Requests of one gateway that may wait for Kafka, for the database, or for a reply, each; more are told 503."""
    idempotency_s: int = Field(86_400, ge=60)
    """How long an ``Idempotency-Key`` gets the same answer."""
    rate_per_s: float = Field(10_000, gt=0)
    """Requests per second that one API key may make at one gateway; up to one second's worth at once."""
    keys_refresh_s: float = Field(5.0, gt=0, le=300)
    """How soon a key made or revoked with ``pipeline api-keys`` is known to a running gateway."""
    keys_keep_s: float = Field(3_600.0, gt=0)
    """How long keys of ``pipeline api-keys`` are still taken while the database does not answer; then 503."""
    body_timeout_s: float = Field(10.0, gt=0, le=300)
    """How long a caller may take to send the head of a request, and then its body; then 408."""
    unready_after_s: float = Field(15.0, gt=0, le=86_400)
    """How long Kafka may answer nothing before ``/readyz`` says 503; requests that come all the same are answered."""
    docs: bool = True
    """Whether ``/openapi.json`` and its page ``/docs`` are served."""
    api_keys: dict[Name, ApiKeySettings] = {}
    """Keys of the API by name, beside those of ``pipeline api-keys new``, which are kept in the database."""


class ReadModelSettings(Section):
    """The database that lists and looks up verifications; it can be rebuilt from the log."""

    url: SecretStr = SecretStr("sqlite:///data/readmodel.sqlite")
    """SQLAlchemy address: ``sqlite:///FILE``; for more than one machine ``postgresql://USER:PASSWORD@HOST/DATABASE``."""
    pool_size: int = Field(5, ge=1, le=100)
    """Connections of one process to PostgreSQL."""
    timeout_s: float = Field(5.0, gt=0, le=60)
    """How long the database may take for one statement, or to be connected to."""
    migrate: bool = True
    """Whether gateway and projector update the tables at their start; else use ``pipeline readmodel migrate``."""
    batch: int = Field(1_000, ge=1, le=10_000)
    """Most records that the projector folds in one database transaction."""


class MetricsSettings(Section):
    """Where ``/metrics``, ``/healthz`` and ``/readyz`` of a stage process are served; port 0 picks a free one."""

    host: Host = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(9400, ge=0, le=65_535)
    """Port; each process of one machine needs its own, also beside ``gateway.port`` and ``simulator.port``."""
    countries: list[CountryCode] = []
    """Countries with a label value of their own; empty means the most used ones; others are ``other``."""


class SimulatorSettings(Section):
    """The provider simulator."""

    host: Host = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8090, ge=0, le=65_535)
    """Port of all providers' APIs and the inbox; 0 picks a free one."""
    smtp_port: int = Field(8025, ge=0, le=65_535)
    """Port that takes mail; 0 picks a free one."""
    webhook_url: Url = ""
    """Gateway to which receipts are sent, such as ``http://127.0.0.1:8080/v1/webhooks``."""
    time_factor: float = Field(1.0, gt=0, le=100_000)
    """Divides the providers' retry schedules for receipts (60: a minute becomes a second)."""
    keep_messages: int = Field(100_000, ge=1)
    """Messages, verifications and codes that are remembered, the newest."""
    keep_calls: int = Field(100_000, ge=1)
    """Requests and deliveries that are listed, the newest."""
    max_pending_events: int = Field(50_000, ge=1)
    """Receipts waiting to be sent or sent again; more are dropped and counted."""
    seed: int = 1
    """Of generated codes and ids."""


class LoggingSettings(Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important events to write."""
    format: Literal["auto", "json", "console"] = "auto"
    """``auto`` is console on a terminal and JSON elsewhere."""


class TracingSettings(Section):
    """Trace context is always carried; exporting is an extra."""

    enabled: bool = False
    """Whether to export spans; not in this version, which refuses it."""
