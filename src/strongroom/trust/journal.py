"""Journals: what gateways write down before an answer leaves, in signed and chained batches.

The door of this room for the others: a `JournalWriter` makes batches, a `JournalReader` believes only what
the journal's key signed, `fold` gathers batch heads under one root for the log (docs/formats/journal.md).
"""

from hashlib import sha256

from strongroom.trust.batch import Batch, BatchHead, Record
from strongroom.trust.batch_fold import Fold, fold
from strongroom.trust.journal_reader import JournalReader, parse_batches
from strongroom.trust.journal_writer import JournalSigner, JournalWriter

__all__ = [
    "Batch",
    "BatchHead",
    "Fold",
    "JournalReader",
    "JournalSigner",
    "JournalWriter",
    "Record",
    "answer_hash",
    "fold",
    "parse_batches",
    "request_hash",
]

_LARGE_BODY_BYTES = 16 * 2**10


def request_hash(method: bytes, path: bytes, nonce: bytes, body: bytes) -> bytes:
    """SHA-256(method ‖ SP ‖ path ‖ LF ‖ nonce ‖ LF ‖ body).

    ``path`` is the request target as sent, query included. No part before the body may hold LF, and the
    method no space; HTTP rules both out.
    """
    return _hash_of(b"%b %b\n%b\n" % (method, path, nonce), body)


def answer_hash(status: int, body: bytes) -> bytes:
    """SHA-256(status as three decimal digits ‖ LF ‖ body), the body before any content coding."""
    return _hash_of(b"%03d\n" % status, body)


def _hash_of(head: bytes, body: bytes) -> bytes:
    if len(body) < _LARGE_BODY_BYTES:
        return sha256(head + body).digest()
    hashed = sha256(head)
    hashed.update(body)
    return hashed.digest()
