"""The first catalog: versions, identities and the log's head."""

import sqlalchemy as sa
from alembic import op

from strongroom.errors import InvalidError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "versions",
        sa.Column("model", sa.String(160), primary_key=True),
        sa.Column("family", sa.String(63), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("key_uri", sa.String(512), nullable=False),
        sa.Column("publisher", sa.String(63), nullable=False),
        sa.Column("published_at", sa.String(27), nullable=False),
        sa.Column("log_index", sa.BigInteger, nullable=False),
        sa.Column("statement_digest", sa.String(71), nullable=False),
        sa.Column("dependencies", sa.Text, nullable=False),
        sa.UniqueConstraint("family", "version", name="one_row_a_version"),
        sa.CheckConstraint("model = family || '@' || version", name="model_names_its_version"),
        sa.CheckConstraint(
            "state IN ('quarantined', 'published', 'approved', 'retired', 'revoked')", name="state_is_known"
        ),
        sa.CheckConstraint("size_bytes >= 0", name="size_is_not_negative"),
        sa.CheckConstraint("log_index >= 0", name="log_index_is_not_negative"),
    )
    op.create_table(
        "identities",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("certificate_pem", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(27), nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("log_index", sa.BigInteger, nullable=False),
        sa.CheckConstraint("log_index >= 0", name="identity_log_index_is_not_negative"),
    )
    op.create_table(
        "log_head",
        sa.Column("only", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.CheckConstraint('"only" = 1', name="one_head"),
        sa.CheckConstraint("size >= 0", name="head_size_is_not_negative"),
        sa.CheckConstraint("length(root) = 32", name="root_is_a_sha256"),
    )


def downgrade() -> None:
    """Nothing older knows this catalog; it is rebuilt from the log instead."""
    raise InvalidError("catalog: has no earlier version", hint="delete it; it is rebuilt from the log")
