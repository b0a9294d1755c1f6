"""The catalog's database on a PostgreSQL server, which several machines may share."""

from collections.abc import Callable

from sqlalchemy import Connection

from strongroom.adapters.postgres.inspection import require_promises, require_schema, require_untouched
from strongroom.adapters.postgres.locking import lock_for_setup, lock_table
from strongroom.adapters.postgres.server import Server
from strongroom.adapters.records import tables
from strongroom.adapters.records.database import T
from strongroom.adapters.records.schema import read_revision, require_current

_WHAT = "catalog"
_TABLES = (*tables.metadata.tables, "alembic_version")


class PostgresDatabase:
    """`Database` in one schema of a server. Safe to use from several threads, processes and machines."""

    def __init__(self, server: Server) -> None:
        """Create or migrate the tables if need be.

        Raises:
            InvalidError: written by a newer release, or the role lacks a privilege.
            RejectedError: triggers or the like were put into it, or the server keeps no promise.
            OutageError: the server does not answer.
        """
        self._server = server
        self._schema = server.address.schema
        self.where = f"the tables of schema {self._schema}"
        server.read(_WHAT, lambda connection: require_promises(connection, _WHAT))
        if server.read(_WHAT, read_revision) != tables.REVISION:
            server.write(_WHAT, self._set_up, lambda *_: False, isolation="READ COMMITTED")
        server.read(_WHAT, lambda connection: require_untouched(connection, self._schema, _TABLES, _WHAT))

    def close(self) -> None:
        self._server.close()

    def read(self, work: Callable[[Connection], T]) -> T:
        return self._server.read(_WHAT, work)

    def write(self, work: Callable[[Connection], T], happened: Callable[[Connection], bool]) -> T:
        def locked(connection: Connection) -> T:
            lock_table(connection, tables.head.name)
            return work(connection)

        def looked(connection: Connection, _: T) -> bool:
            lock_table(connection, tables.head.name)
            return happened(connection)

        return self._server.write(_WHAT, locked, looked)

    def _set_up(self, connection: Connection) -> None:
        """Alone, so that two machines that both find no tables make them once."""
        lock_for_setup(connection, self._schema)
        require_schema(connection, self._schema)
        require_current(connection, self.where)
