"""keystore/1: every key in one text under one passphrase (docs/formats/keystore.md). No I/O here.

passphrase -> Argon2id -> master key -> HKDF -> one wrapping key for each stored key, bound to its metadata, a
check value that tells a wrong passphrase from damage, and a MAC over the whole text, so that no key can be
removed, repeated or replaced by an older one of the same file.
"""

import hmac
import os
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from strongroom import canonical
from strongroom.adapters.keys.names import SCHEME, parse_name
from strongroom.adapters.keys.stored import KeyAlgorithm, StoredKey
from strongroom.adapters.keys.wrapping import derive_key, unwrap_key, wrap_key
from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.values import KeyUri, parse_time

MAX_KEYSTORE_BYTES = 4 * 2**20
MAX_KEYS = 4096
MIN_PASSPHRASE_CHARS = 12
MAX_PASSPHRASE_CHARS = 1024
_FORMAT = "strongroom-keystore/1"
_SALT_BYTES = 16
_PURPOSE = b"strongroom/keystore/1/"

# RFC 9106 section 4, the second recommended option. The lower bounds stop an edited file from weakening the
# passphrase, the upper ones from exhausting the machine.
_MEMORY_KIB, _PASSES, _LANES = 64 * 1024, 3, 4
_MAX_MEMORY_KIB, _MAX_PASSES, _MAX_LANES = 512 * 1024, 10, 16


@dataclass(frozen=True, slots=True)
class Derivation:
    """How the passphrase becomes the master key."""

    salt: bytes
    memory_kib: int = _MEMORY_KIB
    passes: int = _PASSES
    lanes: int = _LANES

    def __post_init__(self) -> None:
        within = (
            len(self.salt) == _SALT_BYTES
            and _MEMORY_KIB <= self.memory_kib <= _MAX_MEMORY_KIB
            and _PASSES <= self.passes <= _MAX_PASSES
            and 1 <= self.lanes <= _MAX_LANES
        )
        if not within:
            raise RejectedError("keystore: key derivation parameters are out of bounds")

    @classmethod
    def fresh(cls) -> Self:
        return cls(os.urandom(_SALT_BYTES))

    def derive(self, passphrase: str) -> bytes:
        """Return the master key; takes about a tenth of a second and 64 MiB."""
        kdf = Argon2id(
            salt=self.salt, length=32, iterations=self.passes, lanes=self.lanes, memory_cost=self.memory_kib
        )
        return kdf.derive(unicodedata.normalize("NFC", passphrase).encode())

    def to_value(self) -> dict[str, Any]:
        return {
            "lanes": self.lanes,
            "memory_kib": self.memory_kib,
            "name": "argon2id",
            "passes": self.passes,
            "salt": b64encode(self.salt).decode(),
        }

    @classmethod
    def parse(cls, value: object) -> Self:
        match value:
            case {
                "lanes": int(lanes),
                "memory_kib": int(memory_kib),
                "name": "argon2id",
                "passes": int(passes),
                "salt": str(salt),
                **rest,
            } if not rest:
                return cls(_decode(salt), memory_kib, passes, lanes)
            case _:
                raise RejectedError("keystore: key derivation is unknown")


@dataclass(frozen=True, slots=True)
class Contents:
    """Every version of every key by name, oldest first, and how often the keystore was changed."""

    keys: Mapping[str, tuple[StoredKey, ...]] = field(default_factory=dict)
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Lock:
    """An opened passphrase: the derivation and the master key that came out of it."""

    derivation: Derivation
    _master: bytes = field(repr=False)

    @classmethod
    def fresh(cls, passphrase: str) -> Self:
        """Return the lock of a new keystore or a new passphrase. Raises InvalidError: too weak."""
        require_passphrase(passphrase)
        derivation = Derivation.fresh()
        return cls(derivation, derivation.derive(passphrase))

    @classmethod
    def open(cls, text: bytes, passphrase: str) -> Self:
        """Return the lock of a stored keystore.

        Raises:
            DeniedError: the passphrase is wrong.
            RejectedError: the text is not a keystore.
        """
        derivation = Derivation.parse(_parse(text)["kdf"])
        if len(passphrase) > MAX_PASSPHRASE_CHARS:
            raise DeniedError("keystore: the passphrase is wrong")
        try:
            lock = cls(derivation, derivation.derive(passphrase))
        except (UnicodeEncodeError, MemoryError):
            raise DeniedError("keystore: the passphrase cannot be used") from None
        if not lock.opens(text):
            raise DeniedError("keystore: the passphrase is wrong")
        return lock

    def opens(self, text: bytes) -> bool:
        """Say whether ``text`` is under this very passphrase and salt."""
        return hmac.compare_digest(_decode_text(_parse(text)["check"]), self._check())

    def read(self, text: bytes) -> "Contents":
        """Return what the text holds. Raises RejectedError: changed, in any byte."""
        value = _parse(text)
        if value["kdf"] != self.derivation.to_value() or not self.opens(text):
            raise RejectedError("keystore: is under another passphrase")
        if not hmac.compare_digest(_decode_text(value.pop("mac")), self._mac(value)):
            raise RejectedError("keystore: was changed by someone without the passphrase")
        keys: dict[str, tuple[StoredKey, ...]] = {}
        for stored in map(self._unwrap, value["keys"]):
            older = keys.get(stored.name, ())
            if older and stored.version <= older[-1].version:
                raise RejectedError(f"keystore: the versions of {stored.name} are out of order")
            keys[stored.name] = (*older, stored)
        return Contents(keys, value["generation"])

    def write(self, contents: "Contents") -> bytes:
        """Return the text that holds ``contents``. Raises InvalidError: too many keys."""
        stored = [version for name in sorted(contents.keys) for version in contents.keys[name]]
        if len(stored) > MAX_KEYS:
            raise InvalidError(f"keystore: more than {MAX_KEYS} keys")
        value = {
            "check": b64encode(self._check()).decode(),
            "format": _FORMAT,
            "generation": contents.generation,
            "kdf": self.derivation.to_value(),
            "keys": [self._wrap(key) for key in stored],
        }
        return canonical.encode({**value, "mac": b64encode(self._mac(value)).decode()})

    def _wrap(self, stored: StoredKey) -> dict[str, Any]:
        metadata = stored.metadata()
        wrapped = wrap_key(self._master, _purpose(metadata), stored.material)
        return {**metadata, "wrapped": b64encode(wrapped).decode()}

    def _unwrap(self, value: Any) -> StoredKey:
        match value:
            case {
                "algorithm": str(algorithm),
                "created_at": str(created_at),
                "enabled": bool(enabled),
                "name": str(name),
                "version": int(version),
                "wrapped": str(wrapped),
                **rest,
            }:
                metadata: dict[str, Any] = {
                    "algorithm": algorithm,
                    "created_at": created_at,
                    "enabled": enabled,
                    "name": name,
                    "version": version,
                    **{str(key): item for key, item in rest.items()},
                }
            case _:
                raise RejectedError("keystore: a key has a field missing or of another kind")
        material = unwrap_key(self._master, _purpose(metadata), _decode(wrapped))
        try:
            parse_name(KeyUri(SCHEME + name))
            stored = StoredKey(
                name, KeyAlgorithm(algorithm), version, parse_time(created_at), enabled, material
            )
        except (InvalidError, ValueError):
            raise RejectedError("keystore: a key has a field that is unknown") from None
        # The public key is derived again from the private one and must be what the text says.
        if stored.metadata() != metadata:
            raise RejectedError(f"keystore: {name} is not what its metadata says")
        return stored

    def _check(self) -> bytes:
        return derive_key(
            self._master, _PURPOSE + b"check\x00" + canonical.encode(self.derivation.to_value())
        )

    def _mac(self, value: dict[str, Any]) -> bytes:
        key = derive_key(self._master, _PURPOSE + b"mac")
        return hmac.new(key, canonical.encode(value), sha256).digest()


def require_passphrase(passphrase: str) -> str:
    """Return ``passphrase`` if it may protect a new keystore.

    Raises:
        InvalidError: shorter than 12 characters, too long, or with control characters (a line break left on).
    """
    if not MIN_PASSPHRASE_CHARS <= len(passphrase) <= MAX_PASSPHRASE_CHARS:
        raise InvalidError(
            f"passphrase: must have {MIN_PASSPHRASE_CHARS} to {MAX_PASSPHRASE_CHARS} characters",
            hint="five or six random words are easy to remember and hard to guess",
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in passphrase):
        raise InvalidError("passphrase: holds a control character", hint="was a line break left at its end?")
    if len(set(passphrase)) < MIN_PASSPHRASE_CHARS // 2:
        raise InvalidError(f"passphrase: has fewer than {MIN_PASSPHRASE_CHARS // 2} different characters")
    return passphrase


def _purpose(metadata: dict[str, Any]) -> bytes:
    return _PURPOSE + b"key\x00" + canonical.encode(metadata)


def _parse(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_KEYSTORE_BYTES:
        raise RejectedError(f"keystore: larger than {MAX_KEYSTORE_BYTES} bytes")
    try:
        value = canonical.decode(text)
    except InvalidError as error:
        raise RejectedError(f"keystore: {error.message}") from None
    match value:
        case {
            "check": str(),
            "format": "strongroom-keystore/1",
            "generation": int(),
            "kdf": dict(),
            "keys": list(keys),
            "mac": str(),
            **rest,
        } if not rest and len(keys) <= MAX_KEYS:
            return dict(value)
    raise RejectedError("keystore: is not of a known format")


def _decode_text(text: object) -> bytes:
    return _decode(text) if isinstance(text, str) else b""


def _decode(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise RejectedError("keystore: base64 cannot be decoded") from None
    if b64encode(data).decode() != text:
        raise RejectedError("keystore: base64 is not in its one spelling")
    return data
