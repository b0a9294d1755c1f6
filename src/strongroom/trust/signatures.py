"""Public keys and what they verify: ECDSA P-256 with SHA-256, and Ed25519; nothing else.

The algorithm belongs to the key and is never read from a message, so no sender can choose a weaker one.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from strongroom.errors import InvalidError, RejectedError

MAX_PUBLIC_PEM_BYTES = 4096
MAX_SIGNATURE_BYTES = 128
"""A DER ECDSA P-256 signature has at most 72 bytes, an Ed25519 one 64."""
_ED25519_SIGNATURE_BYTES = 64

_Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Algorithm(StrEnum):
    """What a key is for; there is one hash and one signature encoding for each."""

    ECDSA_P256 = "ecdsa-p256"
    ED25519 = "ed25519"


class MessageSigner(Protocol):
    """The part of `strongroom.ports.Signer` that this room uses."""

    @property
    def key_id(self) -> str: ...

    @property
    def public_pem(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key under its canonical PEM; `from_pem` and `from_der` are the ways to make one."""

    key_id: str
    """SHA-256 of the DER SubjectPublicKeyInfo, 64 hexadecimal digits."""
    algorithm: Algorithm
    pem: bytes
    _key: _Key = field(repr=False, compare=False)

    @classmethod
    def from_pem(cls, pem: bytes | str) -> Self:
        """Raises InvalidError: not one PEM public key, or neither P-256 nor Ed25519."""
        data = pem.encode() if isinstance(pem, str) else pem
        if len(data) > MAX_PUBLIC_PEM_BYTES:
            raise InvalidError("public key: PEM is too long")
        if data.count(b"-----BEGIN") != 1:
            raise InvalidError("public key: not exactly one PEM block")
        try:
            return cls._of(load_pem_public_key(data))
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidError("public key: PEM cannot be parsed") from None

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Raises InvalidError: not a SubjectPublicKeyInfo of a P-256 or Ed25519 key."""
        if len(der) > MAX_PUBLIC_PEM_BYTES:
            raise InvalidError("public key: DER is too long")
        try:
            return cls._of(load_der_public_key(der))
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidError("public key: DER cannot be parsed") from None

    @classmethod
    def _of(cls, key: object) -> Self:
        match key:
            case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
                algorithm = Algorithm.ECDSA_P256
            case ed25519.Ed25519PublicKey():
                algorithm = Algorithm.ED25519
            case _:
                raise InvalidError(
                    "public key: is neither ECDSA P-256 nor Ed25519", hint="use an ecdsa-p256 or ed25519 key"
                )
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return cls(sha256(der).hexdigest(), algorithm, pem, key)

    @property
    def key(self) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
        """The key as the library knows it, for those who build certificates."""
        return self._key

    @property
    def der(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        return self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def raw(self) -> bytes:
        """Ed25519: the 32 bytes of RFC 8032. P-256: the uncompressed point."""
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return self._key.public_bytes_raw()
        return self._key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if this key made ``signature`` over ``message``: DER for P-256, 64 bytes for Ed25519.

        Raises:
            RejectedError: it did not.
        """
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                if len(signature) != _ED25519_SIGNATURE_BYTES:
                    raise InvalidSignature
                self._key.verify(signature, message)
            else:
                if len(signature) > MAX_SIGNATURE_BYTES:
                    raise InvalidSignature
                self._key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise RejectedError(
                f"signature: does not verify under {self.algorithm} key {self.key_id[:16]}"
            ) from None


def require_own_signature(signer: MessageSigner, message: bytes) -> bytes:
    """Sign, and return the signature only if it verifies under the key that the signer claims to hold.

    A custody that answers with the wrong key or a faulty signature is noticed before anything is stored.
    """
    key = PublicKey.from_pem(signer.public_pem)
    if key.key_id != signer.key_id:
        raise RejectedError("signer: key id does not belong to its public key")
    signature = signer.sign(message)
    key.verify(signature, message)
    return signature
