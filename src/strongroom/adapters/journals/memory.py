"""The in-memory twin of the journals' folder."""

from strongroom.adapters.journals.names import missing, require_name, require_range


class MemoryJournals:
    """See `ports.JournalFiles`; ``files`` is for tests to fill."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.held: set[str] = set()
        self._closed: list[str] = []

    def open_names(self) -> list[str]:
        return [name for name in self.files if name not in self._closed]

    def names(self) -> list[str]:
        return [*self._closed, *self.open_names()]

    def read(self, name: str, offset: int, limit: int) -> bytes:
        require_range(name, offset, limit)
        if require_name(name) not in self.files:
            raise missing(name)
        return self.files[name][offset : offset + limit]

    def is_held(self, name: str) -> bool:
        return require_name(name) in self.held

    def close(self, name: str) -> None:
        if require_name(name) not in self.files:
            raise missing(name)
        if name not in self._closed:
            self._closed.append(name)
