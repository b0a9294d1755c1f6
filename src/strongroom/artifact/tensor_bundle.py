"""Read the index of a TensorFlow checkpoint: which tensors lie where in its data files.

It is a table of sorted keys (tensorflow/core/lib/io/table_format.txt) of BundleEntryProto
(tensorflow/core/protobuf/tensor_bundle.proto).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from strongroom.artifact import saved_model_fields as fields
from strongroom.artifact.protobuf import ReadAt, Wire
from strongroom.errors import RejectedError, shorten

MAX_INDEX_BYTES = 64 * 2**20
MAX_ENTRIES = 1_000_000
MAX_KEY_BYTES = 4096
MAX_SHARDS = 4096

_FOOTER_BYTES = 48
_MAGIC = 0xDB4775248B80FB57
_TRAILER_BYTES = 5
STRING, VARIANT = 7, 21
# Bytes of an element by DataType (tensorflow/core/framework/types.proto).
_ELEMENT_BYTES = {
    1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 11: 1, 12: 1, 13: 4, 14: 2, 15: 2, 16: 2, 17: 2,
    18: 16, 19: 2, 22: 4, 23: 8, 24: 1, 25: 1, 26: 1, 27: 1, 28: 1, 29: 1, 30: 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One tensor in a data file."""

    key: str
    dtype: int
    elements: int
    shard: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Bundle:
    shards: int
    entries: tuple[BundleEntry, ...]


def read_bundle(read_at: ReadAt, size_bytes: int) -> Bundle:
    """Return what an index lists.

    Raises:
        RejectedError: cut, compressed, keys that do not ascend, sizes that do not fit the dimensions.
    """
    if not _FOOTER_BYTES <= size_bytes <= MAX_INDEX_BYTES:
        raise RejectedError("the index of the variables has a size that none has")
    data = read_at(0, size_bytes)
    footer = data[-_FOOTER_BYTES:]
    if len(data) != size_bytes or int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise RejectedError("the index of the variables is malformed")
    at = _varint(footer, _varint(footer, 0)[1])[1]  # past the handle of the meta index, which is empty
    offset, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    shards, entries, last = 0, list[BundleEntry](), b""
    for _, handle in _block(data, offset, size):
        start, at = _varint(handle, 0)
        for key, value in _block(data, start, _varint(handle, at)[0]):
            if (entries or shards) and key <= last:
                raise RejectedError("the keys of the index do not ascend")
            last = key
            if not key and not shards:
                shards = _shards(value)
            else:
                entries.append(_entry(key, value))
            if len(entries) > MAX_ENTRIES:
                raise RejectedError(f"the index lists more than {MAX_ENTRIES} tensors")
    if not shards:
        raise RejectedError("the index of the variables has no header")
    return Bundle(shards, tuple(entries))


def require_covered(entries: list[BundleEntry], size_bytes: int) -> None:
    """Raises RejectedError unless a data file holds just these tensors, one behind the other."""
    at = 0
    for entry in sorted(entries, key=lambda entry: (entry.offset, entry.size_bytes)):
        if entry.offset != at:
            raise RejectedError(f"the data of {shorten(entry.key)} does not follow what is before")
        at += entry.size_bytes
    if at != size_bytes:
        raise RejectedError("the data of the variables is longer or shorter than its index says")


def parse_texts(data: bytes, count: int) -> list[bytes]:
    """Return the elements of a tensor of texts: their lengths, a checksum, then one behind the other."""
    at, sizes = 0, []
    for _ in range(count):
        size, at = _varint(data, at)
        sizes.append(size)
    at += 4
    texts = []
    for size in sizes:
        if size > len(data) - at:
            raise RejectedError("texts in the variables are cut")
        texts.append(data[at : at + size])
        at += size
    return texts


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    if size < 4 or offset + size + _TRAILER_BYTES > len(data) or data[offset + size]:
        raise RejectedError("a block of the index is cut or compressed")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise RejectedError("a block of the index is malformed")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or shared + own > MAX_KEY_BYTES or own + length > end - at:
            raise RejectedError("a block of the index is malformed")
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise RejectedError("a number in the index is malformed")


def _wire(value: bytes) -> Wire:
    return Wire(lambda offset, size: value[offset : offset + size], len(value), "the index")


def _shards(value: bytes) -> int:
    numbers = {n: v for n, v, _ in _wire(value).message((0, len(value)), fields.BUNDLE_HEADER)}
    shards = numbers.get(1, 0)
    if not 0 < shards <= MAX_SHARDS or numbers.get(2, 0):
        raise RejectedError("the header of the index is malformed, or not little-endian")
    return shards


def _entry(key: bytes, value: bytes) -> BundleEntry:
    wire = _wire(value)
    numbers, sizes, is_sliced = dict.fromkeys((1, 3, 4, 5), 0), list[int](), False
    for number, scalar, span in wire.message((0, len(value)), fields.BUNDLE_ENTRY):
        numbers[number] = scalar
        if number == 2:
            for part, _, inner in wire.message(span, fields.SHAPE):
                if part == 2:
                    sizes.append(next((v for n, v, _ in wire.message(inner, fields.DIMENSION) if n == 1), 0))
        is_sliced = is_sliced or number == 7
    dtype, elements, size = numbers[1], prod(sizes), numbers[5]
    if elements >= 2**63:
        raise RejectedError("the dimensions of a variable overflow")
    width = _ELEMENT_BYTES.get(dtype)
    if width is None and dtype not in (STRING, VARIANT):
        raise RejectedError(f"variables of type {dtype} are not known")
    if width is not None and size != elements * width and not (is_sliced and not size):
        raise RejectedError(f"variable {shorten(key)} has another size than its elements")
    return BundleEntry(key.decode("utf-8", "replace"), dtype, elements, numbers[3], numbers[4], size)
