"""Where an HDF5 dataset keeps its elements: layout and filters, checked against the file."""

from dataclasses import dataclass

from strongroom.artifact.hdf5_bytes import UNDEFINED, Cursor, Hdf5Bytes
from strongroom.artifact.hdf5_trees import read_chunk_tree
from strongroom.artifact.hdf5_types import MAX_RANK, ElementType, Extent
from strongroom.errors import RejectedError

MAX_FILTERS = 8
MAX_CHUNKS = 1_000_000
MAX_CHUNK_BYTES = 2**32 - 1
"""What the library takes."""
KNOWN_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32_000: "lzf"}
"""Every other one is a plug-in, which the library looks for and loads, or an old one with faults."""

_COMPACT, _CONTIGUOUS, _CHUNKED, VIRTUAL = 0, 1, 2, 3
_INDEX_SIGNATURES = {3: b"FAHD\x00", 4: b"EAHD\x00", 5: b"BTHD\x00"}
_SINGLE, _IMPLICIT = 1, 2


@dataclass(frozen=True, slots=True)
class Storage:
    """Where elements lie that are in one piece."""

    address: int = UNDEFINED
    inline: bytes = b""
    is_virtual: bool = False
    """Its elements are taken from other files."""


def parse_filters(data: bytes) -> tuple[int, ...]:
    """Return the numbers of a dataset's filters."""
    cursor = Cursor(data, "a filter")
    version, count = cursor.number(1), cursor.number(1)
    if version not in (1, 2) or count > MAX_FILTERS:
        raise RejectedError("the filters of a dataset are malformed")
    if version == 1:
        cursor.take(6)
    numbers = []
    for _ in range(count):
        number = cursor.number(2)
        name_bytes = cursor.number(2) if version == 1 or number >= 256 else 0
        flags, values = cursor.number(2), cursor.number(2)
        if flags & ~1:
            raise RejectedError("a filter has unknown flags")
        cursor.take(-(-name_bytes // 8) * 8 if version == 1 else name_bytes)
        cursor.take(4 * values + (4 if version == 1 and values % 2 else 0))
        numbers.append(number)
    return tuple(numbers)


def parse_layout(file: Hdf5Bytes, data: bytes, element: ElementType, extent: Extent) -> Storage:
    """Return where the elements lie, all of them inside the file.

    Raises:
        RejectedError: cut, unknown, beyond the end of the file, another size than the elements have,
            chunks of other dimensions than the dataset.
    """
    cursor = Cursor(data, "the layout of a dataset")
    version = cursor.number(1)
    if version in (1, 2):
        return _parse_old(file, cursor, element, extent)
    if version not in (3, 4):
        raise RejectedError(f"a layout of version {version} is not known")
    kind = cursor.number(1)
    if kind == _COMPACT:
        return Storage(inline=_inline(cursor.take(cursor.number(2)), element, extent))
    if kind == _CONTIGUOUS:
        address, size = cursor.number(8), cursor.number(8)
        return _contiguous(file, address, size, element, extent)
    if kind == _CHUNKED and version == 3:
        rank, address = cursor.number(1) - 1, cursor.number(8)
        sizes = [cursor.number(4) for _ in range(_require_rank(rank, extent))]
        _require_chunk(sizes, cursor.number(4), element)
        _require_chunks(file, address, rank)
        return Storage()
    if kind == _CHUNKED:
        _parse_new_chunks(file, cursor, element, extent)
        return Storage()
    if kind == VIRTUAL:
        return Storage(is_virtual=True)
    raise RejectedError(f"a layout of class {kind} is not known")


def _parse_old(file: Hdf5Bytes, cursor: Cursor, element: ElementType, extent: Extent) -> Storage:
    """Versions 1 and 2, written before 2004: the element's size is one more dimension."""
    rank, kind = cursor.number(1), cursor.number(1)
    cursor.take(5)
    address = cursor.number(8) if kind != _COMPACT else UNDEFINED
    if rank > MAX_RANK + 1:
        raise RejectedError("the layout of a dataset is malformed")
    sizes = [cursor.number(4) for _ in range(rank)]
    if kind == _COMPACT:
        return Storage(inline=_inline(cursor.take(cursor.number(4)), element, extent))
    if kind == _CONTIGUOUS:
        return _contiguous(file, address, extent.count * element.size_bytes, element, extent)
    if kind != _CHUNKED or not sizes:
        raise RejectedError(f"a layout of class {kind} is not known")
    _require_rank(rank - 1, extent)
    _require_chunk(sizes[:-1], sizes[-1], element)
    _require_chunks(file, address, rank - 1)
    return Storage()


def _inline(data: bytes, element: ElementType, extent: Extent) -> bytes:
    if len(data) < extent.count * element.size_bytes:
        raise RejectedError("a dataset is larger than what is stored of it")
    return data


def _contiguous(file: Hdf5Bytes, address: int, size: int, element: ElementType, extent: Extent) -> Storage:
    if address == UNDEFINED:
        return Storage()
    if size != extent.count * element.size_bytes:
        raise RejectedError("a dataset has another size than its elements")
    file.require_span(address, size, "a dataset")
    return Storage(address)


def _require_rank(rank: int, extent: Extent) -> int:
    if rank != len(extent.dimensions) or not rank:
        raise RejectedError("the chunks of a dataset have other dimensions than it")
    return rank


def _require_chunk(sizes: list[int], element_bytes: int, element: ElementType) -> int:
    total = element_bytes
    for size in sizes:
        total *= size
    if element_bytes != element.size_bytes or not 0 < total <= MAX_CHUNK_BYTES:
        raise RejectedError("the chunks of a dataset have a size that none can have")
    return total


def _require_chunks(file: Hdf5Bytes, address: int, rank: int) -> None:
    if address == UNDEFINED:
        return
    for count, (start, size) in enumerate(read_chunk_tree(file, address, rank)):
        file.require_span(start, size, "a chunk of a dataset")
        if count > MAX_CHUNKS:
            raise RejectedError(f"a dataset of more than {MAX_CHUNKS} chunks")


def _parse_new_chunks(file: Hdf5Bytes, cursor: Cursor, element: ElementType, extent: Extent) -> None:
    """Version 4: one of five kinds of index. Of the larger ones only the head is looked at."""
    flags, rank, width = cursor.number(1), cursor.number(1), cursor.number(1)
    if flags & ~3 or not 1 <= width <= 8:
        raise RejectedError("the layout of a dataset is malformed")
    _require_rank(rank - 1, extent)
    sizes = [cursor.number(width) for _ in range(rank)]
    chunk_bytes = _require_chunk(sizes[:-1], sizes[-1], element)
    kind = cursor.number(1)
    if kind == _SINGLE:
        if flags & 2:
            chunk_bytes = cursor.number(8)
            cursor.take(4)
    elif kind != _IMPLICIT:
        cursor.take({3: 1, 4: 5, 5: 6}.get(kind, cursor.left + 1))
    address = cursor.number(8)
    if address == UNDEFINED:
        return
    if kind in _INDEX_SIGNATURES:
        if not file.read(address, 5) == _INDEX_SIGNATURES[kind]:
            raise RejectedError("the index of a dataset is malformed")
        return
    if kind == _IMPLICIT:
        for length, size in zip(extent.dimensions, sizes, strict=False):
            chunk_bytes *= -(-length // size)
    file.require_span(address, chunk_bytes, "a dataset")
