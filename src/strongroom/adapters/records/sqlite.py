"""The catalog's database in one file: write-ahead log, full synchronisation, writers one after the other."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from strongroom.adapters.records.database import T
from strongroom.adapters.records.schema import require_current
from strongroom.errors import InvalidError, OutageError, RejectedError

BUSY_TIMEOUT_S = 10.0
_READ_ONLY = "strongroom_read"
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SqliteDatabase:
    """`Database` in a local file. Safe to use from several threads and processes."""

    where = "catalog.sqlite"

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Open it, readable by its owner only; create or migrate its tables if need be.

        Raises:
            InvalidError: written by a newer release, or the path is a link.
            RejectedError: not a catalog, or a damaged one.
            OutageError: locked for all of ``busy_timeout_s``, read-only, or the disk is full.
        """
        _create_private(path)
        self.engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": busy_timeout_s})
        event.listen(self.engine, "connect", _configure)
        event.listen(self.engine, "begin", _begin)
        try:
            with self._transaction() as connection:
                require_current(connection, self.where)
                _require_no_program(connection)
        except BaseException:
            self.engine.dispose()
            raise

    def close(self) -> None:
        self.engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        with self._transaction(read=True) as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T], happened: Callable[[Connection], bool]) -> T:
        with self._transaction() as connection:
            return work(connection)

    @contextmanager
    def _transaction(self, *, read: bool = False) -> Iterator[Connection]:
        """One transaction, durable when the block ends, rolled back when it raises."""
        try:
            with (
                self.engine.connect().execution_options(**{_READ_ONLY: read}) as connection,
                connection.begin(),
            ):
                yield connection
        except IntegrityError as error:
            raise InvalidError(f"catalog: refuses the row ({error.orig})") from None
        except DBAPIError as error:
            raise _translate(error) from None


def _create_private(path: Path) -> None:
    """SQLite gives its side files the permissions of the database, so that must be private from the start.

    A file that is there is not opened: closing it would drop the POSIX locks that SQLite holds on it for
    other connections of this process, and a neighbour could then delete the write-ahead log under them
    (sqlite.org/howtocorrupt.html, section 2.2).
    """
    if path.is_symlink():
        raise InvalidError("catalog: is a symbolic link")
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise OutageError(f"catalog: cannot be opened ({error.strerror})") from None


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin`, not guessed by the driver
    connection.execute("PRAGMA trusted_schema = OFF")  # sqlite.org/security.html, for files of unknown origin
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    """Writers take the lock at once: two that both read first could otherwise not both go on."""
    read = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


def _translate(error: DBAPIError) -> OutageError | RejectedError:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in _BROKEN:
        return RejectedError(
            "catalog: is damaged or not a catalog",
            hint="move catalog.sqlite away: it is rebuilt from the log",
        )
    return OutageError(f"catalog: does not answer ({error.orig})")


def _require_no_program(connection: Connection) -> None:
    """A trigger would act with our hand, for instance to forget the remembered head."""
    query = text("SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')")
    if connection.execute(query).scalar_one():
        raise RejectedError(
            "catalog: holds triggers or views that we never make",
            hint="find out who edited it, then move catalog.sqlite away: it is rebuilt from the log",
        )
