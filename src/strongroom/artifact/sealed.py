"""The sealed/1 format: header, keys and chunk rules (docs/formats/sealed-1.md).

The version byte fixes every algorithm; there is no option. Everything here is a few hundred bytes of
arithmetic; `stream` moves the gigabytes.
"""

from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Self

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.artifact.manifest import MAX_ENTRY_BYTES, MAX_PATH_BYTES, require_path
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.values import ModelId

MAGIC = b"strongroom-seal\x01"
HEADER_BYTES = 4096
CHUNK_BYTES = 2**20
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
SALT_BYTES = 32
COMMITMENT_BYTES = 32
DEK_BYTES = 32
MAX_MODEL_BYTES = 128

_INFO = b"strongroom/sealed/1\x00"
_FIXED = Struct(">16sQII32s32s")
_LENGTH = Struct(">H")
_AAD = Struct(">32sQB")
_COMMITMENT_AT = 64


def count_chunks(size_bytes: int) -> int:
    """Chunks of a plaintext; an empty one has a single empty chunk."""
    return max(1, -(-size_bytes // CHUNK_BYTES))


def object_size(size_bytes: int) -> int:
    """Size of the sealed object for a plaintext of ``size_bytes``."""
    return HEADER_BYTES + size_bytes + TAG_BYTES * count_chunks(size_bytes)


def chunk_size(index: int, size_bytes: int) -> int:
    """Plaintext bytes in chunk ``index``: all are full but the last."""
    return min(CHUNK_BYTES, size_bytes - index * CHUNK_BYTES)


def chunk_offset(index: int) -> int:
    """Where chunk ``index`` begins in the sealed object."""
    return HEADER_BYTES + index * SEALED_CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Header:
    """The first 4 KiB of a sealed object: what it is, whose it is, and which key opens it."""

    model: ModelId
    path: str
    size_bytes: int
    salt: bytes
    commitment: bytes

    def __post_init__(self) -> None:
        require_path(self.path)
        if not 0 <= self.size_bytes <= MAX_ENTRY_BYTES:
            raise RejectedError(f"sealed header: the size is not within 0 and {MAX_ENTRY_BYTES}")
        if len(self.salt) != SALT_BYTES or len(self.commitment) != COMMITMENT_BYTES:
            raise RejectedError("sealed header: salt or commitment is not 32 bytes")

    def to_bytes(self) -> bytes:
        fixed = _FIXED.pack(MAGIC, self.size_bytes, CHUNK_BYTES, 0, self.salt, self.commitment)
        model, path = str(self.model).encode(), self.path.encode()
        named = fixed + _LENGTH.pack(len(model)) + model + _LENGTH.pack(len(path)) + path
        return named.ljust(HEADER_BYTES, b"\x00")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the header whose bytes are exactly ``data``.

        Raises:
            RejectedError: any other length, magic, version, chunk size, name or padding.
        """
        if len(data) != HEADER_BYTES:
            raise RejectedError(f"sealed header: cut, {len(data)} of {HEADER_BYTES} bytes")
        magic, size, chunk, reserved, salt, commitment = _FIXED.unpack_from(data)
        if magic[:-1] != MAGIC[:-1]:
            raise RejectedError("sealed header: this is not a sealed object")
        if magic != MAGIC:
            raise RejectedError(
                f"sealed header: format version {magic[-1]} is not known",
                hint="it was written by another release of strongroom",
            )
        if chunk != CHUNK_BYTES or reserved:
            raise RejectedError("sealed header: a chunk size or flag that sealed/1 does not have")
        model, at = _parse_text(data, _FIXED.size, MAX_MODEL_BYTES)
        path, _ = _parse_text(data, at, MAX_PATH_BYTES)
        try:
            header = cls(ModelId.parse(model), path, size, salt, commitment)
        except InvalidError as error:
            raise RejectedError(f"sealed header: {error.message}") from None
        if header.to_bytes() != data:
            raise RejectedError("sealed header: bytes after the names are not zero")
        return header


class FileKey:
    """The key of one sealed object, bound to its header. It seals one file, so counters never repeat."""

    __slots__ = ("_cipher", "_header_digest", "_last")

    def __init__(self, key: bytes, header: Header) -> None:
        self._cipher = AESGCM(key)
        self._header_digest = sha256(header.to_bytes()).digest()
        self._last = count_chunks(header.size_bytes) - 1

    def encrypt(self, index: int, plain: memoryview, sealed: memoryview) -> None:
        """Fill ``sealed`` (16 bytes longer) with ciphertext and tag of chunk ``index``. Thread-safe."""
        self._cipher.encrypt_into(_nonce(index), plain, self._aad(index), sealed)

    def decrypt(self, index: int, sealed: memoryview, plain: memoryview) -> None:
        """Fill ``plain`` (16 bytes shorter) with the authenticated plaintext of chunk ``index``. Thread-safe.

        Raises:
            RejectedError: the tag does not hold; ``plain`` must not be used.
        """
        try:
            self._cipher.decrypt_into(_nonce(index), sealed, self._aad(index), plain)
        except InvalidTag:
            raise RejectedError("the chunk does not authenticate") from None

    def _aad(self, index: int) -> bytes:
        return _AAD.pack(self._header_digest, index, index == self._last)


def build(dek: bytes, salt: bytes, model: ModelId, path: str, size_bytes: int) -> tuple[Header, FileKey]:
    """Begin a sealed object. ``salt`` must be 32 fresh random bytes: a repeated one repeats the file key."""
    draft = Header(model, path, size_bytes, salt, bytes(COMMITMENT_BYTES))
    key, commitment = _derive(dek, draft)
    header = Header(model, path, size_bytes, salt, commitment)
    return header, FileKey(key, header)


def derive(dek: bytes, header: Header) -> FileKey:
    """Return the key that ``header`` commits to.

    Raises:
        RejectedError: the data key is another one, or a header field was edited.
    """
    key, commitment = _derive(dek, header)
    if not bytes_eq(commitment, header.commitment):
        raise RejectedError("the key commitment does not hold: a foreign key or an edited header")
    return FileKey(key, header)


def hash_chunk(sealed: bytes | memoryview) -> bytes:
    """BLAKE3 of one ciphertext chunk with its tag."""
    return blake3(sealed).digest()


def hash_root(header: bytes, chunk_hashes: bytes | bytearray) -> bytes:
    """The root that the seal statement signs: BLAKE3(header ‖ h_0 ‖ h_1 ‖ …)."""
    root = blake3(header)
    root.update(chunk_hashes)
    return root.digest()


def _derive(dek: bytes, header: Header) -> tuple[bytes, bytes]:
    """HKDF-SHA-512 (RFC 5869) over the data key; every header byte but the commitment is in the context."""
    if len(dek) != DEK_BYTES:
        raise InvalidError(f"data key: not {DEK_BYTES} bytes")
    context = bytearray(header.to_bytes())
    context[_COMMITMENT_AT : _COMMITMENT_AT + COMMITMENT_BYTES] = bytes(COMMITMENT_BYTES)
    derived = HKDF(SHA512(), 64, header.salt, _INFO + bytes(context)).derive(dek)
    return derived[:32], derived[32:]


def _nonce(index: int) -> bytes:
    """NIST SP 800-38D 8.2.1, deterministic construction: the key is the file, the counter the chunk."""
    return index.to_bytes(12, "big")


def _parse_text(data: bytes, at: int, limit: int) -> tuple[str, int]:
    (size,) = _LENGTH.unpack_from(data, at)
    start, end = at + _LENGTH.size, at + _LENGTH.size + size
    if not 0 < size <= limit:
        raise RejectedError(f"sealed header: a name of {size} bytes is not within 1 and {limit}")
    try:
        return data[start:end].decode(), end
    except UnicodeDecodeError:
        raise RejectedError(f"sealed header: name {shorten(data[start:end])} is not UTF-8") from None
