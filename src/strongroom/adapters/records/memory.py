"""The catalog in memory: the twin that flows are tested with."""

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from strongroom.errors import InvalidError, RejectedError
from strongroom.ports import IdentityRow, VersionRow
from strongroom.values import ModelId, State


class MemoryRecords:
    """`Records` that last as long as the object. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._versions: dict[str, VersionRow] = {}
        self._identities: dict[str, IdentityRow] = {}
        self._head: tuple[int, bytes] | None = None

    def add_version(self, row: VersionRow) -> None:
        ModelId.parse(row.model)
        if row.size_bytes < 0 or row.log_index < 0:
            raise InvalidError(f"{row.model}: size or log index is negative")
        with self._lock:
            if row.model in self._versions:
                raise InvalidError(f"{row.model}: exists already and versions never change")
            self._versions[row.model] = row

    def find_version(self, model: str) -> VersionRow | None:
        return self._versions.get(model)

    def versions(self, family: str | None = None) -> Sequence[VersionRow]:
        with self._lock:
            rows = list(self._versions.values())
        chosen = [row for row in rows if family is None or ModelId.parse(row.model).family == family]
        return sorted(chosen, key=lambda row: ModelId.parse(row.model))

    def set_state(self, model: str, expected: State, state: State) -> None:
        with self._lock:
            row = self._versions.get(model)
            if row is None or row.state is not expected:
                raise InvalidError(f"{ModelId.parse(model)}: there is no such version in state {expected}")
            self._versions[model] = replace(row, state=state)

    def put_identity(self, row: IdentityRow) -> None:
        with self._lock:
            self._identities[row.name] = row

    def identities(self) -> Sequence[IdentityRow]:
        with self._lock:
            return [self._identities[name] for name in sorted(self._identities)]

    def rebuild(self, versions: Sequence[VersionRow], identities: Sequence[IdentityRow]) -> None:
        for row in versions:
            ModelId.parse(row.model)
        with self._lock:
            self._versions = {row.model: row for row in versions}
            self._identities = {row.name: row for row in identities}

    def note_head(self, size: int, root: bytes) -> None:
        with self._lock:
            if self._head is not None and size == self._head[0] and root != self._head[1]:
                raise RejectedError(f"log: has another root at size {size} than was seen before")
            if self._head is None or size > self._head[0]:
                self._head = (size, root)

    def head(self) -> tuple[int, bytes] | None:
        return self._head

    def close(self) -> None:
        """Nothing is held."""
