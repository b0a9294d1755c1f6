"""What a group of an HDF5 file holds: old groups in symbol tables, new ones in messages or a heap."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from strongroom.artifact import hdf5_headers as header
from strongroom.artifact.hdf5_bytes import UNDEFINED, Cursor, Hdf5Bytes
from strongroom.artifact.hdf5_headers import Message
from strongroom.artifact.hdf5_heaps import FractalHeap, LocalHeap
from strongroom.artifact.hdf5_trees import read_group_tree, read_records
from strongroom.errors import RejectedError, shorten

MAX_CHILDREN = 200_000
_LINK_RECORDS = 5
_SYMBOL_BYTES = 40
_HARD, _SOFT, _EXTERNAL = 0, 1, 64
_CACHED_GROUP, _CACHED_SOFT = 1, 2


class LinkKind(Enum):
    HARD = "hard"
    SOFT = "soft"
    """Another path of this file, which is looked at anyway."""
    FOREIGN = "foreign"
    """Another file, or a kind that only a program of its own can follow."""


@dataclass(frozen=True, slots=True)
class Child:
    """A name in a group."""

    name: str
    kind: LinkKind
    address: int = UNDEFINED
    target: str = ""
    cached: tuple[int, int] | None = None
    """Tree and heap of a group, where its parent repeats them."""


def read_children(file: Hdf5Bytes, messages: list[Message], cached: tuple[int, int] | None) -> list[Child]:
    """Return what a group holds.

    Raises:
        RejectedError: cut, malformed, a name given twice, one that says something else elsewhere.
    """
    children: list[Child] = []
    for message in messages:
        if message.kind == header.SYMBOLS:
            children += _read_symbols(file, message.data, cached)
        elif message.kind == header.LINK:
            children.append(parse_link(message.data))
        elif message.kind == header.LINK_INFO:
            children += [parse_link(data) for data in _dense_links(file, message.data)]
    if len({child.name for child in children}) != len(children):
        raise RejectedError("a name is given twice in a group")
    return children


def parse_link(data: bytes) -> Child:
    """Return what a link message stands for."""
    cursor = Cursor(data, "a link")
    version, flags = cursor.number(1), cursor.number(1)
    if version != 1 or flags & ~0x1F:
        raise RejectedError("a link is malformed")
    kind = cursor.number(1) if flags & 8 else _HARD
    cursor.take(8 if flags & 4 else 0)
    cursor.take(1 if flags & 16 else 0)
    name = _name(cursor.take(cursor.number(1 << (flags & 3))))
    if kind == _HARD:
        return Child(name, LinkKind.HARD, cursor.number(8))
    value = cursor.take(cursor.number(2))
    if kind == _SOFT:
        return Child(name, LinkKind.SOFT)
    return Child(name, LinkKind.FOREIGN, target=shorten(value.replace(b"\0", b" ").decode("latin-1").strip()))


def read_dense(file: Hdf5Bytes, heap_at: int, trees: tuple[int, int], kind: int) -> list[bytes]:
    """Return the objects of a heap that a tree of names lists; one by order of creation must list the same.

    Records of links begin with a hash or an order and end with an identifier, those of attributes the other
    way round; the tree by order has the next kind.
    """
    heap = FractalHeap(file, heap_at)
    names, order = trees
    found = [_identifier(record, kind, heap) for record in _records(file, names, kind)]
    if order != UNDEFINED:
        again = {_identifier(record, kind, heap) for record in _records(file, order, kind + 1)}
        if again != set(found):
            raise RejectedError("a group or object lists other things by name than by order")
    return [heap.read(identifier) for identifier in found]


def _records(file: Hdf5Bytes, address: int, kind: int) -> Iterable[bytes]:
    for count, record in enumerate(read_records(file, address, kind)):
        if count >= MAX_CHILDREN:
            raise RejectedError("a group or object lists more than any model has")
        yield record


def _identifier(record: bytes, kind: int, heap: FractalHeap) -> bytes:
    return record[-heap.id_bytes :] if kind == _LINK_RECORDS else record[: heap.id_bytes]


def _dense_links(file: Hdf5Bytes, data: bytes) -> list[bytes]:
    cursor = Cursor(data, "link information")
    cursor.require(b"\0")
    flags = cursor.number(1)
    cursor.take(8 if flags & 1 else 0)
    heap, names = cursor.number(8), cursor.number(8)
    order = cursor.number(8) if flags & 2 else UNDEFINED
    return [] if heap == UNDEFINED else read_dense(file, heap, (names, order), _LINK_RECORDS)


def _read_symbols(file: Hdf5Bytes, data: bytes, cached: tuple[int, int] | None) -> list[Child]:
    cursor = Cursor(data, "a symbol table")
    tree, heap_at = cursor.number(8), cursor.number(8)
    if cached not in (None, (tree, heap_at)):
        raise RejectedError("a group has one content for its parent and another for itself")
    heap = LocalHeap(file, heap_at)
    children: list[Child] = []
    for node in read_group_tree(file, tree):
        head = Cursor(file.read(node, 8), "a symbol table")
        head.require(b"SNOD\x01\x00")
        count = head.number(2)
        body = Cursor(file.read(node + 8, count * _SYMBOL_BYTES), "a symbol table")
        children += [_symbol(body, heap) for _ in range(count)]
        if len(children) > MAX_CHILDREN:
            raise RejectedError("a group or object lists more than any model has")
    return children


def _symbol(cursor: Cursor, heap: LocalHeap) -> Child:
    name, address, kind = _name(heap.name(cursor.number(8))), cursor.number(8), cursor.number(4)
    cursor.take(4)
    first, second = cursor.number(8), cursor.number(8)
    if kind == _CACHED_SOFT:
        return Child(name, LinkKind.SOFT)
    if kind > _CACHED_SOFT:
        raise RejectedError("an entry of a symbol table is not known")
    return Child(name, LinkKind.HARD, address, cached=(first, second) if kind == _CACHED_GROUP else None)


def _name(data: bytes) -> str:
    try:
        name = data.decode()
    except UnicodeDecodeError:
        raise RejectedError(f"name {shorten(data)} in a group is not text") from None
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise RejectedError(f"name {shorten(name)} in a group is not one")
    return name
