"""Making the batches of a journal; on the path of every answer, so it counts microseconds."""

from collections.abc import Sequence
from hashlib import sha256
from struct import error as StructError  # noqa: N812

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.errors import InvalidError, OutageError
from strongroom.trust.batch import (
    BATCH_MAGIC,
    FIXED,
    JOURNAL_ID_BYTES,
    MAX_BATCH_BYTES,
    MAX_BATCH_RECORDS,
    MAX_CONTEXTS,
    PACKED_BYTES,
    PREFIX,
    TRAILER_BYTES,
    Batch,
    BatchHead,
    Record,
    file_header,
    require_context,
)
from strongroom.trust.merkle import HASH_BYTES, leaf_hash, tree_levels
from strongroom.trust.signatures import PublicKey


class JournalSigner:
    """The Ed25519 key of one journal, made for it and gone with its process."""

    def __init__(self, seed: bytes) -> None:
        """``seed``: 32 random bytes, never stored."""
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = PublicKey.from_pem(self.public_pem).key_id
        self.sign = self._key.sign


class JournalWriter:
    """Makes the batches of one journal. Not thread-safe; does no I/O.

    Write `header` first. Then for each batch: `encode`, write its ``data`` and make it durable, `accept`.
    A batch that could not be written is simply not accepted: cut the file back to where it began.
    """

    def __init__(self, journal: bytes, signer: JournalSigner) -> None:
        if len(journal) != JOURNAL_ID_BYTES:
            raise InvalidError(f"journal: its id is not {JOURNAL_ID_BYTES} bytes")
        self.journal = journal
        self.header = file_header(journal)
        self._sign = signer.sign
        self._number = 0
        self._previous = leaf_hash(self.header)
        self._contexts: dict[bytes, tuple[bytes, bytes]] = {}
        """By context: its index as stored, and 0x00 ‖ its SHA-256, which begins its leaves."""

    def encode(self, records: Sequence[Record]) -> Batch:
        """Return the next batch, signed, without taking it as written.

        Raises:
            InvalidError: no or too many records, a value out of range, a context that is not canonical.
            OutageError: this journal has MAX_CONTEXTS contexts; begin another one.
        """
        if not 1 <= len(records) <= MAX_BATCH_RECORDS:
            raise InvalidError(f"journal: a batch of {len(records)} records; 1 to {MAX_BATCH_RECORDS}")
        known = self._contexts
        fresh: dict[bytes, tuple[bytes, bytes]] = {}
        stored: list[bytes] = []
        leaves: list[bytes] = []
        for context, time_us, rows, status, request, answer in records:
            index, leaf_prefix = known.get(context) or fresh.get(context) or self._admit(context, fresh)
            try:
                packed = FIXED.pack(time_us, rows, status) + request + answer
            except StructError:
                raise InvalidError("journal: a record has a number out of range") from None
            if len(packed) != PACKED_BYTES or len(answer) != HASH_BYTES:
                raise InvalidError("journal: a record has a hash that is not 32 bytes")
            stored += (index, packed)
            leaves.append(sha256(leaf_prefix + packed).digest())
        levels = tree_levels(leaves)
        root = levels[-1][0]
        head = BatchHead(self.journal, self._number, self._previous, len(records), root)
        body = b"".join([len(each).to_bytes(2) + each for each in fresh] + stored)
        length = PREFIX.size + len(body) + TRAILER_BYTES
        if length > MAX_BATCH_BYTES:
            raise InvalidError(f"journal: a batch of {length} bytes; at most {MAX_BATCH_BYTES}")
        prefix = PREFIX.pack(BATCH_MAGIC, length, head.number, head.previous, head.count, len(fresh))
        signature = self._sign(head.to_bytes())
        return Batch(head, signature, records, levels, b"".join((prefix, body, root, signature)))

    def accept(self, batch: Batch) -> None:
        """Take ``batch`` as written: the next one follows it."""
        if (batch.head.number, batch.head.previous) != (self._number, self._previous):
            raise InvalidError(f"journal: batch {batch.head.number} does not come next")
        for record in batch.records:
            if record.context not in self._contexts:
                self._contexts[record.context] = _context_entry(len(self._contexts), record.context)
        self._number += 1
        self._previous = batch.head.hash

    def _admit(self, context: bytes, fresh: dict[bytes, tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        index = len(self._contexts) + len(fresh)
        if index >= MAX_CONTEXTS:
            raise OutageError(f"journal: full, it has {MAX_CONTEXTS} contexts")
        require_context(context)
        fresh[context] = _context_entry(index, context)
        return fresh[context]


def _context_entry(index: int, context: bytes) -> tuple[bytes, bytes]:
    return index.to_bytes(4), b"\x00" + sha256(context).digest()
