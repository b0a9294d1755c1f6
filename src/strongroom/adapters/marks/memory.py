"""Marks that last as long as the object: the twin that flows are tested with."""

from threading import Lock

from strongroom.adapters.marks.names import require_mark


class MemoryMarks:
    """`Marks`. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.held: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        return self.held.get(require_mark(name))

    def write(self, name: str, data: bytes) -> None:
        with self._lock:
            self.held[require_mark(name, data)] = bytes(data)
