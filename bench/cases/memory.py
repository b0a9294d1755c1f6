"""Where the cases that have no container of their own put a model: one memfd, as a worker would get it."""

import os
from pathlib import Path


class MemfdModel:
    def __init__(self, size_bytes: int) -> None:
        self._fd = os.memfd_create("model", os.MFD_CLOEXEC)
        os.posix_fallocate(self._fd, 0, size_bytes)
        self.hidden_bytes = size_bytes
        self._end = 0

    def append(self, data: bytes | memoryview) -> None:
        while data:
            written = os.pwrite(self._fd, data, self._end)
            self._end += written
            data = data[written:]

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)


def only_file(folder: Path) -> Path:
    """The one file of a case that stores a model as one file."""
    return next(path for path in folder.iterdir() if path.suffix == ".model")
