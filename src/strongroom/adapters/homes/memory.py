"""The files of a home in memory: the twin that flows are tested with."""

from collections.abc import Iterable

from strongroom.errors import RejectedError


class MemoryHomeFiles:
    """See `ports.HomeFiles`; ``files`` is open for tests that play the attacker."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = dict(files or {})

    def names(self) -> list[str]:
        return sorted(self.files)

    def read(self, name: str, offset: int, limit: int) -> bytes:
        if name not in self.files:
            raise RejectedError(f"{name}: is missing")
        return self.files[name][offset : offset + limit]

    def put(self, name: str, content: Iterable[bytes]) -> None:
        self.files[name] = b"".join(content)
