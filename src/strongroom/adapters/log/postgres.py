"""The log on a PostgreSQL server: a row a record, a row a tile, and one row with the checkpoint.

One sequencer at a time: an append takes the checkpoint's table for itself until it commits. A sequencer that
falls asleep is put out by the server after `IDLE_IN_TRANSACTION_S`; what it sends afterwards finds no
transaction, so that it cannot write behind the back of the one that came after it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from secrets import token_bytes

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Table,
    case,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from strongroom.adapters.log.appending import (
    Growth,
    Remembered,
    grow,
    require_checkpoint,
    require_leaves,
    sign_empty,
)
from strongroom.adapters.postgres.inspection import require_promises, require_schema, require_untouched
from strongroom.adapters.postgres.locking import lock_for_setup, lock_table
from strongroom.adapters.postgres.server import Server
from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import Signer
from strongroom.trust.checkpoint import Head, claimed_head, require_origin
from strongroom.trust.merkle import HASH_BYTES
from strongroom.trust.note import MAX_NOTE_BYTES
from strongroom.trust.tiles import MAX_LEAF_BYTES, WIDTH, split_tile

LAYOUT = 1
"""Of the tables below; another one is refused."""
_WHAT = "log"
_TOKEN_BYTES = 16

metadata = MetaData()
checkpoints = Table(
    "log_checkpoint",
    metadata,
    Column("one", BigInteger, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("layout", BigInteger, nullable=False),
    Column("note", LargeBinary, nullable=False),
)
records = Table(
    "log_records",
    metadata,
    Column("position", BigInteger, CheckConstraint("position >= 0"), primary_key=True, autoincrement=False),
    Column("append", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, CheckConstraint(f"length(leaf) <= {MAX_LEAF_BYTES}"), nullable=False),
)
tiles = Table(
    "log_tiles",
    metadata,
    Column("level", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    CheckConstraint(f"length(hashes) BETWEEN {HASH_BYTES} AND {WIDTH * HASH_BYTES}"),
)
_TABLES = tuple(metadata.tables)


class PostgresLog:
    """A `LogStore` that several machines may share. Readers wait for no writer."""

    def __init__(self, server: Server, origin: str, *, remembered: Remembered = lambda: None) -> None:
        """Make the tables if there are none.

        Raises:
            InvalidError: they are of another release, or the role lacks a privilege.
            RejectedError: triggers or the like were put into them.
            OutageError: the server does not answer.
        """
        self._server = server
        self._schema = server.address.schema
        self._origin = require_origin(origin)
        self._remembered = remembered
        server.read(_WHAT, lambda connection: require_promises(connection, _WHAT))
        if not server.read(_WHAT, lambda connection: inspect(connection).has_table(checkpoints.name)):
            server.write(_WHAT, self._set_up, lambda *_: False, isolation="READ COMMITTED")
        server.read(_WHAT, lambda connection: require_untouched(connection, self._schema, _TABLES, _WHAT))

    def append(self, leaves: Sequence[bytes], signer: Signer, *, after: int | None = None) -> int:
        """See `LogStore.append`. If the error says so, the append may have become durable after all."""
        require_leaves(leaves)
        held = self._remembered()
        old = None if held is None else Head(*held)
        token = token_bytes(_TOKEN_BYTES)

        def extend(connection: Connection) -> Growth:
            lock_table(connection, checkpoints.name)
            note = _find_note(connection) or _begin(connection, self._origin, signer)
            current = require_checkpoint(note, self._origin, signer)
            _require_end(connection, current.size)
            growth = grow(current, _Rows(connection), leaves, signer, remembered=old, after=after)
            _write(connection, growth, token)
            return growth

        def happened(connection: Connection, growth: Growth) -> bool:
            lock_table(connection, checkpoints.name)
            query = select(records.c.append).where(records.c.position == growth.first)
            return connection.execute(query).scalar_one_or_none() == token

        return self._server.write(_WHAT, extend, happened).first

    def checkpoint(self) -> bytes | None:
        note = self._server.read(_WHAT, _find_note)
        return None if note is None or claimed_head(note).size == 0 else note

    def leaf(self, index: int) -> bytes:
        def look(connection: Connection) -> bytes:
            if not 0 <= index < _size(connection):
                raise InvalidError(f"log: has no record {index}")
            return _read(connection, index, index + 1)[0]

        return self._server.read(_WHAT, look)

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Yield records as stored; raises RejectedError at one that is missing."""
        if not 0 <= start <= end <= self._server.read(_WHAT, _size):
            raise InvalidError(f"log: has no records {start} to {end}")
        return self._bundles(start, end)

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        return self._server.read(_WHAT, lambda connection: _Rows(connection).tile(level, index, width))

    def _bundles(self, start: int, end: int) -> Iterator[bytes]:
        """Bundle by bundle, so that no more than that is held here however slow the reader is."""
        for first, last in pairwise([*range(start, end, WIDTH), end]):
            leaves, missing = self._server.read(_WHAT, partial(_find, start=first, end=last))
            yield from leaves
            if missing is not None:
                raise _missing(missing)

    def _set_up(self, connection: Connection) -> None:
        """Alone, so that two machines that both find no tables make them once."""
        lock_for_setup(connection, self._schema)
        require_schema(connection, self._schema)
        metadata.create_all(connection)


class _Rows:
    """`Stored`, as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        size = width * HASH_BYTES
        query = select(func.substr(tiles.c.hashes, 1, size)).where(
            tiles.c.level == level, tiles.c.number == index
        )
        found = self._connection.execute(query).scalar_one_or_none()
        if found is None or len(found) != size:
            raise RejectedError(f"log: tile {level}/{index} of width {width} is missing")
        return split_tile(found, width)

    def entries(self, bundle: int, width: int) -> Iterator[bytes]:
        return iter(_read(self._connection, bundle * WIDTH, bundle * WIDTH + width))


def _find_note(connection: Connection) -> bytes | None:
    """Return the checkpoint; None for a log that nobody has begun.

    Raises:
        RejectedError: it is gone while records are there, or is none.
        InvalidError: the tables are of another release.
    """
    small = case((func.length(checkpoints.c.note) <= MAX_NOTE_BYTES, checkpoints.c.note))
    query = select(checkpoints.c.layout, small).limit(2)
    rows = connection.execute(query).all()
    if not rows:
        # In this order: the first append may come in between, and brings both at once.
        has_records = connection.execute(select(records.c.position).limit(1)).first() is not None
        rows = connection.execute(query).all()
        if not rows and has_records:
            raise RejectedError("log: has records but its checkpoint is missing")
    if not rows:
        return None
    layout, note = rows[0]
    if layout != LAYOUT:
        raise InvalidError(
            f"log: its tables are of layout {layout}, this release knows {LAYOUT}",
            hint="use the release that wrote them",
        )
    if note is None or len(rows) > 1:
        raise RejectedError("log: its checkpoint is not one that we wrote")
    return bytes(note)


def _begin(connection: Connection, origin: str, signer: Signer) -> bytes:
    note = sign_empty(origin, signer)
    connection.execute(insert(checkpoints).values(one=1, layout=LAYOUT, note=note))
    return note


def _size(connection: Connection) -> int:
    note = _find_note(connection)
    return 0 if note is None else claimed_head(note).size


def _require_end(connection: Connection, size: int) -> None:
    """Nothing lies behind the checkpoint: it is written together with what it signs."""
    last = connection.execute(select(func.max(records.c.position))).scalar_one()
    if last is not None and last >= size:
        raise RejectedError(f"log: holds a record {last}, its checkpoint signs {size}")


def _read(connection: Connection, start: int, end: int) -> Sequence[bytes]:
    leaves, missing = _find(connection, start, end)
    if missing is not None:
        raise _missing(missing)
    return leaves


def _find(connection: Connection, start: int, end: int) -> tuple[Sequence[bytes], int | None]:
    """Return records, and the first that is not there; what is too long to be one is not fetched."""
    fits = case((func.length(records.c.leaf) <= MAX_LEAF_BYTES, records.c.leaf))
    query = (
        select(records.c.position, fits)
        .where(records.c.position >= start, records.c.position < end)
        .order_by(records.c.position)
        .limit(end - start)
    )
    leaves: list[bytes] = []
    for position, leaf in connection.execute(query):
        if position != start + len(leaves) or leaf is None:
            break
        leaves.append(bytes(leaf))
    return leaves, None if len(leaves) == end - start else start + len(leaves)


def _missing(index: int) -> RejectedError:
    return RejectedError(f"log: record {index} is missing")


def _write(connection: Connection, growth: Growth, token: bytes) -> None:
    rows = [
        {"position": position, "append": token, "leaf": leaf}
        for position, leaf in enumerate(growth.leaves, growth.first)
    ]
    connection.execute(insert(records), rows)
    widened = upsert(tiles)
    widened = widened.on_conflict_do_update(
        index_elements=[tiles.c.level, tiles.c.number], set_={"hashes": widened.excluded.hashes}
    )
    connection.execute(
        widened,
        [{"level": t.level, "number": t.index, "hashes": b"".join(t.hashes)} for t in growth.tiles],
    )
    changed = connection.execute(update(checkpoints).values(note=growth.note))
    if changed.rowcount != 1:
        raise RejectedError("log: its checkpoint could not be replaced")
