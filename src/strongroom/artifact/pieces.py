"""Small things sealed whole, in memory, as sealed/1 objects (docs/formats/backup.md)."""

from strongroom.artifact.opening import ReadInto
from strongroom.artifact.sealed import object_size
from strongroom.artifact.stream import seal, unseal
from strongroom.errors import InvalidError, RejectedError
from strongroom.values import ModelId, SealedEntry

MAX_PIECE_BYTES = 8 * 2**20


def seal_piece(
    content: bytes, model: ModelId, name: str, key: bytes, salt: bytes
) -> tuple[bytes, SealedEntry]:
    """Return the sealed bytes of ``content`` and the entry that binds them; key and salt are 32 bytes each.

    ``salt`` must never be used for another content: it is fresh, or derived from all of it (`seal`).

    Raises:
        InvalidError: more than MAX_PIECE_BYTES.
    """
    if len(content) > MAX_PIECE_BYTES:
        raise InvalidError(f"piece: more than {MAX_PIECE_BYTES} bytes")
    sealed = bytearray(object_size(len(content)))

    def write_at(offset: int, data: bytes | bytearray | memoryview) -> None:
        sealed[offset : offset + len(data)] = data

    entry = seal(_reader(content), write_at, len(content), model, name, name, salt, key, threads=1)
    return bytes(sealed), entry


def open_piece(sealed: bytes, model: ModelId, entry: SealedEntry, key: bytes) -> bytes:
    """Return the content that ``entry`` binds.

    Raises:
        RejectedError: a byte differs, it was sealed under another name or key, or it is too large.
    """
    if entry.size_bytes > MAX_PIECE_BYTES:
        raise RejectedError(f"piece: more than {MAX_PIECE_BYTES} bytes")
    content = bytearray(entry.size_bytes)

    def write_at(offset: int, data: bytes | bytearray | memoryview) -> None:
        content[offset : offset + len(data)] = data

    unseal(_reader(sealed), write_at, key, entry, model, threads=1, full=True)
    return bytes(content)


def _reader(data: bytes) -> ReadInto:
    view = memoryview(data)

    def read_into(offset: int, buffer: memoryview) -> int:
        part = view[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return read_into
