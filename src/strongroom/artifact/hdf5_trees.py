"""B-trees of HDF5: version 1 lists groups and chunks, version 2 links and attributes of large objects."""

from collections.abc import Iterator

from strongroom.artifact.hdf5_bytes import UNDEFINED, Cursor, Hdf5Bytes
from strongroom.errors import RejectedError

MAX_LEVEL = 8
MAX_NODES = 200_000
"""Of one tree."""
_GROUP, _CHUNK = 0, 1
_TREE2_OVERHEAD = 10
"""Signature, version, type and checksum of a node (specification III.A.2)."""


def read_group_tree(file: Hdf5Bytes, address: int) -> Iterator[int]:
    """Yield the addresses of a group's symbol table nodes."""
    for node in _walk(file, address, _GROUP, key_bytes=8):
        yield from (child for _, child in node)


def read_chunk_tree(file: Hdf5Bytes, address: int, rank: int) -> Iterator[tuple[int, int]]:
    """Yield address and stored size of each chunk of a dataset of so many dimensions."""
    for node in _walk(file, address, _CHUNK, key_bytes=8 + 8 * (rank + 1)):
        for key, child in node:
            yield child, int.from_bytes(key[:4], "little")


def _walk(file: Hdf5Bytes, root: int, kind: int, key_bytes: int) -> Iterator[list[tuple[bytes, int]]]:
    """Yield key and child of each leaf. No address is visited twice, so that a walk ends."""
    waiting, seen = [(root, -1)], set[int]()
    while waiting:
        address, expected = waiting.pop()
        if address in seen or len(seen) >= MAX_NODES:
            raise RejectedError("a tree repeats a node, or has more than any model needs")
        seen.add(address)
        head = Cursor(file.read(address, 24), "a tree")
        head.require(b"TREE" + bytes([kind]))
        level, count = head.number(1), head.number(2)
        if level > MAX_LEVEL or (expected >= 0 and level != expected):
            raise RejectedError("the levels of a tree do not count down")
        body = Cursor(file.read(address + 24, count * (key_bytes + 8)), "a tree")
        entries = [(body.take(key_bytes), body.number(8)) for _ in range(count)]
        if level:
            waiting.extend((child, level - 1) for _, child in reversed(entries))
        else:
            yield entries


def read_records(file: Hdf5Bytes, address: int, kind: int) -> Iterator[bytes]:
    """Yield the records of a version 2 tree of one kind, in order.

    Raises:
        RejectedError: another kind, cut, a wrong checksum, more levels, nodes or records than it says.
    """
    head = file.read(address, 38)
    file.require_checksum(head, "a tree")
    cursor = Cursor(head, "a tree")
    cursor.require(b"BTHD\x00" + bytes([kind]))
    node_bytes, record_bytes, depth = cursor.number(4), cursor.number(2), cursor.number(2)
    cursor.take(2)
    root, root_records, total = cursor.number(8), cursor.number(2), cursor.number(8)
    if depth > MAX_LEVEL or not record_bytes or node_bytes < _TREE2_OVERHEAD + record_bytes:
        raise RejectedError("a tree is malformed")
    if root == UNDEFINED:
        return
    shape = _NodeShape(node_bytes, record_bytes, depth)
    found = 0
    for record in _walk_records(file, kind, shape, (root, root_records, depth)):
        found += 1
        yield record
    if found != total:
        raise RejectedError("a tree has another number of records than it says")


class _NodeShape:
    """How many records fit in nodes of each level, which fixes how wide their counts are written."""

    def __init__(self, node_bytes: int, record_bytes: int, depth: int) -> None:
        self.node_bytes, self.record_bytes = node_bytes, record_bytes
        most = (node_bytes - _TREE2_OVERHEAD) // record_bytes
        self.most = [most]
        self.count_bytes = _width(most)
        self.total_bytes = [0]
        total = most
        for level in range(1, depth + 1):
            pointer = 8 + self.count_bytes + self.total_bytes[level - 1]
            most = (node_bytes - _TREE2_OVERHEAD - pointer) // (record_bytes + pointer)
            if most < 1:
                raise RejectedError("a tree is malformed")
            total = (most + 1) * total + most
            self.most.append(most)
            self.total_bytes.append(_width(total))


def _walk_records(
    file: Hdf5Bytes, kind: int, shape: _NodeShape, root: tuple[int, int, int]
) -> Iterator[bytes]:
    waiting, seen = [root], set[int]()
    while waiting:
        address, count, level = waiting.pop()
        if address in seen or len(seen) >= MAX_NODES:
            raise RejectedError("a tree repeats a node, or has more than any model needs")
        seen.add(address)
        if count > shape.most[level]:
            raise RejectedError("a node of a tree is overfull")
        pointer = 8 + shape.count_bytes + shape.total_bytes[level - 1] if level else 0
        size = _TREE2_OVERHEAD + count * shape.record_bytes + (count + 1) * pointer
        block = file.read(address, size)
        file.require_checksum(block, "a tree")
        cursor = Cursor(block, "a tree")
        cursor.require((b"BTIN" if level else b"BTLF") + b"\x00" + bytes([kind]))
        for _ in range(count):
            yield cursor.take(shape.record_bytes)
        for _ in range(count + 1 if level else 0):
            child, records = cursor.number(8), cursor.number(shape.count_bytes)
            cursor.take(shape.total_bytes[level - 1])
            waiting.append((child, records, level - 1))


def _width(limit: int) -> int:
    """Bytes that hold any number up to a limit (``H5VM_limit_enc_size``)."""
    return max(1, (limit.bit_length() + 7) // 8)
