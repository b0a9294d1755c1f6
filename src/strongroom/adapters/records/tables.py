"""The catalog's tables. A change here comes with a migration in migrations/versions and a new REVISION."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0001"
"""The newest migration, which this code reads and writes."""

metadata = MetaData()

versions = Table(
    "versions",
    metadata,
    Column("model", String(160), primary_key=True),
    Column("family", String(63), nullable=False),
    Column("version", String(64), nullable=False),
    Column("owner", String(63), nullable=False),
    Column("format", String(32), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("key_uri", String(512), nullable=False),
    Column("publisher", String(63), nullable=False),
    Column("published_at", String(27), nullable=False),
    Column("log_index", BigInteger, nullable=False),
    Column("statement_digest", String(71), nullable=False),
    Column("dependencies", Text, nullable=False),
    UniqueConstraint("family", "version", name="one_row_a_version"),
    CheckConstraint("model = family || '@' || version", name="model_names_its_version"),
    CheckConstraint(
        "state IN ('quarantined', 'published', 'approved', 'retired', 'revoked')", name="state_is_known"
    ),
    CheckConstraint("size_bytes >= 0", name="size_is_not_negative"),
    CheckConstraint("log_index >= 0", name="log_index_is_not_negative"),
)

identities = Table(
    "identities",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("certificate_pem", Text, nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("revoked", Boolean, nullable=False),
    Column("log_index", BigInteger, nullable=False),
    CheckConstraint("log_index >= 0", name="identity_log_index_is_not_negative"),
)

head = Table(
    "log_head",
    metadata,
    Column("only", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    CheckConstraint('"only" = 1', name="one_head"),
    CheckConstraint("size >= 0", name="head_size_is_not_negative"),
    CheckConstraint("length(root) = 32", name="root_is_a_sha256"),
)
