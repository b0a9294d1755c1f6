"""The catalog in SQLite: write-ahead log, full synchronisation, one immediate transaction a method."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import orjson
from sqlalchemy import Connection, Engine, Row, create_engine, delete, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from strongroom.adapters.records import tables
from strongroom.adapters.records.schema import require_current
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.ports import IdentityRow, VersionRow
from strongroom.values import KeyUri, ModelId, State, format_time, parse_time

MAX_DEPENDENCIES_BYTES = 2**20
_BUSY_TIMEOUT_S = 10.0
_READ_ONLY = "strongroom_read"
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SqlRecords:
    """`Records` over one database. Safe to call from several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with self._transaction() as connection:
            require_current(connection)
            _require_no_program(connection)

    @classmethod
    def open(cls, path: Path, *, busy_timeout_s: float = _BUSY_TIMEOUT_S) -> Self:
        """Open the catalog at ``path``, readable by its owner only; create or migrate it if need be.

        Raises:
            InvalidError: written by a newer release, or the path is a link.
            RejectedError: not a catalog, or a damaged one.
            OutageError: locked for all of ``busy_timeout_s``, read-only, or the disk is full.
        """
        _create_private(path)
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": busy_timeout_s})
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        try:
            return cls(engine)
        except BaseException:
            engine.dispose()
            raise

    def close(self) -> None:
        self._engine.dispose()

    def add_version(self, row: VersionRow) -> None:
        values = _version_values(row)
        with self._transaction() as connection:
            found = connection.execute(
                select(tables.versions.c.model).where(tables.versions.c.model == row.model)
            ).first()
            if found is not None:
                raise InvalidError(f"{row.model}: exists already and versions never change")
            connection.execute(insert(tables.versions).values(values))

    def find_version(self, model: str) -> VersionRow | None:
        with self._transaction(read=True) as connection:
            row = connection.execute(
                select(tables.versions).where(tables.versions.c.model == model)
            ).one_or_none()
        return None if row is None else _version(row)

    def versions(self, family: str | None = None) -> Sequence[VersionRow]:
        query = select(tables.versions)
        if family is not None:
            query = query.where(tables.versions.c.family == family)
        with self._transaction(read=True) as connection:
            rows = [_version(row) for row in connection.execute(query)]
        return sorted(rows, key=lambda row: ModelId.parse(row.model))

    def set_state(self, model: str, expected: State, state: State) -> None:
        table = tables.versions
        change = update(table).where(table.c.model == model, table.c.state == expected.value)
        with self._transaction() as connection:
            if connection.execute(change.values(state=state.value)).rowcount != 1:
                raise InvalidError(f"{ModelId.parse(model)}: there is no such version in state {expected}")

    def put_identity(self, row: IdentityRow) -> None:
        values = _identity_values(row)
        table = tables.identities
        with self._transaction() as connection:
            changed = connection.execute(update(table).where(table.c.name == row.name).values(values))
            if not changed.rowcount:
                connection.execute(insert(table).values(values))

    def identities(self) -> Sequence[IdentityRow]:
        with self._transaction(read=True) as connection:
            return [
                _identity(row)
                for row in connection.execute(select(tables.identities).order_by(tables.identities.c.name))
            ]

    def rebuild(self, versions: Sequence[VersionRow], identities: Sequence[IdentityRow]) -> None:
        rows = (
            (tables.versions, [_version_values(row) for row in versions]),
            (tables.identities, [_identity_values(row) for row in identities]),
        )
        with self._transaction() as connection:
            for table, values in rows:
                connection.execute(delete(table))
                if values:
                    connection.execute(insert(table), values)

    def note_head(self, size: int, root: bytes) -> None:
        table = tables.head
        with self._transaction() as connection:
            known = _read_head(connection)
            if known is None:
                connection.execute(insert(table).values(only=1, size=size, root=root))
            elif size == known[0] and root != known[1]:
                raise RejectedError(f"log: has another root at size {size} than was seen before")
            elif size > known[0]:
                connection.execute(update(table).values(size=size, root=root))

    def head(self) -> tuple[int, bytes] | None:
        with self._transaction(read=True) as connection:
            return _read_head(connection)

    @contextmanager
    def _transaction(self, *, read: bool = False) -> Iterator[Connection]:
        """One transaction, durable when the block ends, rolled back when it raises."""
        try:
            with (
                self._engine.connect().execution_options(**{_READ_ONLY: read}) as connection,
                connection.begin(),
            ):
                yield connection
        except IntegrityError as error:
            raise InvalidError(f"catalog: refuses the row ({error.orig})") from None
        except DBAPIError as error:
            raise _translate(error) from None


def _version_values(row: VersionRow) -> dict[str, Any]:
    model = ModelId.parse(row.model)
    return {
        "model": row.model,
        "family": model.family,
        "version": str(model.version),
        "owner": row.owner,
        "format": row.format,
        "digest": row.digest,
        "size_bytes": row.size_bytes,
        "state": row.state.value,
        "key_uri": row.key_uri,
        "publisher": row.publisher,
        "published_at": format_time(row.published_at),
        "log_index": row.log_index,
        "statement_digest": row.statement_digest,
        "dependencies": _dump(row.dependencies),
    }


def _identity_values(row: IdentityRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "certificate_pem": row.certificate_pem,
        "created_at": format_time(row.created_at),
        "revoked": row.revoked,
        "log_index": row.log_index,
    }


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
    if connection.dialect.name == "sqlite":
        query = text("SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')")
        if connection.execute(query).scalar_one():
            raise RejectedError(
                "catalog: holds triggers or views that we never make",
                hint="find out who edited it, then move catalog.sqlite away: it is rebuilt from the log",
            )


def _read_head(connection: Connection) -> tuple[int, bytes] | None:
    """Whoever edits the file is bound by no type and no constraint of the tables."""
    rows = connection.execute(select(tables.head.c.size, tables.head.c.root).limit(2)).all()
    match [tuple(row) for row in rows]:
        case []:
            return None
        case [(int(size), bytes(root))] if size >= 0 and len(root) == 32:
            return size, root
        case _:
            raise RejectedError("catalog: the remembered head of the log is not one that we wrote")


def _dump(dependencies: dict[str, Any]) -> str:
    try:
        data = orjson.dumps(dependencies, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise InvalidError("dependencies: cannot be written as JSON") from None
    if len(data) > MAX_DEPENDENCIES_BYTES:
        raise InvalidError(f"dependencies: more than {MAX_DEPENDENCIES_BYTES} bytes")
    return data.decode()


def _version(row: Row[Any]) -> VersionRow:
    try:
        texts = (row.owner, row.format, row.digest, row.key_uri, row.publisher, row.statement_digest)
        if not all(type(each) is str for each in texts) or type(row.size_bytes) is not int:
            raise TypeError
        return VersionRow(
            model=str(ModelId.parse(row.model)),
            owner=row.owner,
            format=row.format,
            digest=row.digest,
            size_bytes=row.size_bytes,
            state=State(row.state),
            key_uri=KeyUri(row.key_uri),
            publisher=row.publisher,
            published_at=parse_time(row.published_at),
            log_index=row.log_index,
            statement_digest=row.statement_digest,
            dependencies=orjson.loads(row.dependencies),
        )
    except (InvalidError, ValueError, TypeError):
        raise RejectedError("catalog: a version's row is not one that we wrote") from None


def _identity(row: Row[Any]) -> IdentityRow:
    try:
        if type(row.name) is not str or type(row.certificate_pem) is not str:
            raise TypeError
        return IdentityRow(
            row.name, row.certificate_pem, parse_time(row.created_at), bool(row.revoked), row.log_index
        )
    except (InvalidError, ValueError, TypeError):
        raise RejectedError("catalog: an identity's row is not one that we wrote") from None
