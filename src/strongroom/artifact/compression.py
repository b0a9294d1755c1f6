"""Unpack compressed streams piece by piece, never further than was agreed."""

import zlib
from collections.abc import Iterator

from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import RejectedError

PIECE_BYTES = 2**18
"""Read, and unpacked, at a time."""
MAX_RATIO = 200
"""Unpacked to packed bytes. Weights stay below 10 and repetitive text below 50."""
RATIO_FREE_BYTES = 16 * 2**20
"""Unpacked before the ratio is looked at: a small array of zeros is no bomb."""


def require_ratio(packed_bytes: int, unpacked_bytes: int) -> None:
    """Raise RejectedError for what unpacks to far more than models do."""
    if unpacked_bytes > RATIO_FREE_BYTES and unpacked_bytes > MAX_RATIO * packed_bytes:
        raise RejectedError(f"unpacks to more than {MAX_RATIO} times its size: a decompression bomb")


def read_pieces(read_at: ReadAt, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from ``start`` to ``end``. Raises RejectedError if the file ends before."""
    while start < end:
        piece = read_at(start, min(PIECE_BYTES, end - start))
        if not piece:
            raise RejectedError("is cut")
        start += len(piece)
        yield piece


def inflate(read_at: ReadAt, start: int, end: int, size_bytes: int) -> bytes:
    """Return one raw DEFLATE stream, which fills the span and unpacks to exactly ``size_bytes``.

    The caller has compared ``size_bytes`` with what it allows; no more than that is ever held.
    """
    require_ratio(end - start, size_bytes)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    out = bytearray()
    try:
        for piece in read_pieces(read_at, start, end):
            if unpacker.eof:
                raise RejectedError("holds bytes behind its compressed data")
            while piece and not unpacker.eof:
                out += unpacker.decompress(piece, min(PIECE_BYTES, size_bytes - len(out) + 1))
                piece = unpacker.unconsumed_tail
                if len(out) > size_bytes:
                    raise RejectedError("unpacks to more than it says")
        if not unpacker.eof:
            out += unpacker.decompress(unpacker.unconsumed_tail, size_bytes - len(out) + 1)
    except zlib.error:
        raise RejectedError("its compressed data is broken") from None
    if not unpacker.eof or unpacker.unused_data:
        raise RejectedError("its compressed data does not end where it says")
    if len(out) != size_bytes:
        raise RejectedError("unpacks to less, or more, than it says")
    return bytes(out)
