"""The wrapped data key beside the sealed objects: the only part of a version that rotation rewrites."""

import base64
import binascii
from dataclasses import dataclass
from typing import Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.values import Digest, KeyUri, ModelId

_FORMAT = "strongroom-wrapped-key-1"
MAX_WRAPPED_BYTES = 8192


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key under the key-encryption key that ``key`` names."""

    key: KeyUri
    wrapped: bytes

    def to_bytes(self) -> bytes:
        return canonical.encode(
            {"format": _FORMAT, "key": self.key, "wrapped": base64.b64encode(self.wrapped).decode()}
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises RejectedError: this file is only ever read from a store that others may write."""
        try:
            value = canonical.decode(data)
            if set(value) != {"format", "key", "wrapped"} or value["format"] != _FORMAT:
                raise InvalidError("fields")
            wrapped = base64.b64decode(value["wrapped"], validate=True)
            if not isinstance(value["key"], str) or len(wrapped) > MAX_WRAPPED_BYTES:
                raise InvalidError("fields")
        except (InvalidError, TypeError, ValueError, binascii.Error):
            raise RejectedError("keys.json: is not a wrapped key") from None
        return cls(KeyUri(value["key"]), wrapped)


def data_key_context(model: ModelId, manifest: Digest) -> bytes:
    """What a wrapped data key is bound to: it opens for this model and these plaintext bytes only."""
    return canonical.encode({"manifest": str(manifest), "model": str(model), "use": "strongroom/dek/1"})
