"""Bytes of an HDF5 file within bounds, and the checksum that its newer structures carry.

Format: https://docs.hdfgroup.org/hdf5/v1_14/_f_m_t3.html (versions 0 to 3 of the superblock).
"""

from struct import Struct

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError

UNDEFINED = 2**64 - 1
"""The address of what was not written."""
MAX_STRUCTURE_BYTES = 32 * 2**20
"""Read of one file's structure, all headers, trees and heaps together; its data is not read."""
MAX_BLOCK_BYTES = 16 * 2**20
"""Of one structure. The library writes 4 MiB at most unless it is told to."""
MAX_CHECKED_BYTES = 2 * 2**20
"""Checksums take 0.3 us a byte here. Beyond, they are left to the library, which checks them all."""

_WINDOW_BYTES = 64 * 1024
_READ_BYTES = 32
"""What a read counts for besides its size, so that many empty ones end as well."""
_THREE = Struct("<3I")
_U32 = 0xFFFFFFFF


class Hdf5Bytes:
    """Reads structures; refuses to leave the file, and to read more than any model's structure takes."""

    def __init__(self, read_at: ReadAt, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._read_at = read_at
        self._left = MAX_STRUCTURE_BYTES
        self._unchecked_left = MAX_CHECKED_BYTES
        self._start, self._window = 0, b""

    def read(self, address: int, size: int) -> bytes:
        self.require_span(address, size, "a structure")
        if size > MAX_BLOCK_BYTES:
            raise RejectedError(f"a structure of {size} bytes is larger than any model needs")
        self._left -= size + _READ_BYTES
        if self._left < 0:
            raise RejectedError(f"more than {MAX_STRUCTURE_BYTES} bytes of structure")
        offset = address - self._start
        if not 0 <= offset <= len(self._window) - size:
            wanted = max(size, min(_WINDOW_BYTES, self.size_bytes - address))
            self._start, self._window, offset = address, self._read_at(address, wanted), 0
            if len(self._window) < size:
                raise RejectedError("the file is cut")
        return self._window[offset : offset + size]

    def require_span(self, address: int, size: int, what: str) -> None:
        if address > self.size_bytes or size > self.size_bytes - address:
            raise RejectedError(f"{what} reaches beyond the end of the file")

    def require_checksum(self, block: bytes, what: str) -> None:
        """Check the four bytes at the end of a block against those before."""
        self._unchecked_left -= len(block)
        if self._unchecked_left < 0:
            return
        if lookup3(block[:-4]) != int.from_bytes(block[-4:], "little"):
            raise RejectedError(f"the checksum of {what} is wrong")


class Cursor:
    """Takes numbers from the front of a block, never beyond its end."""

    def __init__(self, data: bytes, what: str, at: int = 0) -> None:
        self.data, self.what, self.at = data, what, at

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise RejectedError(f"{self.what} is cut")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def name(self, padded: bool) -> bytes:
        """A text up to its NUL; padded ones fill eights."""
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise RejectedError(f"{self.what}: a name has no end")
        text, size = self.data[self.at : end], end + 1 - self.at
        self.take(-(-size // 8) * 8 if padded else size)
        return text

    def require(self, expected: bytes) -> None:
        if self.take(len(expected)) != expected:
            raise RejectedError(f"{self.what} is malformed")


def lookup3(data: bytes) -> int:
    """Bob Jenkins' lookup3, ``hashlittle`` with 0 at the start (burtleburtle.net/bob/c/lookup3.c)."""
    length = len(data)
    a = b = c = (0xDEADBEEF + length) & _U32
    whole = (length - 1) // 12 * 12 if length else 0
    for x, y, z in _THREE.iter_unpack(data[:whole]):
        a, b, c = (a + x) & _U32, (b + y) & _U32, (c + z) & _U32
        a = (a - c) & _U32 ^ ((c << 4 | c >> 28) & _U32)
        c = (c + b) & _U32
        b = (b - a) & _U32 ^ ((a << 6 | a >> 26) & _U32)
        a = (a + c) & _U32
        c = (c - b) & _U32 ^ ((b << 8 | b >> 24) & _U32)
        b = (b + a) & _U32
        a = (a - c) & _U32 ^ ((c << 16 | c >> 16) & _U32)
        c = (c + b) & _U32
        b = (b - a) & _U32 ^ ((a << 19 | a >> 13) & _U32)
        a = (a + c) & _U32
        c = (c - b) & _U32 ^ ((b << 4 | b >> 28) & _U32)
        b = (b + a) & _U32
    if not length:
        return c
    x, y, z = _THREE.unpack(data[whole:].ljust(12, b"\0"))
    return _last_mix((a + x) & _U32, (b + y) & _U32, (c + z) & _U32)


def _last_mix(a: int, b: int, c: int) -> int:
    c = ((c ^ b) - ((b << 14 | b >> 18) & _U32)) & _U32
    a = ((a ^ c) - ((c << 11 | c >> 21) & _U32)) & _U32
    b = ((b ^ a) - ((a << 25 | a >> 7) & _U32)) & _U32
    c = ((c ^ b) - ((b << 16 | b >> 16) & _U32)) & _U32
    a = ((a ^ c) - ((c << 4 | c >> 28) & _U32)) & _U32
    b = ((b ^ a) - ((a << 14 | a >> 18) & _U32)) & _U32
    return ((c ^ b) - ((b << 24 | b >> 8) & _U32)) & _U32
