"""Signed notes: a text and the Ed25519 signature of one pinned key under it (C2SP signed-note)."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.signatures import Algorithm, MessageSigner, PublicKey, require_own_signature

MAX_NOTE_BYTES = 128 * 2**10
"""Holds the 16 signatures that every reader must accept, even post-quantum ones."""
MAX_SIGNATURES = 64
_ED25519 = b"\x01"
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,255}")
_SIGNATURE = re.compile(r"— ([^\s+]{1,255}) ([A-Za-z0-9+/]+={0,2})")


def key_hash(name: str, key: PublicKey) -> bytes:
    """Return the 4 bytes that, with ``name``, say which key signed."""
    if key.algorithm != Algorithm.ED25519:
        raise InvalidError("signed note: the key is not an Ed25519 key")
    return sha256(name.encode() + b"\n" + _ED25519 + key.raw).digest()[:4]


def sign_note(text: str, name: str, signer: MessageSigner) -> bytes:
    """Return ``text``, which ends in a newline, as a note signed under key name ``name``."""
    if not text.endswith("\n") or _CONTROL.search(text) or not _NAME.fullmatch(name):
        raise InvalidError("signed note: text or key name cannot be signed")
    key = PublicKey.from_pem(signer.public_pem)
    prefix = key_hash(name, key)
    signature = require_own_signature(signer, text.encode())
    return f"{text}\n— {name} {b64encode(prefix + signature).decode()}\n".encode()


def open_note(note: bytes, name: str, key: PublicKey) -> str:
    """Return the text of ``note`` if ``key`` signed it under the name ``name``.

    Signatures of other keys are ignored, as the format wants; a bad one of this key is not.

    Raises:
        RejectedError: malformed, or not signed by this key.
    """
    wanted = key_hash(name, key)
    text, found = _parse(note)
    proven = False
    for signer, data in found:
        if signer == name and data[:4] == wanted:
            key.verify(data[4:], text.encode())
            proven = True
    if not proven:
        raise RejectedError(f"signed note: no signature of {shorten(name)}, key {wanted.hex()}")
    return text


def unverified_text(note: bytes) -> str:
    """Return the text without looking at who signed it: for locating things, never for believing them."""
    return _parse(note)[0]


def _parse(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > MAX_NOTE_BYTES:
        raise RejectedError("signed note: too long")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise RejectedError("signed note: not UTF-8") from None
    text, gap, tail = whole.rpartition("\n\n")
    if not gap or not tail.endswith("\n") or _CONTROL.search(whole):
        raise RejectedError("signed note: malformed")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise RejectedError("signed note: too many signatures")
    return f"{text}\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes]:
    match = _SIGNATURE.fullmatch(line)
    data = parse_base64(match[2]) if match else b""
    if match is None or len(data) < 5:
        raise RejectedError("signed note: malformed signature line")
    return match[1], data


def parse_base64(text: str) -> bytes:
    """Return the bytes of the one canonical base64 spelling (RFC 4648 4)."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise RejectedError("base64: cannot be parsed") from None
    if b64encode(data).decode() != text:
        raise RejectedError("base64: not the canonical spelling")
    return data
