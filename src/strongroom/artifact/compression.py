"""Unpack compressed streams piece by piece, never further than was agreed, and to their last byte."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import lz4.frame
import zstandard

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError

PIECE_BYTES = 2**18
"""Read, and unpacked, at a time."""
MAX_RATIO = 200
"""Unpacked to packed bytes. Weights stay below 10 and repetitive text below 50."""
RATIO_FREE_BYTES = 8 * 2**20
"""Unpacked before the ratio is looked at: a small array of zeros is no bomb."""
MAX_STREAMS = 2**14
"""Of one kind, one behind the other in one file: what parallel compressors write."""
MAX_WINDOW_BYTES = 2**26
"""What a stream may ask its reader to remember."""

_PACKED_PIECE_BYTES = 2**16
"""Given to the others: small, for a bomb shows once it is beyond the ratio to all that was given."""
_ZSTD_PIECE_BYTES = 2**10
"""Given to zstd at a time: it has no bound on what comes out, and a block of 128 KiB may take 4 bytes."""


class Unpacker(Protocol):
    """One stream, as the standard library's decompressors behave."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Kind(NamedTuple):
    magics: tuple[bytes, ...]
    unpacker: Callable[[], Unpacker]
    repeats: bool
    """Whether readers go on with a stream behind the first."""
    piece_bytes: int = _PACKED_PIECE_BYTES


class _Zlib:
    """zlib and gzip under the names that bz2 and lzma use."""

    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._is_full

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        unpacked = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._is_full = len(unpacked) == max_length  # then there may be more, though all input was taken
        return unpacked


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(data)


def _lz4() -> Unpacker:
    unpacker: Unpacker = lz4.frame.LZ4FrameDecompressor()
    return unpacker


_KINDS: tuple[_Kind, ...] = (
    _Kind((b"\x1f\x8b\x08",), lambda: _Zlib(16 + zlib.MAX_WBITS), True),
    _Kind((b"BZh",), bz2.BZ2Decompressor, True),
    _Kind(
        (b"\xfd7zXZ\x00",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2 * MAX_WINDOW_BYTES), True
    ),
    _Kind(
        (b"\x5d\x00\x00",),
        lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=2 * MAX_WINDOW_BYTES),
        False,
    ),
    _Kind((b"\x28\xb5\x2f\xfd",), _Zstd, True, _ZSTD_PIECE_BYTES),
    _Kind((b"\x04\x22\x4d\x18",), _lz4, True),
    _Kind((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), lambda: _Zlib(zlib.MAX_WBITS), False),
)
_ERRORS = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, RuntimeError, ValueError)
"""What the decompressors raise for broken data."""


def unpack(read_at: ReadAt, size_bytes: int, limit: int, spend: Callable[[int], None]) -> bytearray:
    """Return what a compressed file holds: all of its streams, which fill it.

    Args:
        spend: hears of unpacked bytes as they come, and may raise.

    Raises:
        RejectedError: an unknown kind; broken, cut, or with bytes behind its end; more than ``limit`` bytes,
            or a decompression bomb.
    """
    kind = _kind_of(read_at(0, 6))
    if kind is None:
        raise RejectedError(
            "is compressed in a way that is not unpacked here", hint="publish what is inside, unpacked"
        )
    out = bytearray()
    at = streams = 0
    while at < size_bytes:
        streams += 1
        if streams > (MAX_STREAMS if kind.repeats else 1) or _kind_of(read_at(at, 6)) is not kind:
            raise RejectedError("holds bytes behind its compressed data")
        at = _unpack_stream(read_at, at, size_bytes, kind, out, limit, spend)
    return out


def _kind_of(head: bytes) -> _Kind | None:
    return next((kind for kind in _KINDS if head.startswith(kind.magics)), None)


def _unpack_stream(
    read_at: ReadAt,
    start: int,
    end: int,
    kind: _Kind,
    out: bytearray,
    limit: int,
    spend: Callable[[int], None],
) -> int:
    """Append what the stream that begins at ``start`` holds; return where it ends."""
    unpacker = kind.unpacker()
    at = start
    try:
        for piece in read_pieces(read_at, start, end, kind.piece_bytes):
            at += len(piece)
            while not unpacker.eof and (piece or not unpacker.needs_input):
                unpacked = unpacker.decompress(piece, PIECE_BYTES)
                piece = b""
                out += unpacked
                spend(len(unpacked))
                require_ratio(at, len(out))
                if len(out) > limit:
                    raise RejectedError(f"unpacks to more than {limit} bytes")
            if unpacker.eof:
                return at - len(unpacker.unused_data or b"")  # lz4 has None for none
    except _ERRORS:
        raise RejectedError("its compressed data is broken, or asks for too much memory") from None
    raise RejectedError("its compressed data is cut")


def require_ratio(packed_bytes: int, unpacked_bytes: int) -> None:
    """Raise RejectedError for what unpacks to far more than models do."""
    if unpacked_bytes > RATIO_FREE_BYTES and unpacked_bytes > MAX_RATIO * packed_bytes:
        raise RejectedError(f"unpacks to more than {MAX_RATIO} times its size: a decompression bomb")


def read_pieces(read_at: ReadAt, start: int, end: int, size_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield the bytes from ``start`` to ``end``. Raises RejectedError if the file ends before."""
    while start < end:
        piece = read_at(start, min(size_bytes, end - start))
        if not piece:
            raise RejectedError("is cut")
        start += len(piece)
        yield piece


def inflate(read_at: ReadAt, start: int, end: int, size_bytes: int) -> bytearray:
    """Return one raw DEFLATE stream, which fills the span and unpacks to exactly ``size_bytes``.

    The caller has compared ``size_bytes`` with what it allows; no more than that is ever held.
    """
    require_ratio(end - start, size_bytes)
    kind = _Kind((), lambda: _Zlib(-zlib.MAX_WBITS), False)
    out = bytearray()
    if _unpack_stream(read_at, start, end, kind, out, size_bytes, lambda _: None) != end:
        raise RejectedError("holds bytes behind its compressed data")
    if len(out) != size_bytes:
        raise RejectedError("unpacks to less than it says")
    return out
