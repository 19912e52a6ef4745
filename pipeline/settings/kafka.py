"""The log and what stands on it: connection, runtime, records, registry, keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from pipeline.settings.base import Section, Servers, shaped
from pipeline.settings.credentials import Password


class KafkaSettings(Section):
    """Where the log is."""

    bootstrap_servers: Servers = "127.0.0.1:9092"
    """Brokers to ask first, ``host:port`` with commas between them."""
    client_id: str = "pipeline"
    """How the broker's logs and quotas name us."""
    topic_prefix: Annotated[str, shaped(r"[A-Za-z0-9._-]{0,100}", "at most 100 of the letters, digits and . _ -")] = ""
    """Prefixes topics, consumer groups, transactional ids and instance names."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the broker."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How to log in, for the SASL protocols."""
    sasl_username: str = ""
    """User for SASL."""
    sasl_password: Password = SecretStr("")
    """Password for SASL."""
    ssl_cafile: Path | None = None
    """Certificates to trust; without it the system's."""
    ssl_certfile: Path | None = None
    """Our certificate, where the broker wants one."""
    ssl_keyfile: Path | None = None
    """Key of our certificate."""
    compression: Literal["none", "lz4", "zstd", "snappy"] = "lz4"
    """Compression of what we write."""
    request_timeout_ms: int = Field(10_000, ge=1_000, le=120_000)
    """How long one request may take."""
    session_timeout_ms: int = Field(30_000, ge=6_000, le=300_000)
    """A member not heard of for this long loses its partitions; a restart within it causes no rebalance."""
    rebalance_timeout_ms: int = Field(60_000, ge=10_000, le=300_000)
    """How long members may take to join a rebalance; must be 10 s more than ``runtime.shutdown_s``."""
    connect_timeout_s: float = Field(20.0, gt=0, le=300)
    """How long to wait for the first answer of a broker at start, also while it refuses connections because it starts
    itself; ``pipeline topics``, ``send``, ``check``, ``show`` and ``watch`` tell a refused one at once."""


class RuntimeSettings(Section):
    """How tasks batch, commit and give up."""

    commit_interval_ms: int = Field(50, ge=1, le=1_000)
    """A transaction is committed at the latest after this, sooner when idle."""
    max_batch_records: int = Field(500, ge=1, le=10_000)
    """Records per transaction."""
    max_bulk_records: int = Field(100, ge=1, le=10_000)
    """Bulk records per transaction while interactive ones wait."""
    queue_high: int = Field(2_000, ge=10)
    """Queued records of one task and lane at which its partitions are paused."""
    queue_low: int = Field(500, ge=1)
    """... and at which they are resumed."""
    decoded_entries: int = Field(5_000, ge=1, le=1_000_000)
    """State entries that each task keeps decoded, those used last; the others are kept as the changelog has them, a
    tenth of the size, and decoded when they are asked for."""
    skipped_commit_s: float = Field(5.0, gt=0)
    """How long the offset of records that changed nothing may ride without a transaction."""
    transaction_timeout_ms: int = Field(5_000, ge=1_000, le=60_000)
    """The broker aborts a transaction left open for this long."""
    max_poison_run: int = Field(100, ge=1)
    """This many poison records in a row stop the stage: it is us."""
    max_poison_share: float = Field(0.5, gt=0, le=1)
    """... as does this share of the last thousand records."""
    stuck_after_s: float = Field(60.0, ge=30)
    """The watchdog ends the process when nothing moved for this long although there is lag and the brokers answer. No
    less than the runtime itself gives brokers for an answer."""
    shutdown_s: float = Field(25.0, gt=0)
    """One deadline for revoke and shutdown. Running calls are awaited, so it must be 5 s more than the longest
    ``timeout_s`` of an enabled provider; a supervisor must wait longer before it kills."""


class RecordsSettings(Section):
    """Schemas."""

    schemas_dir: Path | None = None
    """Folder of further writer schemas to accept."""
    write_version: int | None = Field(None, ge=1)
    """Schema version to write while older readers still run; without it the newest released one."""


class RegistrySettings(Section):
    """A schema registry with the Confluent API; without url, records are framed as Avro single objects."""

    url: str = ""
    """Base address of the registry's API, without user and password; not in this version, which refuses it."""
    username: str = ""
    """User, where the registry wants one."""
    password: Password = SecretStr("")
    """Password of the user."""


class KeysSettings(Section):
    """The key ring: a folder of key files (``pipeline keys new``)."""

    directory: Path = Path("keys")
    """Folder with the key files; the same keys for all processes."""
