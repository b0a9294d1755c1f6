"""Keys under keys: AES-KWP (RFC 5649) with a key derived for exactly one purpose (HKDF-SHA-256, RFC 5869).

KWP needs no nonce, so nothing breaks when a copy of the store or a virtual machine is rolled back. The
purpose is bound by derivation: under another purpose the wrapping does not open.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from strongroom.errors import InvalidError, RejectedError

KEY_BYTES = 32
MAX_CONTEXT_BYTES = 4096
_DATA_KEY_PURPOSE = b"strongroom/wrap/1\x00"
_VERSION_BYTES = 4
_WRAPPED_DATA_KEY_BYTES = _VERSION_BYTES + KEY_BYTES + 8
MAX_KEY_VERSION = 2**31


def derive_key(key: bytes, purpose: bytes) -> bytes:
    """Return the 32-byte key for ``purpose``."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def wrap_key(key: bytes, purpose: bytes, material: bytes) -> bytes:
    """Return ``material`` wrapped under ``key`` for ``purpose``."""
    return aes_key_wrap_with_padding(derive_key(key, purpose), material)


def unwrap_key(key: bytes, purpose: bytes, wrapped: bytes) -> bytes:
    """Return what `wrap_key` wrapped. Raises RejectedError: another key, purpose, or changed bytes."""
    try:
        return aes_key_unwrap_with_padding(derive_key(key, purpose), wrapped)
    except (InvalidUnwrap, ValueError):
        raise RejectedError("wrapped key: does not open under this key and purpose") from None


def wrap_data_key(key: bytes, version: int, data_key: bytes, context: bytes) -> bytes:
    """Return u32 ``version`` of the key-encryption key, then ``data_key`` as 40 bytes of KWP."""
    if len(data_key) != KEY_BYTES:
        raise InvalidError(f"data key: is not {KEY_BYTES} bytes")
    _require_context(context)
    return version.to_bytes(_VERSION_BYTES, "big") + wrap_key(key, _DATA_KEY_PURPOSE + context, data_key)


def version_of(wrapped: bytes) -> int:
    """Return which version of the key wrapped this. Raises RejectedError: not a wrapped key."""
    if len(wrapped) != _WRAPPED_DATA_KEY_BYTES:
        raise RejectedError(f"wrapped key: is not {_WRAPPED_DATA_KEY_BYTES} bytes")
    return int.from_bytes(wrapped[:_VERSION_BYTES], "big")


def unwrap_data_key(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    """Return the data key. Raises RejectedError: another key or context, or changed bytes."""
    _require_context(context)
    data_key = unwrap_key(key, _DATA_KEY_PURPOSE + context, wrapped[_VERSION_BYTES:])
    if len(data_key) != KEY_BYTES:
        raise RejectedError("wrapped key: holds no data key")
    return data_key


def _require_context(context: bytes) -> None:
    if len(context) > MAX_CONTEXT_BYTES:
        raise InvalidError(f"context: longer than {MAX_CONTEXT_BYTES} bytes")
