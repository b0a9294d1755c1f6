"""Locks that several machines share: advisory locks of PostgreSQL, freed when the holder is gone.

A lock is held by a connection of its own. If that is cut, the server frees the lock while its holder still
works; so nothing rests on a lock alone. What is decided under it is written by an append that names the size
of the log it was judged by (`LogStore.append`, ``after``), and of two holders one is refused there.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from strongroom.adapters.locks.names import parse_lock_name
from strongroom.adapters.postgres.locking import advisory_key
from strongroom.adapters.postgres.refusals import is_lock_timeout
from strongroom.adapters.postgres.server import Server
from strongroom.errors import OutageError

_WAIT_S = 10.0
"""For one statement; shorter than what the server allows any statement."""


class PostgresLocks:
    """`Locks` in the database of a shared catalog or log. Two threads exclude each other too."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @contextmanager
    def hold(self, name: str, timeout_s: float = 10.0) -> Iterator[None]:
        """Hold ``name``. It is not re-entrant: the same thread asking twice waits for itself.

        Raises:
            InvalidError: not a lock's name.
            OutageError: another holds it for all of ``timeout_s``, or the server does not answer.
        """
        key = advisory_key("lock", self._server.address.schema, parse_lock_name(name))
        with self._server.alone(f"lock {name}") as connection:
            if not _take(connection, key, time.monotonic() + timeout_s):
                raise OutageError(
                    f"lock {name}: another process holds it", hint="wait for it to end and try again"
                )
            try:
                yield
            finally:
                with suppress(DBAPIError):  # the connection is gone, and the lock with it
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})


def _take(connection: Connection, key: int, deadline: float) -> bool:
    while True:
        left_s = min(_WAIT_S, deadline - time.monotonic())
        if left_s <= 0:
            return bool(
                connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar_one()
            )
        connection.execute(text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": _wait(left_s)})
        try:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        except DBAPIError as error:
            if not is_lock_timeout(error):
                raise
        else:
            return True


def _wait(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
