"""The tables, as the migrations leave them; times are epoch milliseconds.

Ids are compared byte by byte (collation ``C`` on PostgreSQL): it is quicker, and the order of a list is the same on
every engine.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text
from sqlalchemy.types import TypeEngine

METADATA: Final = MetaData()


def key() -> TypeEngine[str]:
    """A text that rows are found or ordered by."""
    return Text().with_variant(Text(collation="C"), "postgresql")


class Folded(NamedTuple):
    """The tables that the projector fills, and that a rebuild makes anew."""

    verifications: Table
    deliveries: Table
    positions: Table


def folded(metadata: MetaData, *, suffix: str = "", index_suffix: str = "") -> Folded:
    """These tables by their names with ``suffix``; names of indexes are unique in a database."""
    verifications = Table(
        f"verifications{suffix}",
        metadata,
        Column("id", key(), primary_key=True),
        Column("tenant", key(), nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("state", key(), nullable=False),
        Column("is_final", Boolean(create_constraint=False), nullable=False),
        Column("external_id", key()),
        Column("job_id", key()),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("view", LargeBinary, nullable=False),
    )
    listed = verifications.c
    order = (listed.created_at, listed.id)
    # One for each filter, ending in the order of the list: a page is one range of its index.
    Index(f"ix_verifications_created{index_suffix}", listed.tenant, *order)
    Index(f"ix_verifications_state{index_suffix}", listed.tenant, listed.state, *order)
    for name in ("external_id", "job_id"):
        some = listed[name].is_not(None)
        Index(
            f"ix_verifications_{name}{index_suffix}",
            listed.tenant,
            listed[name],
            *order,
            postgresql_where=some,
            sqlite_where=some,
        )
    started = listed.version == text("0")
    Index(f"ix_verifications_started{index_suffix}", listed.created_at, postgresql_where=started, sqlite_where=started)
    deliveries = Table(
        f"deliveries{suffix}",
        metadata,
        Column("verification_id", key(), primary_key=True),
        Column("attempt_id", key(), primary_key=True),
        Column("provider", key(), primary_key=True),
        # Empty where the report named none; two messages can have all the rest alike.
        Column("reference", key(), primary_key=True),
        Column("status", Text, nullable=False),
        Column("rank", Integer, nullable=False),
        Column("reason", Text),
        Column("occurred_at", BigInteger, nullable=False),
        Column("recorded_at", BigInteger, nullable=False),
        Column("cost", Text),
        Column("currency", Text),
    )
    positions = Table(
        f"positions{suffix}",
        metadata,
        Column("topic", key(), primary_key=True),
        Column("partition", Integer, primary_key=True, autoincrement=False),
        Column("next_offset", BigInteger, nullable=False),
    )
    return Folded(verifications, deliveries, positions)


LIVE: Final = folded(METADATA)
"""What is asked."""
VERIFICATIONS: Final = LIVE.verifications
DELIVERIES: Final = LIVE.deliveries
POSITIONS: Final = LIVE.positions

EPOCHS: Final = Table(
    "epochs",
    METADATA,
    Column("name", key(), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)
"""One row, ``projection``: a rebuild raises it, and projectors begin anew at the positions they find."""

STARTS: Final = Table(
    "starts",
    METADATA,
    Column("id", key(), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)
"""What gateways published, for the id horizon."""

IDEMPOTENCY: Final = Table(
    "idempotency",
    METADATA,
    Column("key_hash", key(), primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("verification_id", Text),
    Column("status", Integer),
    Column("answer", LargeBinary),
    Column("created_at", BigInteger, nullable=False, index=True),
)
"""Idempotency-Keys; of a start ``verification_id`` is set and ``answer`` at once."""

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("name", key(), primary_key=True),
    Column("key_sha256", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
"""``scopes``: in order, between spaces."""
