"""The certificate of a journal's key: a note in which the log's key says whose batches it signs."""

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.batch import JOURNAL_ID_BYTES
from strongroom.trust.checkpoint import require_origin
from strongroom.trust.note import open_note, parse_base64, sign_note
from strongroom.trust.signatures import Algorithm, MessageSigner, PublicKey
from strongroom.values import format_time, parse_time

# First line of the note. No log can have this for an origin (`checkpoint.require_origin`), so no
# certificate can be taken for a checkpoint, nor the other way round.
_FIRST_LINE = "strongroom/journal/1"
_JOURNAL = re.compile(r"[0-9a-f]{32}")
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
"""RFC 8410 4: what stands before the 32 bytes of every Ed25519 SubjectPublicKeyInfo."""


@dataclass(frozen=True, slots=True)
class JournalKey:
    """Which key signs the batches of which journal, since when; ``of_log`` says so."""

    journal: bytes
    key: PublicKey
    started_at: datetime


def sign_journal_key(
    journal: bytes, key: PublicKey, started_at: datetime, origin: str, signer: MessageSigner
) -> bytes:
    """Return the certificate, signed by the log's key under the log's origin."""
    if len(journal) != JOURNAL_ID_BYTES or key.algorithm is not Algorithm.ED25519:
        raise InvalidError("journal certificate: needs a 16-byte journal id and an Ed25519 key")
    lines = [_FIRST_LINE, journal.hex(), b64encode(key.raw).decode(), format_time(started_at)]
    return sign_note("".join(f"{line}\n" for line in lines), require_origin(origin), signer)


def open_journal_key(note: bytes, log_key: PublicKey, origin: str) -> JournalKey:
    """Return what the certificate says if the log's key signed it.

    Raises:
        RejectedError: malformed, or not signed by that key for that log.
    """
    lines = open_note(note, require_origin(origin), log_key)[:-1].split("\n")
    if len(lines) != 4 or lines[0] != _FIRST_LINE or not _JOURNAL.fullmatch(lines[1]):
        raise RejectedError("journal certificate: malformed")
    raw = parse_base64(lines[2])
    if len(raw) != 32:
        raise RejectedError("journal certificate: malformed")
    try:
        key = PublicKey.from_der(_ED25519_SPKI + raw)
        return JournalKey(bytes.fromhex(lines[1]), key, parse_time(lines[3]))
    except InvalidError as error:
        raise RejectedError(f"journal certificate: {error.message}") from None
