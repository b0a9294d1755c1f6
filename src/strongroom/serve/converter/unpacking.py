"""What joblib compressed, unpacked within a bound; the static scan did so before, this is the second wall."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from strongroom.errors import RejectedError
from strongroom.serve.converter import libraries

MAX_UNPACKED_BYTES = 4 * 2**30
MAX_LAYERS = 2
"""A joblib file that somebody zipped once more is two."""
_STEP_BYTES = 2**20

_Open = Callable[[BinaryIO], Any]


def unpack(data: bytes, limit: int = MAX_UNPACKED_BYTES) -> bytes:
    """Return what is in ``data``, or ``data`` itself where it is not compressed.

    Raises:
        RejectedError: cut, corrupt, larger than ``limit`` bytes or in more than `MAX_LAYERS` layers.
    """
    for _ in range(MAX_LAYERS):
        opener = _find_opener(data)
        if opener is None:
            return data
        data = _read(opener, data, limit)
    if _find_opener(data) is not None:
        raise RejectedError(f"original: compressed more than {MAX_LAYERS} times over")
    return data


def _read(opener: _Open, data: bytes, limit: int) -> bytes:
    parts, total = [], 0
    try:
        with opener(io.BytesIO(data)) as stream:
            while part := stream.read(_STEP_BYTES):
                total += len(part)
                if total > limit:
                    raise RejectedError(f"original: unpacks to more than {limit} bytes")
                parts.append(part)
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError):
        raise RejectedError("original: its compressed data is cut or corrupt") from None
    return b"".join(parts)


def _open_zlib(file: BinaryIO) -> Any:
    return _Zlib(file.read())


class _Zlib:
    """A bare zlib stream, as joblib writes for ``compress=('zlib', n)``."""

    def __init__(self, data: bytes) -> None:
        self._left = data
        self._machine = zlib.decompressobj()

    def __enter__(self) -> "_Zlib":
        return self

    def __exit__(self, *_: object) -> None:
        self._left = b""

    def read(self, size: int) -> bytes:
        if self._machine.eof:
            if self._machine.unused_data:
                raise OSError("bytes after the end")
            return b""
        part = self._machine.decompress(self._left, size)
        self._left = self._machine.unconsumed_tail
        if not part and not self._machine.eof:
            raise EOFError
        return part


def _open_lz4(file: BinaryIO) -> Any:
    lz4 = libraries.find("lz4.frame")
    if lz4 is None:
        raise RejectedError(
            "original: is compressed with lz4, which is not installed", hint="pip install lz4"
        )
    return lz4.LZ4FrameFile(file)


def _open_lzma(file: BinaryIO) -> Any:
    return lzma.LZMAFile(file)


_OPENERS: tuple[tuple[bytes, _Open], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", _open_lzma),
    (b"\x5d\x00\x00", _open_lzma),
    (b"\x04\x22\x4d\x18", _open_lz4),
    (b"\x78\x01", _open_zlib),
    (b"\x78\x5e", _open_zlib),
    (b"\x78\x9c", _open_zlib),
    (b"\x78\xda", _open_zlib),
)


def _find_opener(data: bytes) -> _Open | None:
    return next((opener for magic, opener in _OPENERS if data.startswith(magic)), None)
