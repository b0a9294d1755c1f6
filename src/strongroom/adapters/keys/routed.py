"""Several custodies behind one port: the scheme of a key's URI says which one keeps it."""

from collections.abc import Callable, Mapping
from threading import RLock
from typing import Protocol

from strongroom.errors import InvalidError, shorten
from strongroom.ports import KeyInfo, KeyProvider, Signer, SignerProvider
from strongroom.values import KeyUri, parse_key_uri


class Custody(KeyProvider, SignerProvider, Protocol):
    """What a scheme stands for: keys that wrap and keys that sign."""


class RoutedKeys:
    """`ports.KeyProvider` and `ports.SignerProvider` over one custody a scheme, each opened when first used.

    A custody that cannot be opened is tried again at the next use. Safe to call from several threads.
    """

    def __init__(self, custodies: Mapping[str, Callable[[], Custody]]) -> None:
        """``custodies`` opens the one of each scheme, for instance ``vault``."""
        self._openers = dict(custodies)
        self._opened: dict[str, Custody] = {}
        self._lock = RLock()

    def create(self, key: KeyUri) -> KeyInfo:
        return self._of(key).create(key)

    def describe(self, key: KeyUri) -> KeyInfo:
        return self._of(key).describe(key)

    def wrap(self, key: KeyUri, data_key: bytes, context: bytes) -> bytes:
        return self._of(key).wrap(key, data_key, context)

    def unwrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        return self._of(key).unwrap(key, wrapped, context)

    def rewrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        return self._of(key).rewrap(key, wrapped, context)

    def version_of(self, key: KeyUri, wrapped: bytes) -> int:
        return self._of(key).version_of(key, wrapped)

    def rotate(self, key: KeyUri) -> KeyInfo:
        return self._of(key).rotate(key)

    def set_enabled(self, key: KeyUri, version: int, enabled: bool) -> None:
        self._of(key).set_enabled(key, version, enabled)

    def destroy(self, key: KeyUri, version: int) -> None:
        self._of(key).destroy(key, version)

    def create_signer(self, key: KeyUri, algorithm: str) -> Signer:
        return self._of(key).create_signer(key, algorithm)

    def signer(self, key: KeyUri) -> Signer:
        return self._of(key).signer(key)

    def _of(self, key: KeyUri) -> Custody:
        scheme, _, _ = parse_key_uri(key).partition(":")
        opener = self._openers.get(scheme)
        if opener is None:
            known = ", ".join(f"{each}:" for each in sorted(self._openers))
            raise InvalidError(f"key: {shorten(scheme)}: is no custody of keys", hint=f"there are {known}")
        with self._lock:
            if scheme not in self._opened:
                self._opened[scheme] = opener()
            return self._opened[scheme]
