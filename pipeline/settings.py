"""All settings, validated once at start; nothing else reads the environment.

One TOML file, every value also as ``PIPELINE_<SECTION>__<NAME>``, secrets also as files. Units are in the names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    """Base of every section: frozen, and a name nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class KafkaSettings(Section):
    """Where the log is."""

    bootstrap_servers: str = "127.0.0.1:9092"
    client_id: str = "pipeline"
    topic_prefix: str = ""
    """Prefixes topics, consumer groups, transactional ids and instance names."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    compression: Literal["none", "lz4", "zstd", "snappy"] = "lz4"
    request_timeout_ms: int = Field(10_000, ge=1_000, le=120_000)
    session_timeout_ms: int = Field(30_000, ge=6_000, le=300_000)
    rebalance_timeout_ms: int = Field(60_000, ge=10_000, le=300_000)
    connect_timeout_s: float = Field(20.0, gt=0, le=300)


class RuntimeSettings(Section):
    """How tasks batch, commit and give up."""

    commit_interval_ms: int = Field(50, ge=1, le=1_000)
    max_batch_records: int = Field(500, ge=1, le=10_000)
    """Records per transaction."""
    max_bulk_records: int = Field(100, ge=1, le=10_000)
    """Bulk records per transaction while interactive ones wait."""
    queue_high: int = Field(2_000, ge=10)
    """Queued records of one task and lane at which its partitions are paused."""
    queue_low: int = Field(500, ge=1)
    """... and at which they are resumed."""
    skipped_commit_s: float = Field(5.0, gt=0)
    """How long the offset of records that changed nothing may ride without a transaction."""
    transaction_timeout_ms: int = Field(5_000, ge=1_000, le=60_000)
    max_poison_run: int = Field(100, ge=1)
    """This many poison records in a row stop the stage: it is us."""
    max_poison_share: float = Field(0.5, gt=0, le=1)
    """... as does this share of the last thousand records."""
    stuck_after_s: float = Field(60.0, gt=0)
    """The watchdog ends the process when nothing moved for this long although there is lag."""
    shutdown_s: float = Field(25.0, gt=0)
    """One deadline for revoke and shutdown."""


class RecordsSettings(Section):
    """Schemas."""

    schemas_dir: Path | None = None
    """Folder of further writer schemas to accept."""
    write_version: int | None = None


class RegistrySettings(Section):
    """A schema registry with the Confluent API; without url, records are framed as Avro single objects."""

    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")


class KeysSettings(Section):
    """The key ring: a folder of key files (``pipeline keys new``)."""

    directory: Path = Path("keys")


class TenantSettings(Section):
    """What one tenant may do and gets by default."""

    code_length: int = Field(6, ge=4, le=12)
    min_code_length: int = Field(6, ge=4, le=12)
    max_expires_in_s: int = Field(600, ge=30, le=3_600)
    """Limit for phone channels; e-mail may always use 3600."""
    language: str = "en"
    brand: str | None = None
    signature: str | None = None
    domain: str | None = None
    """Web origin for the autofill line of texts."""


class PolicySettings(Section):
    """Rules that hold for every verification."""

    id_horizon_s: int = Field(172_800, ge=3_600)
    wait_s: int = Field(30, ge=5, le=900)
    no_receipt_wait_s: int = Field(90, ge=5, le=900)
    min_time_left_s: int = Field(15, ge=0, le=300)
    max_attempts_total: int = Field(6, ge=1, le=50)
    max_failures_per_recipient: int = Field(20, ge=1)
    """Wrong codes per recipient within ``failures_window_s`` over all verifications."""
    failures_window_s: int = Field(86_400, ge=60)
    repeat_window_s: int = Field(600, ge=1)
    """A repeated request for a recipient within this takes another route."""
    allow_provider_codes: bool = True
    final_state_s: int = Field(86_400, ge=60)
    """How long a final state stays for late receipts."""
    automatic: list[Literal["sms", "voice", "whatsapp", "viber", "email"]] = ["sms", "voice"]
    """Channels of an automatic plan for phone numbers, in order; e-mail addresses always use email."""


class RouteRule(Section):
    """One rule; the first whose matches all hold decides the order of providers."""

    tenant: str | None = None
    use_case: str | None = None
    country: str | None = None
    prefix: str | None = None
    channel: Literal["sms", "voice", "whatsapp", "viber", "email"] | None = None
    strategy: Literal["priority"] = "priority"
    providers: list[str]


class SenderRule(Section):
    """The sender id for a route."""

    provider: str | None = None
    channel: str | None = None
    country: str | None = None
    sender: str


class ProviderChannelSettings(Section):
    """Account data of one channel at one provider."""

    sender: str | None = Field(None, alias="from")
    flow_id: str | None = None


class ProviderSettings(Section):
    """One configured provider; ``kind`` (default: its own name) lets one provider be configured twice."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)
    enabled: bool = False
    kind: str = ""
    base_url: str = ""
    channels: list[str] | dict[str, object] = []
    max_concurrency: int = Field(50, ge=1, le=10_000)
    rate_per_s: float = Field(100.0, gt=0)
    timeout_s: float = Field(10.0, gt=0, le=30)
    connect_timeout_s: float = Field(3.0, gt=0, le=30)
    requires_receipts: bool = True


class RoutesSettings(Section):
    """``rules`` in order; providers not named by the rule that matches are not used by it."""

    rules: list[RouteRule] = []


class GatewaySettings(Section):
    """The HTTP edge."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    public_url: str = ""
    max_body_bytes: int = Field(65_536, ge=1_024)
    webhook_max_age_s: int = Field(300, ge=1)
    produce_timeout_s: float = Field(5.0, gt=0)


class MetricsSettings(Section):
    """Where ``/metrics``, ``/healthz`` and ``/readyz`` of a stage process are served; port 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = Field(9400, ge=0, le=65_535)
    countries: list[str] = []
    """Countries with a label value of their own; empty means the forty most used; others are ``other``."""


class SimulatorSettings(Section):
    """The provider simulator."""

    host: str = "127.0.0.1"
    port: int = Field(8090, ge=0, le=65_535)
    smtp_port: int = Field(8025, ge=0, le=65_535)
    webhook_url: str = ""
    """Gateway to which receipts are sent, such as ``http://127.0.0.1:8080/v1/webhooks``."""


class LoggingSettings(Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class TracingSettings(Section):
    """Trace context is always carried; exporting is an extra."""

    enabled: bool = False


class Settings(Section):
    """The whole configuration."""

    kafka: KafkaSettings = KafkaSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    records: RecordsSettings = RecordsSettings()
    registry: RegistrySettings = RegistrySettings()
    keys: KeysSettings = KeysSettings()
    tenants: dict[str, TenantSettings] = {"default": TenantSettings()}
    policy: PolicySettings = PolicySettings()
    routes: RoutesSettings = RoutesSettings()
    senders: list[SenderRule] = []
    test_numbers: list[str] = []
    """Recipients that only ever reach the provider named ``simulator`` and are marked ``test``."""
    providers: dict[str, ProviderSettings] = {}
    gateway: GatewaySettings = GatewaySettings()
    metrics: MetricsSettings = MetricsSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    instance: Annotated[int | None, Field(ge=0)] = None
    """Ordinal of this process in its stage (``--instance``, ``PIPELINE_INSTANCE``, else from the host name)."""
