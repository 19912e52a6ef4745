"""Verifications, deliveries and positions; starts and Idempotency-Keys; API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _key() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "verifications",
        sa.Column("id", _key(), primary_key=True),
        sa.Column("tenant", _key(), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", _key(), nullable=False),
        sa.Column("is_final", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("external_id", _key()),
        sa.Column("job_id", _key()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("view", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_verifications_created", "verifications", ["tenant", "created_at", "id"])
    op.create_index("ix_verifications_state", "verifications", ["tenant", "state", "created_at", "id"])
    for name in ("external_id", "job_id"):
        some = sa.text(f"{name} IS NOT NULL")
        op.create_index(
            f"ix_verifications_{name}",
            "verifications",
            ["tenant", name, "created_at", "id"],
            postgresql_where=some,
            sqlite_where=some,
        )
    started = sa.text("version = 0")
    op.create_index(
        "ix_verifications_started", "verifications", ["created_at"], postgresql_where=started, sqlite_where=started
    )
    op.create_table(
        "deliveries",
        sa.Column("verification_id", _key(), primary_key=True),
        sa.Column("attempt_id", _key(), primary_key=True),
        sa.Column("provider", _key(), primary_key=True),
        sa.Column("reference", _key(), primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("cost", sa.Text),
        sa.Column("currency", sa.Text),
    )
    op.create_table(
        "positions",
        sa.Column("topic", _key(), primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
    epochs = op.create_table(
        "epochs",
        sa.Column("name", _key(), primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(epochs, [{"name": "projection", "epoch": 1}])
    op.create_table(
        "starts",
        sa.Column("id", _key(), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_starts_created_at", "starts", ["created_at"])
    op.create_table(
        "idempotency",
        sa.Column("key_hash", _key(), primary_key=True),
        sa.Column("body_hash", sa.Text, nullable=False),
        sa.Column("verification_id", sa.Text),
        sa.Column("status", sa.Integer),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "api_keys",
        sa.Column("name", _key(), primary_key=True),
        sa.Column("key_sha256", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
    )


def downgrade() -> None:
    """Remove everything."""
    for name in ("api_keys", "idempotency", "starts", "epochs", "positions", "deliveries", "verifications"):
        op.drop_table(name)
