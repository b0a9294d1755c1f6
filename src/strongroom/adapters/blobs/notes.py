"""What a sending in parts remembers: in memory only, or in a file that outlives the process."""

import json
from typing import Any

from strongroom.adapters.blobs.names import MAX_SMALL_BYTES
from strongroom.errors import RejectedError
from strongroom.ports import BlobStore


class ForgottenNotes:
    """Of a sending that nobody goes on with: its ciphertext is gone with the process."""

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None

    def load(self) -> dict[str, Any] | None:
        return self._state

    def save(self, state: dict[str, Any]) -> None:
        self._state = dict(state)

    def clear(self) -> None:
        self._state = None


class KeptNotes:
    """Of a sending that goes on after a crash. The file is ours alone; one that is torn counts as none."""

    def __init__(self, store: BlobStore, name: str) -> None:
        self._store = store
        self._name = name

    def load(self) -> dict[str, Any] | None:
        try:
            state = json.loads(self._store.read(self._name, MAX_SMALL_BYTES))
        except (RejectedError, ValueError):
            return None
        return state if isinstance(state, dict) else None

    def save(self, state: dict[str, Any]) -> None:
        self._store.replace(self._name, json.dumps(state).encode())

    def clear(self) -> None:
        self._store.delete(self._name)
