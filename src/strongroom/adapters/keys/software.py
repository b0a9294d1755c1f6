"""What every custody in software does the same way; where the keys lie is up to its subclasses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from strongroom.adapters.keys.names import SCHEME, is_exportable, is_key_encryption, parse_name
from strongroom.adapters.keys.stored import KeyAlgorithm, SoftwareSigner, StoredKey, parse_signing_algorithm
from strongroom.adapters.keys.wrapping import unwrap_data_key, version_of, wrap_data_key
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.ports import KeyInfo, KeyVersion
from strongroom.values import KeyUri

Versions = tuple[StoredKey, ...]
"""Every version of one key, oldest first; never empty."""
Keys = Mapping[str, Versions]
Change = Callable[[Keys], dict[str, Versions]]


def utc_now() -> datetime:
    return datetime.now(UTC)


class SoftwareKeyProvider(ABC):
    """`ports.KeyProvider` and `ports.SignerProvider` over keys that this process can read."""

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now

    @abstractmethod
    def _keys(self) -> Keys:
        """Return all keys as they are stored at this moment."""

    @abstractmethod
    def _change(self, change: Change) -> None:
        """Store ``change(keys)`` in place of the stored keys, alone and durably; what it raises passes."""

    def create(self, key: KeyUri) -> KeyInfo:
        name = _require_kek_name(key)
        if name not in self._keys():
            self._change(lambda keys: {name: self._first(name, KeyAlgorithm.AES_256), **keys})
        return self.describe(key)

    def describe(self, key: KeyUri) -> KeyInfo:
        versions = self._versions(parse_name(key))
        return KeyInfo(key, tuple(KeyVersion(one.version, one.created_at, one.enabled) for one in versions))

    def wrap(self, key: KeyUri, data_key: bytes, context: bytes) -> bytes:
        newest = _require_enabled(self._versions(_require_kek_name(key))[-1])
        return wrap_data_key(newest.material, newest.version, data_key, context)

    def unwrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        versions = self._versions(_require_kek_name(key))
        version = version_of(wrapped)
        for stored in versions:
            if stored.version == version:
                return unwrap_data_key(_require_enabled(stored).material, wrapped, context)
        raise RejectedError(f"{key}: wrapped under version {version}, which is not known")

    def rewrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        if self.version_of(key, wrapped) == self.describe(key).newest.version:
            return wrapped
        return self.wrap(key, self.unwrap(key, wrapped, context), context)

    def version_of(self, key: KeyUri, wrapped: bytes) -> int:
        _require_kek_name(key)
        return version_of(wrapped)

    def rotate(self, key: KeyUri) -> KeyInfo:
        name = _require_kek_name(key)

        def add_version(keys: Keys) -> dict[str, Versions]:
            versions = _require_known(keys, name)
            newest = StoredKey.generate(name, KeyAlgorithm.AES_256, versions[-1].version + 1, self._now())
            return {**keys, name: (*versions, newest)}

        self._change(add_version)
        return self.describe(key)

    def set_enabled(self, key: KeyUri, version: int, enabled: bool) -> None:
        """Of signing keys too, which have one version, 1."""
        name = parse_name(key)

        def mark(keys: Keys) -> dict[str, Versions]:
            versions = _require_known(keys, name)
            if version not in {stored.version for stored in versions}:
                raise InvalidError(f"{key}: has no version {version}")
            changed = tuple(s.with_enabled(enabled) if s.version == version else s for s in versions)
            return {**keys, name: changed}

        self._change(mark)

    def destroy(self, key: KeyUri, version: int) -> None:
        name = _require_kek_name(key)

        def drop(keys: Keys) -> dict[str, Versions]:
            left = tuple(stored for stored in _require_known(keys, name) if stored.version != version)
            if left and version > left[-1].version:
                raise InvalidError(f"{key}: version {version} wraps now", hint="rotate the key first")
            others = {other: versions for other, versions in keys.items() if other != name}
            return {**others, name: left} if left else others

        if name in self._keys():
            self._change(drop)

    def create_signer(self, key: KeyUri, algorithm: str) -> SoftwareSigner:
        name = _require_signing_name(key)
        kind = parse_signing_algorithm(algorithm)

        def add(keys: Keys) -> dict[str, Versions]:
            if name in keys:
                raise InvalidError(f"{key}: exists already")
            return {**keys, name: self._first(name, kind)}

        self._change(add)
        return self.signer(key)

    def signer(self, key: KeyUri) -> SoftwareSigner:
        return _require_enabled(self._versions(_require_signing_name(key))[-1]).signer()

    def private_pem(self, key: KeyUri) -> bytes:
        """Return the private key as PKCS #8 PEM, for a TLS stack; only keys of identities and servers leave.

        Raises:
            InvalidError: there is no such key, or it must stay in custody (CA, log, signing, key-encryption).
        """
        name = parse_name(key)
        if not is_exportable(name):
            raise InvalidError(f"{key}: never leaves the keystore")
        return _require_enabled(self._versions(name)[-1]).private_pem()

    def uris(self) -> tuple[KeyUri, ...]:
        """Return the name of every key, sorted."""
        return tuple(KeyUri(SCHEME + name) for name in sorted(self._keys()))

    def _versions(self, name: str) -> Versions:
        return _require_known(self._keys(), name)

    def _first(self, name: str, algorithm: KeyAlgorithm) -> Versions:
        return (StoredKey.generate(name, algorithm, 1, self._now()),)


def _require_known(keys: Keys, name: str) -> Versions:
    versions = keys.get(name)
    if versions is None:
        raise InvalidError(f"{SCHEME}{name}: there is no such key")
    return versions


def _require_enabled(stored: StoredKey) -> StoredKey:
    if not stored.enabled:
        raise DeniedError(f"{SCHEME}{stored.name}: version {stored.version} is disabled")
    return stored


def _require_kek_name(key: KeyUri) -> str:
    name = parse_name(key)
    if not is_key_encryption(name):
        raise InvalidError(f"{key}: is not a key-encryption key", hint="they are named file:kek/<family>")
    return name


def _require_signing_name(key: KeyUri) -> str:
    name = parse_name(key)
    if is_key_encryption(name):
        raise InvalidError(f"{key}: is a key-encryption key, it does not sign")
    return name
