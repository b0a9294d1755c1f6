"""Checkpoints: the signed size and root of a log (C2SP tlog-checkpoint), and what may follow which."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.merkle import EMPTY_ROOT, HASH_BYTES, MAX_TREE_SIZE, require_consistent
from strongroom.trust.note import open_note, parse_base64, sign_note, unverified_text
from strongroom.trust.signatures import MessageSigner, PublicKey

_ORIGIN = re.compile(r"[!-*,-~]{1,255}")
"""Printable ASCII without space and plus, so that the origin can be the key name too."""
_RESERVED = "strongroom/"
"""First lines of other notes that the log's key signs; an origin must never read like one."""
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


class Head(NamedTuple):
    """Size and root of a tree."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head, as its key signed it."""

    origin: str
    size: int
    root: bytes

    @property
    def head(self) -> Head:
        return Head(self.size, self.root)


def require_origin(origin: str) -> str:
    """Return ``origin`` if it can name a log: printable ASCII, no space or plus, not ``strongroom/…``."""
    if not _ORIGIN.fullmatch(origin) or origin.startswith(_RESERVED):
        raise InvalidError(
            f"log origin: {shorten(origin)} cannot name a log",
            hint="use a host and path without scheme, for instance example.org/models",
        )
    return origin


def sign_checkpoint(origin: str, size: int, root: bytes, signer: MessageSigner) -> bytes:
    """Return the signed note; the key's name in it is the origin."""
    if not 0 <= size <= MAX_TREE_SIZE or len(root) != HASH_BYTES:
        raise InvalidError("checkpoint: size or root out of range")
    text = f"{require_origin(origin)}\n{size}\n{b64encode(root).decode()}\n"
    return sign_note(text, origin, signer)


def verify_checkpoint(note: bytes, key: PublicKey, origin: str) -> Checkpoint:
    """Return the checkpoint if ``key`` signed it for the log ``origin``.

    Extension lines are refused: this log never writes them, and nothing here would check them.

    Raises:
        RejectedError: malformed, of another log, or not signed by this key.
    """
    checkpoint = _parse(open_note(note, require_origin(origin), key))
    if checkpoint.origin != origin:
        raise RejectedError(f"checkpoint: is of log {shorten(checkpoint.origin)}, not {shorten(origin)}")
    return checkpoint


def claimed_head(note: bytes) -> Head:
    """Return what a checkpoint claims, unverified: only to know which stored files to look at."""
    return _parse(unverified_text(note)).head


def require_extends(old: Head, new: Head, proof: Sequence[bytes]) -> None:
    """Check that a log went from ``old`` to ``new`` by appending only.

    Both heads must have been verified or remembered; ``proof`` is the consistency proof between them.

    Raises:
        RejectedError: a rollback, a split view (two roots at one size) or a rewritten log.
    """
    if new.size < old.size:
        raise RejectedError(
            f"log: was cut or rolled back, {new.size} records where {old.size} were seen before",
            hint="restore the log from a backup that holds the newer checkpoint",
        )
    if new.size == old.size and new.root != old.root:
        raise RejectedError(f"log: two different trees of {new.size} records were signed (split view)")
    require_consistent(old.size, old.root, new.size, new.root, proof)


def _parse(text: str) -> Checkpoint:
    lines = text[:-1].split("\n")
    if len(lines) != 3 or not _ORIGIN.fullmatch(lines[0]) or not _SIZE.fullmatch(lines[1]):
        raise RejectedError("checkpoint: malformed")
    size, root = int(lines[1]), parse_base64(lines[2])
    if size > MAX_TREE_SIZE or len(root) != HASH_BYTES:
        raise RejectedError("checkpoint: size or root out of range")
    if size == 0 and root != EMPTY_ROOT:
        raise RejectedError("checkpoint: an empty tree has another root")
    return Checkpoint(lines[0], size, root)
