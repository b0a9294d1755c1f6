"""The twin of the keystore file: the same ports, nothing kept. For keys that live shortly, and for tests."""

from collections.abc import Callable
from datetime import datetime
from threading import Lock

from strongroom.adapters.keys.software import Change, Keys, SoftwareKeyProvider, utc_now


class MemoryKeyProvider(SoftwareKeyProvider):
    """Keys that end with the object. Safe to call from several threads."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(now)
        self._held: Keys = {}
        self._lock = Lock()

    def _keys(self) -> Keys:
        return self._held

    def _change(self, change: Change) -> None:
        with self._lock:
            self._held = change(self._held)
