"""A model that is in memory already: what a conversion made, on its way to being published."""

from strongroom.ports import SourceFile


class MemoryFile:
    """One file; it cannot change."""

    def __init__(self, path: str, content: bytes) -> None:
        self.path = path
        self.size = len(content)
        self._content = memoryview(content)

    def read_into(self, offset: int, buffer: memoryview) -> int:
        part = self._content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    def require_unchanged(self) -> None:
        """Bytes do not change."""


class MemorySource:
    """See `ports.ModelSource`."""

    def __init__(self, path: str, content: bytes) -> None:
        self._file = MemoryFile(path, content)

    @property
    def files(self) -> list[SourceFile]:
        return [self._file]

    def close(self) -> None:
        """Nothing is open."""
