"""Files as the artifact room sees them: bytes to read from and to write to, and a sealed object to attack."""

from dataclasses import dataclass, replace
from functools import cache
from hashlib import shake_256
from threading import Lock

from strongroom.artifact.sealed import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES
from strongroom.artifact.stream import seal, unseal
from strongroom.values import ModelId, SealedEntry

MODEL = ModelId.parse("fraud@1.2.0")
DEK = bytes(range(32))
SALT = bytes(range(32, 64))


class Octets:
    """A file in memory with the methods of a blob reader and writer."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self._growing = Lock()

    def read_into(self, offset: int, buffer: memoryview) -> int:
        piece = self.content[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def read_at(self, offset: int, size: int) -> bytes:
        return bytes(self.content[offset : offset + size])

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        with self._growing:  # two lanes write at once
            missing = offset + len(data) - len(self.content)
            if missing > 0:
                self.content.extend(bytes(missing))
            self.content[offset : offset + len(data)] = data


@dataclass(frozen=True)
class Sealed:
    """A sealed object, its entry and what it holds."""

    content: bytes
    entry: SealedEntry
    plain: bytes
    model: ModelId = MODEL
    dek: bytes = DEK

    def chunk(self, index: int) -> bytes:
        start = HEADER_BYTES + index * SEALED_CHUNK_BYTES
        return self.content[start : start + SEALED_CHUNK_BYTES]

    def with_chunks(self, *chunks: bytes) -> "Sealed":
        return replace(self, content=self.content[:HEADER_BYTES] + b"".join(chunks))

    def with_flip(self, at: int, bit: int = 0) -> "Sealed":
        flipped = bytearray(self.content)
        flipped[at] ^= 1 << bit
        return replace(self, content=bytes(flipped))

    def open(self, threads: int = 2, full: bool = False) -> bytes:
        """Unseal into memory."""
        plain = Octets()
        unseal(
            Octets(self.content).read_into, plain.write_at, self.dek, self.entry, self.model, threads, full
        )
        return bytes(plain.content)


@cache
def some_bytes(size: int, seed: bytes = b"plain") -> bytes:
    return shake_256(seed).digest(size)


@cache
def make_sealed(
    size: int = 3 * CHUNK_BYTES + 5,
    model: ModelId = MODEL,
    path: str = "model.onnx",
    dek: bytes = DEK,
    salt: bytes = SALT,
    seed: bytes = b"plain",
    threads: int = 2,
) -> Sealed:
    plain, out = some_bytes(size, seed), Octets()
    entry = seal(
        Octets(plain).read_into, out.write_at, size, model, path, "fraud/1.2.0/0.sealed", salt, dek, threads
    )
    return Sealed(bytes(out.content), entry, plain, model, dek)
