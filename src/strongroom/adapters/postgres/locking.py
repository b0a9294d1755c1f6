"""Locks that a transaction holds until it ends, however it ends."""

from hashlib import sha256

from sqlalchemy import Connection, text


def lock_table(connection: Connection, table: str) -> None:
    """Let no other writer in; readers go on.

    The first statement of its transaction: LOCK TABLE takes no snapshot, so that what is read after it is
    what the writer before us has left, in every isolation level.
    """
    connection.exec_driver_sql(f'LOCK TABLE "{table}" IN EXCLUSIVE MODE')


def lock_for_setup(connection: Connection, schema: str) -> None:
    """Of those who find no tables, one makes them."""
    key = advisory_key("setup", schema, "")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def advisory_key(purpose: str, schema: str, name: str) -> int:
    """The 64-bit number that PostgreSQL knows a lock by; two names of one number would only wait in vain."""
    digest = sha256("\0".join(("strongroom", purpose, schema, name)).encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
