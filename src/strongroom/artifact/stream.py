"""Move whole files through sealed/1: seal, unseal, verify; one pass, a few MiB of memory, a few threads."""

from collections.abc import Callable
from hashlib import sha256

from cryptography.hazmat.primitives.constant_time import bytes_eq

from strongroom.artifact import sealed
from strongroom.artifact.lanes import Progress, Work, run_lanes
from strongroom.artifact.manifest import MAX_ENTRY_BYTES, require_path
from strongroom.artifact.opening import (
    ReadInto,
    decrypt_chunk,
    derive_key,
    read_chunk,
    read_header,
    require_object_size,
)
from strongroom.artifact.reader import SealedReader as SealedReader
from strongroom.artifact.scratch import allocate, congruent
from strongroom.artifact.sealed import CHUNK_BYTES, SEALED_CHUNK_BYTES, TAG_BYTES
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.values import Digest, ModelId, SealedEntry

WriteAt = Callable[[int, bytes | bytearray | memoryview], None]
"""`BlobWriter.write_at`, `Memory.write_at`: write all of it at an offset; thread-safe for disjoint ranges."""

DEFAULT_THREADS = 2


def seal(
    read_into: ReadInto,
    write_at: WriteAt,
    size: int,
    model: ModelId,
    path: str,
    object: str,  # noqa: A002 - the field's name in SealedEntry
    salt: bytes,
    dek: bytes,
    threads: int = DEFAULT_THREADS,
    progress: Progress | None = None,
) -> SealedEntry:
    """Seal ``size`` bytes in one pass and say what was sealed; on failure the object must be discarded.

    ``salt`` is 32 fresh random bytes and never used again. Extra memory: at most 32 MiB.

    Raises:
        InvalidError: the source is shorter or longer than ``size``, so it changed while it was read.
    """
    require_path(path)
    if not 0 <= size <= MAX_ENTRY_BYTES:
        raise InvalidError(f"entry {shorten(path)}: the size is not within 0 and {MAX_ENTRY_BYTES}")
    header, key = sealed.build(dek, salt, model, path, size)
    header_bytes = header.to_bytes()
    chunk_hashes = bytearray(32 * sealed.count_chunks(size))

    def make_work() -> Work:
        scratch = allocate(SEALED_CHUNK_BYTES)

        def seal_chunk(index: int, buffer: memoryview) -> int:
            plain = buffer[: sealed.chunk_size(index, size)]
            if read_into(index * CHUNK_BYTES, plain) != len(plain):
                raise _changed(path, "shorter")
            offset = sealed.chunk_offset(index)
            ciphertext = congruent(scratch, offset, len(plain) + TAG_BYTES)
            key.encrypt(index, plain, ciphertext)
            chunk_hashes[32 * index : 32 * index + 32] = sealed.hash_chunk(ciphertext)
            write_at(offset, ciphertext)
            return len(plain)

        return seal_chunk

    write_at(0, header_bytes)
    digest = sha256()
    run_lanes(threads, sealed.count_chunks(size), CHUNK_BYTES, make_work, digest.update, progress)
    if read_into(size, memoryview(bytearray(1))):
        raise _changed(path, "longer")
    root = sealed.hash_root(header_bytes, chunk_hashes)
    return SealedEntry(path, size, Digest(digest.digest()), object, header.commitment, root)


def unseal(
    read_into: ReadInto,
    write_at: WriteAt,
    dek: bytes,
    entry: SealedEntry,
    model: ModelId,
    threads: int = DEFAULT_THREADS,
    full: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write the plaintext, in one pass that checks header, key, every tag, the signed root and the size.

    ``full`` also checks the plaintext's SHA-256. Nothing written may be used unless this returns: chunks are
    written once they authenticate, before the root over all of them is known to hold.

    Raises:
        RejectedError: the object is not the one that ``entry`` binds; names the entry and, if there is one,
            the chunk.
    """
    header_bytes = read_header(read_into, entry, model)
    require_object_size(read_into, entry)
    key = derive_key(dek, header_bytes, entry)
    chunks = sealed.count_chunks(entry.size_bytes)
    chunk_hashes = bytearray(32 * chunks)

    def make_work() -> Work:
        scratch = allocate(SEALED_CHUNK_BYTES)

        def unseal_chunk(index: int, buffer: memoryview) -> int:
            ciphertext = read_chunk(read_into, entry, index, scratch)
            chunk_hashes[32 * index : 32 * index + 32] = sealed.hash_chunk(ciphertext)
            plain = buffer[: len(ciphertext) - TAG_BYTES]
            decrypt_chunk(key, index, ciphertext, plain, entry)
            if plain:
                write_at(index * CHUNK_BYTES, plain)
            return len(plain)

        return unseal_chunk

    digest = sha256()
    run_lanes(threads, chunks, CHUNK_BYTES, make_work, digest.update if full else None, progress)
    _require_root(header_bytes, chunk_hashes, entry)
    if full and digest.digest() != entry.sha256.value:
        raise RejectedError(f"entry {shorten(entry.path)}: the plaintext differs from its SHA-256")


def verify_root(
    read_into: ReadInto,
    entry: SealedEntry,
    object_size: int,
    threads: int = DEFAULT_THREADS,
    progress: Progress | None = None,
) -> None:
    """Check, without any key, that the stored object is byte for byte the one that ``entry`` binds.

    Raises:
        RejectedError: it is not.
    """
    header_bytes = read_header(read_into, entry)
    if object_size != sealed.object_size(entry.size_bytes):
        raise RejectedError(
            f"entry {shorten(entry.path)}: the object has {object_size} bytes: cut or appended to"
        )
    require_object_size(read_into, entry)
    chunks = sealed.count_chunks(entry.size_bytes)
    chunk_hashes = bytearray(32 * chunks)

    def hash_chunk(index: int, buffer: memoryview) -> int:
        ciphertext = read_chunk(read_into, entry, index, buffer)
        chunk_hashes[32 * index : 32 * index + 32] = sealed.hash_chunk(ciphertext)
        return len(ciphertext) - TAG_BYTES

    run_lanes(threads, chunks, SEALED_CHUNK_BYTES, lambda: hash_chunk, None, progress)
    _require_root(header_bytes, chunk_hashes, entry)


def _require_root(header_bytes: bytes, chunk_hashes: bytearray, entry: SealedEntry) -> None:
    if not bytes_eq(sealed.hash_root(header_bytes, chunk_hashes), entry.root):
        raise RejectedError(f"entry {shorten(entry.path)}: the object differs from its signed root")


def _changed(path: str, how: str) -> InvalidError:
    return InvalidError(
        f"entry {shorten(path)}: the file is {how} than it was, it changed while it was read",
        hint="hand over a file that nothing is writing to",
    )
