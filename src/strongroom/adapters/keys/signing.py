"""A signing key that another custody holds: its public half here, its private half never (`ports.Signer`)."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from strongroom.errors import OutageError, RejectedError
from strongroom.trust.signatures import PublicKey

_COORDINATE_BYTES = 32


class CustodySigner:
    """Signs through ``sign``, and believes no signature that the public key does not verify."""

    __slots__ = ("_custody", "_public", "_sign")

    def __init__(self, custody: str, public: PublicKey, sign: Callable[[bytes], bytes]) -> None:
        """``sign`` takes the whole message and returns DER (ECDSA-SHA256) or 64 raw bytes (Ed25519)."""
        self._custody = custody
        self._public = public
        self._sign = sign

    def __repr__(self) -> str:
        return f"CustodySigner({self._custody}, {self._public.algorithm}, {self._public.key_id[:16]})"

    @property
    def key_id(self) -> str:
        return self._public.key_id

    @property
    def public_pem(self) -> bytes:
        return self._public.pem

    def sign(self, message: bytes) -> bytes:
        """Raises OutageError: the custody answered with something that is no signature of its key."""
        signature = self._sign(message)
        try:
            self._public.verify(signature, message)
        except RejectedError:
            raise OutageError(
                f"{self._custody}: returned a signature that its own key does not verify"
            ) from None
        return signature


def der_signature(raw: bytes, custody: str) -> bytes:
    """Return r and s, of 32 bytes each, as DER. Raises OutageError: they are not 64 bytes."""
    if len(raw) != 2 * _COORDINATE_BYTES:
        raise OutageError(f"{custody}: returned a signature of {len(raw)} bytes, not {2 * _COORDINATE_BYTES}")
    r, s = raw[:_COORDINATE_BYTES], raw[_COORDINATE_BYTES:]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
