"""The catalog in an SQL database: SQLite in the home, or PostgreSQL; one transaction a method."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import orjson
from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from strongroom.adapters.records import tables
from strongroom.adapters.records.database import Database
from strongroom.adapters.records.sqlite import BUSY_TIMEOUT_S, SqliteDatabase
from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import IdentityRow, VersionRow
from strongroom.values import KeyUri, ModelId, State, format_time, parse_time

MAX_DEPENDENCIES_BYTES = 2**20


class SqlRecords:
    """`Records` over one database. Safe to call from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Self:
        """Open the catalog in the file ``path``; see `SqliteDatabase`."""
        return cls(SqliteDatabase(path, busy_timeout_s=busy_timeout_s))

    def close(self) -> None:
        self._database.close()

    def add_version(self, row: VersionRow) -> None:
        values = _version_values(row)
        model = tables.versions.c.model

        def add(connection: Connection) -> None:
            if connection.execute(select(model).where(model == row.model)).first() is not None:
                raise InvalidError(f"{row.model}: exists already and versions never change")
            connection.execute(insert(tables.versions).values(values))

        self._database.write(add, _holds(tables.versions, values))

    def find_version(self, model: str) -> VersionRow | None:
        if not _is_model(model):
            return None
        query = select(tables.versions).where(tables.versions.c.model == model)
        row = self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _version(row)

    def versions(self, family: str | None = None) -> Sequence[VersionRow]:
        query = select(tables.versions)
        if family is not None:
            if not _is_model(f"{family}@0.0.0"):
                return []
            query = query.where(tables.versions.c.family == family)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return sorted(map(_version, rows), key=lambda row: ModelId.parse(row.model))

    def set_state(self, model: str, expected: State, state: State) -> None:
        table = tables.versions
        name = str(ModelId.parse(model))
        change = update(table).where(table.c.model == name, table.c.state == expected.value)

        def swap(connection: Connection) -> None:
            if connection.execute(change.values(state=state.value)).rowcount != 1:
                raise InvalidError(f"{name}: there is no such version in state {expected}")

        self._database.write(swap, _holds(table, {"model": name, "state": state.value}))

    def put_identity(self, row: IdentityRow) -> None:
        values = _identity_values(row)
        table = tables.identities

        def put(connection: Connection) -> None:
            changed = connection.execute(update(table).where(table.c.name == row.name).values(values))
            if not changed.rowcount:
                connection.execute(insert(table).values(values))

        self._database.write(put, _holds(table, values))

    def identities(self) -> Sequence[IdentityRow]:
        rows = self._database.read(lambda connection: connection.execute(select(tables.identities)).all())
        return sorted(map(_identity, rows), key=lambda row: row.name)  # not as the server's locale sorts

    def rebuild(self, versions: Sequence[VersionRow], identities: Sequence[IdentityRow]) -> None:
        rows = (
            (tables.versions, [_version_values(row) for row in versions]),
            (tables.identities, [_identity_values(row) for row in identities]),
        )

        def refill(connection: Connection) -> None:
            for table, values in rows:
                connection.execute(delete(table))
                if values:
                    connection.execute(insert(table), values)

        self._database.write(refill, lambda _: False)  # once more does no harm

    def note_head(self, size: int, root: bytes) -> None:
        def note(connection: Connection) -> None:
            known = _read_head(connection)
            if known is None:
                connection.execute(insert(tables.head).values(only=1, size=size, root=root))
            elif size == known[0] and root != known[1]:
                raise RejectedError(f"log: has another root at size {size} than was seen before")
            elif size > known[0]:
                connection.execute(update(tables.head).values(size=size, root=root))

        self._database.write(note, lambda _: False)  # once more does no harm

    def head(self) -> tuple[int, bytes] | None:
        return self._database.read(_read_head)


def _is_model(text: str) -> bool:
    """What names no model is in no row, and may hold what a database cannot even be asked for."""
    try:
        ModelId.parse(text)
    except InvalidError:
        return False
    return True


def _holds(table: Table, values: Mapping[str, Any]) -> Callable[[Connection], bool]:
    """Whether a row with these values is there: the change was kept."""
    query = select(table).filter_by(**values).limit(1)
    return lambda connection: connection.execute(query).first() is not None


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
