"""One batch of a journal: its byte layout, its Merkle tree, and the head that is signed.

docs/formats/journal.md is the specification; offsets there and structs here must agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from strongroom import canonical
from strongroom.errors import InvalidError
from strongroom.trust.merkle import HASH_BYTES, leaf_hash, path_in_levels

JOURNAL_ID_BYTES = 16
SIGNATURE_BYTES = 64
FILE_MAGIC = b"strongroom-jrnl\x01"
FILE_HEADER_BYTES = len(FILE_MAGIC) + JOURNAL_ID_BYTES
# As in PNG: a byte that no text has, and line ends that a text-mode copy would spoil.
BATCH_MAGIC = b"\x89SRJ\r\n\x1a\x01"

MAX_BATCH_RECORDS = 2**16
MAX_BATCH_BYTES = 16 * 2**20
MAX_CONTEXT_BYTES = 4096
MAX_CONTEXTS = 2**18
"""Different contexts in one journal; the reader holds them all."""

PREFIX = Struct(">8sIQ32sII")
"""Magic, length of the whole batch, number, previous head, records, new contexts."""
FIXED = Struct(">QIH")
"""Time in microseconds since 1970, rows, status; the two hashes follow."""
TRAILER_BYTES = HASH_BYTES + SIGNATURE_BYTES
"""The root, then the signature, end a batch."""
PACKED_BYTES = FIXED.size + 2 * HASH_BYTES
STORED_RECORD = Struct(">IQIH32s32s")
"""A record in the file: the index of its context, then the packed record."""

_HEAD_TAG = b"strongroom/batch/1\n"
_HEAD = Struct(">16sQ32sI32s")


class Record(NamedTuple):
    """One answered request. Request and answer are there as hashes only."""

    context: bytes
    """Canonical JSON object, at most MAX_CONTEXT_BYTES: who asked which model under which policy."""
    time_us: int
    rows: int
    status: int
    request: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class BatchHead:
    """What the journal's key signs."""

    journal: bytes
    number: int
    previous: bytes
    """Hash of the head before, or of the file header for batch 0."""
    count: int
    root: bytes

    def to_bytes(self) -> bytes:
        return _HEAD_TAG + _HEAD.pack(self.journal, self.number, self.previous, self.count, self.root)

    @property
    def hash(self) -> bytes:
        """The leaf hash of this head: its link in the chain and its leaf in a fold."""
        return leaf_hash(self.to_bytes())


@dataclass(frozen=True, slots=True)
class Batch:
    """A signed batch, made or read; ``levels`` are the rows of its Merkle tree."""

    head: BatchHead
    signature: bytes
    records: Sequence[Record]
    levels: Sequence[Sequence[bytes]]
    data: bytes
    """Its bytes in the file."""

    def path(self, index: int) -> list[bytes]:
        """The inclusion proof of record ``index`` under the head's root."""
        return path_in_levels(self.levels, index)


def file_header(journal: bytes) -> bytes:
    return FILE_MAGIC + journal


def record_hash(record: Record) -> bytes:
    """SHA-256(0x00 ‖ SHA-256(context) ‖ packed record): the record's leaf hash."""
    fixed = FIXED.pack(record.time_us, record.rows, record.status)
    return leaf_hash(sha256(record.context).digest() + fixed + record.request + record.answer)


def require_context(context: bytes) -> bytes:
    """Return ``context`` if it is a canonical JSON object of at most MAX_CONTEXT_BYTES."""
    if len(context) > MAX_CONTEXT_BYTES or not isinstance(canonical.decode(context), dict):
        raise InvalidError(f"context: not a canonical JSON object of at most {MAX_CONTEXT_BYTES} bytes")
    return context
