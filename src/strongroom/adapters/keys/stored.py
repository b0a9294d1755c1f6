"""One key in custody: what may be told of it, and its secret."""

import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from strongroom.adapters.keys.names import is_key_encryption
from strongroom.adapters.keys.wrapping import KEY_BYTES, MAX_KEY_VERSION
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.signatures import PublicKey
from strongroom.values import format_time

_PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class KeyAlgorithm(StrEnum):
    AES_256 = "aes-256"
    ECDSA_P256 = "ecdsa-p256"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with its metadata; ``material`` is 32 bytes for AES, PKCS #8 DER for signing keys."""

    name: str
    algorithm: KeyAlgorithm
    version: int
    created_at: datetime
    enabled: bool
    material: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.version <= MAX_KEY_VERSION:
            raise RejectedError(f"key {self.name}: version is out of bounds")
        if is_key_encryption(self.name) != (self.algorithm is KeyAlgorithm.AES_256):
            raise RejectedError(f"key {self.name}: {self.algorithm} does not belong to this name")
        if self.algorithm is KeyAlgorithm.AES_256:
            if len(self.material) != KEY_BYTES:
                raise RejectedError(f"key {self.name}: is not {KEY_BYTES} bytes")
        else:
            self.signer()

    @classmethod
    def generate(cls, name: str, algorithm: KeyAlgorithm, version: int, created_at: datetime) -> Self:
        """Return a new random key."""
        match algorithm:
            case KeyAlgorithm.AES_256:
                material = os.urandom(KEY_BYTES)
            case KeyAlgorithm.ECDSA_P256:
                material = _pkcs8(ec.generate_private_key(ec.SECP256R1()))
            case KeyAlgorithm.ED25519:
                material = _pkcs8(ed25519.Ed25519PrivateKey.generate())
        return cls(name, algorithm, version, created_at, enabled=True, material=material)

    def metadata(self) -> dict[str, Any]:
        """All of the key but its secret; the wrapping of the secret is bound to this."""
        public = None if self.algorithm is KeyAlgorithm.AES_256 else self.signer().public_pem.decode()
        return {
            "algorithm": str(self.algorithm),
            "created_at": format_time(self.created_at),
            "enabled": self.enabled,
            "kind": "kek" if self.algorithm is KeyAlgorithm.AES_256 else "sign",
            "name": self.name,
            "public_pem": public,
            "version": self.version,
        }

    def with_enabled(self, enabled: bool) -> Self:
        return replace(self, enabled=enabled)

    def signer(self) -> "SoftwareSigner":
        """Return the key as a signer. Raises RejectedError if the material is not of the stated algorithm."""
        return SoftwareSigner(_load(self))

    def private_pem(self) -> bytes:
        """Return PKCS #8 PEM, for the TLS stack."""
        return _load(self).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class SoftwareSigner:
    """A private key held in this process's memory (`ports.Signer`)."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: _PrivateKey) -> None:
        self._key = key
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._public = PublicKey.from_der(public)

    def __repr__(self) -> str:
        return f"SoftwareSigner({self._public.algorithm}, {self._public.key_id[:16]})"

    @property
    def key_id(self) -> str:
        return self._public.key_id

    @property
    def public_pem(self) -> bytes:
        return self._public.pem

    def sign(self, message: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


def parse_signing_algorithm(text: str) -> KeyAlgorithm:
    """Raises InvalidError: not one of ``ecdsa-p256`` and ``ed25519``."""
    if text not in (KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ED25519):
        raise InvalidError(f"key algorithm: {shorten(text)} is unknown", hint="use ecdsa-p256 or ed25519")
    return KeyAlgorithm(text)


def _pkcs8(key: _PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _load(stored: StoredKey) -> _PrivateKey:
    try:
        key = load_der_private_key(stored.material, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RejectedError(f"key {stored.name}: is no private key") from None
    match stored.algorithm, key:
        case KeyAlgorithm.ED25519, ed25519.Ed25519PrivateKey():
            return key
        case KeyAlgorithm.ECDSA_P256, ec.EllipticCurvePrivateKey() if isinstance(key.curve, ec.SECP256R1):
            return key
        case _:
            raise RejectedError(f"key {stored.name}: is not an {stored.algorithm} key")
