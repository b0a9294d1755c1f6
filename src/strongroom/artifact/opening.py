"""Open a sealed object: its header against the statement, its size, its key, one chunk."""

from collections.abc import Callable

from cryptography.hazmat.primitives.constant_time import bytes_eq

from strongroom.artifact import sealed
from strongroom.artifact.scratch import congruent
from strongroom.artifact.sealed import HEADER_BYTES, TAG_BYTES, Header
from strongroom.errors import RejectedError, shorten
from strongroom.values import ModelId, SealedEntry

ReadInto = Callable[[int, memoryview], int]
"""`BlobReader.read_into`: fill the buffer from an offset, short only at the end; thread-safe."""


def read_header(read_into: ReadInto, entry: SealedEntry, model: ModelId | None = None) -> bytes:
    """Return the header's bytes if they say what ``entry`` says (and ``model``, if given)."""
    buffer = bytearray(HEADER_BYTES)
    size = read_into(0, memoryview(buffer))
    try:
        header = Header.parse(bytes(buffer[:size]))
    except RejectedError as error:
        raise RejectedError(f"entry {shorten(entry.path)}: {error.message}", hint=error.hint) from None
    if model is not None and header.model != model:
        raise RejectedError(
            f"entry {shorten(entry.path)}: the object was sealed for {header.model}, not {model}"
        )
    if header.path != entry.path:
        raise RejectedError(f"entry {shorten(entry.path)}: the object was sealed as {shorten(header.path)}")
    if header.size_bytes != entry.size_bytes:
        raise RejectedError(f"entry {shorten(entry.path)}: the header says another size than the statement")
    if not bytes_eq(header.commitment, entry.commitment):
        raise RejectedError(f"entry {shorten(entry.path)}: the header's key commitment is not the signed one")
    return bytes(buffer)


def require_object_size(read_into: ReadInto, entry: SealedEntry) -> None:
    """Refuse an object that ends before or after where it must."""
    last = sealed.object_size(entry.size_bytes) - 1
    found = read_into(last, memoryview(bytearray(2)))
    if found != 1:
        what = "is cut" if found == 0 else "has bytes appended"
        raise RejectedError(f"entry {shorten(entry.path)}: the object {what}")


def derive_key(dek: bytes, header_bytes: bytes, entry: SealedEntry) -> sealed.FileKey:
    """Return the file key, or say for which entry the data key is foreign."""
    try:
        return sealed.derive(dek, Header.parse(header_bytes))
    except RejectedError as error:
        raise RejectedError(f"entry {shorten(entry.path)}: {error.message}") from None


def read_chunk(read_into: ReadInto, entry: SealedEntry, index: int, scratch: memoryview) -> memoryview:
    """Return chunk ``index`` with its tag, read into ``scratch``."""
    offset = sealed.chunk_offset(index)
    ciphertext = congruent(scratch, offset, sealed.chunk_size(index, entry.size_bytes) + TAG_BYTES)
    if read_into(offset, ciphertext) != len(ciphertext):
        raise RejectedError(f"entry {shorten(entry.path)}: the object is cut in chunk {index}")
    return ciphertext


def decrypt_chunk(
    key: sealed.FileKey, index: int, ciphertext: memoryview, plain: memoryview, entry: SealedEntry
) -> None:
    """Decrypt one chunk, or say which chunk of which entry does not authenticate."""
    try:
        key.decrypt(index, ciphertext, plain)
    except RejectedError:
        chunks = sealed.count_chunks(entry.size_bytes)
        raise RejectedError(
            f"entry {shorten(entry.path)}: chunk {index} of {chunks} does not authenticate"
        ) from None
