"""Signed envelopes: DSSE v1 (github.com/secure-systems-lab/dsse), one spelling, every signature must hold.

Stricter than the specification on purpose: the envelope is canonical JSON, the payload type is named by the
caller, each signature names its key, and one signature that does not verify refuses the whole envelope.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.signatures import MAX_SIGNATURE_BYTES, MessageSigner, PublicKey, require_own_signature

MAX_PAYLOAD_BYTES = 6 * 2**20
MAX_ENVELOPE_BYTES = 8 * 2**20 + 2**16
MAX_PAYLOAD_TYPE_CHARS = 128
MAX_SIGNATURES = 8


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding: what is signed (DSSE v1 protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class EnvelopeSignature:
    """One signature and the id of the key that it claims to be by."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and its signatures; nothing in it is believed before `verify`."""

    payload_type: str
    payload: bytes
    signatures: tuple[EnvelopeSignature, ...]

    def to_bytes(self) -> bytes:
        """Return the canonical JSON form."""
        return canonical.encode(
            {
                "payload": b64encode(self.payload).decode(),
                "payloadType": self.payload_type,
                "signatures": [
                    {"keyid": signature.key_id, "sig": b64encode(signature.value).decode()}
                    for signature in self.signatures
                ],
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the envelope whose canonical form is ``data``.

        Raises:
            RejectedError: another spelling, an unknown or missing field, or a size out of bounds.
        """
        if len(data) > MAX_ENVELOPE_BYTES:
            raise RejectedError(f"envelope: larger than {MAX_ENVELOPE_BYTES} bytes")
        try:
            value = canonical.decode(data)
        except InvalidError as error:
            raise RejectedError(f"envelope: {error.message}") from None
        match value:
            case {"payload": str(payload), "payloadType": str(kind), "signatures": list(signatures)} if (
                len(value) == 3
            ):
                _require_bounds(kind, signatures)
                return cls(
                    kind, _decode(payload, MAX_PAYLOAD_BYTES), tuple(_parse_signature(s) for s in signatures)
                )
            case _:
                raise RejectedError("envelope: must have payload, payloadType and signatures and no more")


def sign_envelope(payload_type: str, payload: bytes, signer: MessageSigner) -> Envelope:
    """Return an envelope with the one signature of ``signer``, which was checked."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise InvalidError(f"envelope: payload is larger than {MAX_PAYLOAD_BYTES} bytes")
    signature = require_own_signature(signer, pae(payload_type, payload))
    return Envelope(payload_type, payload, (EnvelopeSignature(signer.key_id, signature),))


def verify(envelope: Envelope, keys: Iterable[PublicKey], payload_type: str) -> bytes:
    """Return the payload if it is of ``payload_type`` and every signature is by a different one of ``keys``.

    Raises:
        RejectedError: another type, no signature, an unknown key, a key twice, or a signature that fails.
    """
    known = {key.key_id: key for key in keys}
    if envelope.payload_type != payload_type:
        raise RejectedError(f"envelope: payload type {shorten(envelope.payload_type)} is not {payload_type}")
    if not envelope.signatures:
        raise RejectedError("envelope: has no signature")
    message = pae(envelope.payload_type, envelope.payload)
    for signature in envelope.signatures:
        key = known.pop(signature.key_id, None)
        if key is None:
            raise RejectedError(
                f"envelope: key {shorten(signature.key_id, 64)} is not trusted, or signs twice"
            )
        key.verify(signature.value, message)
    return envelope.payload


def _require_bounds(kind: str, signatures: list[Any]) -> None:
    if not 1 <= len(kind) <= MAX_PAYLOAD_TYPE_CHARS or not kind.isascii() or not kind.isprintable():
        raise RejectedError("envelope: payload type is out of bounds")
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise RejectedError(f"envelope: must have 1 to {MAX_SIGNATURES} signatures")


def _parse_signature(value: object) -> EnvelopeSignature:
    match value:
        case {"keyid": str(key_id), "sig": str(signature), **rest} if not rest and 1 <= len(key_id) <= 128:
            return EnvelopeSignature(key_id, _decode(signature, MAX_SIGNATURE_BYTES))
        case _:
            raise RejectedError("envelope: a signature must have keyid and sig and no more")


def _decode(text: str, limit: int) -> bytes:
    """Decode standard base64 in its one spelling: padded, no line breaks, no stray bits."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RejectedError("envelope: base64 cannot be decoded") from None
    if len(data) > limit or b64encode(data).decode() != text:
        raise RejectedError("envelope: base64 is too long or not in its one spelling")
    return data
