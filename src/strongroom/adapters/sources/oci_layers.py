"""Layers of an artifact that are archives: fetched and unpacked in memory, plain files only."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

import zstandard

from strongroom.adapters.sources.pinned import PinnedFile, Promise, Write, find_room, write_all
from strongroom.artifact.tars import TarMember, read_tar
from strongroom.errors import OutageError, RejectedError
from strongroom.values import Digest

MAX_RATIO = 200
"""Of unpacked to packed bytes; weights hardly shrink at all."""
ROOM_BYTES = 64 * 2**20
"""That any layer may unpack to, whatever its ratio."""
MAX_WINDOW_BYTES = 2**27
_PIECE_BYTES = 2**20
_TAR, _GZIP, _ZSTD = "tar", "tar+gzip", "tar+zstd"
_ENDINGS = (
    ((".tar", "+tar"), _TAR),
    ((".tar+gzip", ".tar.gzip", "+gzip"), _GZIP),
    ((".tar+zstd", ".tar.zstd", "+zstd"), _ZSTD),
)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One layer, as the manifest has it. ``title``: the file that it is, if it is one."""

    media_type: str
    digest: Digest
    size: int
    title: str = ""


def find_packing(layer: Descriptor) -> str | None:
    """Return how an archive is packed; None for a plain file."""
    return next((kind for endings, kind in _ENDINGS if layer.media_type.endswith(endings)), None)


class LayerFiles:
    """Unpacked layers, in memory until closed. ``fetch`` gives out a blob by its digest, unchecked."""

    def __init__(self, fetch: Callable[[Digest, Write], None]) -> None:
        self._fetch = fetch
        self._held: list[int] = []

    def close(self) -> None:
        while self._held:
            os.close(self._held.pop())

    def unpack(self, layer: Descriptor, packing: str) -> list[PinnedFile]:
        """Return the files in a layer, which has its digest.

        Raises:
            RejectedError: the layer is another, unpacks to too much, or holds more than plain files.
        """
        promise = Promise("layer", layer.size, sha256=layer.digest)
        packed = PinnedFile(promise, lambda write: self._fetch(layer.digest, write))
        descriptor = os.memfd_create("strongroom-layer", os.MFD_CLOEXEC)
        self._held.append(descriptor)
        try:
            room = min(max(ROOM_BYTES, MAX_RATIO * layer.size), find_room())
            size = _unpack(_open(packed, packing), descriptor, room)
        except (zlib.error, EOFError, gzip.BadGzipFile, zstandard.ZstdError):
            raise RejectedError(f"oci: layer {layer.digest} cannot be unpacked") from None
        finally:
            packed.close()
        listing = read_tar(lambda offset, count: os.pread(descriptor, count, offset), size)
        return [_member(descriptor, member) for member in listing.members if not member.is_folder]


class _Packed(io.RawIOBase):
    """A file that is read from its beginning to its end."""

    def __init__(self, file: PinnedFile) -> None:
        self._file = file
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.read_into(self._offset, memoryview(buffer).cast("B"))
        self._offset += count
        return count


def _open(packed: PinnedFile, packing: str) -> IO[bytes]:
    raw = io.BufferedReader(_Packed(packed), _PIECE_BYTES)
    if packing == _GZIP:
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if packing == _ZSTD:
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        return unpacker.stream_reader(raw, read_across_frames=True)
    return raw


def _unpack(opened: IO[bytes], descriptor: int, room: int) -> int:
    size = 0
    while piece := opened.read(_PIECE_BYTES):
        size += len(piece)
        if size > room:
            raise RejectedError(f"oci: a layer unpacks to more than {room} bytes")
        write_all(descriptor, piece)
    return size


def _member(descriptor: int, member: TarMember) -> PinnedFile:
    end = member.offset + member.size_bytes

    def fetch(write: Write) -> None:
        at = member.offset
        while at < end:
            piece = os.pread(descriptor, min(_PIECE_BYTES, end - at), at)
            if not piece:
                raise OutageError("oci: a layer ended early")
            at += len(piece)
            write(piece)

    digest = hashlib.sha256()
    fetch(digest.update)
    name = member.name.removeprefix("./")
    return PinnedFile(Promise(name, member.size_bytes, sha256=Digest(digest.digest())), fetch)
