"""Ciphertext that waits on this machine to be sent: a file without a name, gone when its process is."""

import os
from pathlib import Path
from tempfile import TemporaryFile

from strongroom.adapters.blobs.folder import translated
from strongroom.errors import OutageError


class SpooledFile:
    """Written anywhere and read back; safe from several threads for disjoint ranges."""

    def __init__(self, folder: Path, name: str, size_hint: int) -> None:
        """Raises OutageError: there is no room for ``size_hint`` bytes."""
        self._name = name
        with translated(name):
            room = os.statvfs(folder)
            if size_hint > room.f_bavail * room.f_frsize:
                raise OutageError(f"blob {name}: no room for {size_hint} bytes in {folder}")
            self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        with translated(self._name):
            while view:
                written = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[written:], offset + written

    def read_into(self, offset: int, buffer: memoryview) -> int:
        filled = 0
        with translated(self._name):
            while filled < len(buffer):
                read = os.preadv(self._file.fileno(), [buffer[filled:]], offset + filled)
                if not read:
                    break
                filled += read
        return filled

    def close(self) -> None:
        self._file.close()
