"""The in-memory twin of the journals' folder."""

from strongroom.errors import RejectedError


class MemoryJournals:
    """See `ports.JournalFiles`; ``files`` is for tests to fill."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._closed: list[str] = []

    def open_names(self) -> list[str]:
        return [name for name in self.files if name not in self._closed]

    def names(self) -> list[str]:
        return [*self._closed, *self.open_names()]

    def read(self, name: str, offset: int, limit: int) -> bytes:
        if name not in self.files:
            raise RejectedError(f"journal {name}: is missing")
        return self.files[name][offset : offset + limit]

    def close(self, name: str) -> None:
        self._closed.append(name)
