"""Reading a journal: every batch verified before anything of it is believed."""

from collections.abc import Iterator
from hashlib import sha256

from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.batch import (
    BATCH_MAGIC,
    FILE_HEADER_BYTES,
    FILE_MAGIC,
    MAX_BATCH_BYTES,
    MAX_BATCH_RECORDS,
    MAX_CONTEXTS,
    PREFIX,
    SIGNATURE_BYTES,
    STORED_RECORD,
    TRAILER_BYTES,
    Batch,
    BatchHead,
    Record,
    file_header,
    require_context,
)
from strongroom.trust.merkle import leaf_hash, tree_levels
from strongroom.trust.signatures import PublicKey

_SECTOR_BYTES = 512


class JournalReader:
    """Reads a journal, perhaps while it grows, and yields each batch that its key signed, in order.

    After a `read`, ``good_bytes`` is how much of the file was believed, ``torn_bytes`` what follows it: the
    beginning of a batch that never became durable, or nothing.
    """

    def __init__(self, key: PublicKey, journal: bytes | None = None) -> None:
        """``journal``, if given, is the only id that is accepted."""
        self.journal = journal
        self.good_bytes = 0
        self.torn_bytes = 0
        self.next_number = 0
        self._key = key
        self._previous = b""
        self._contexts: list[tuple[bytes, bytes]] = []
        self._seen: set[bytes] = set()

    def read(self, data: bytes) -> Iterator[Batch]:
        """Yield the batches in ``data``, the bytes of the file from ``good_bytes`` on.

        Raises:
            RejectedError: a batch was altered, or is not the one that follows; all before it were good.
        """
        at = self._read_header(data) if self.good_bytes == 0 else 0
        while self.good_bytes and at < len(data):
            try:
                batch = self._parse(data, at)
            except RejectedError:
                if not self._is_torn(data, at):
                    raise
                break
            at += len(batch.data)
            self.good_bytes += len(batch.data)
            yield batch
        self.torn_bytes = len(data) - at

    def _read_header(self, data: bytes) -> int:
        header = data[:FILE_HEADER_BYTES]
        if not data.strip(b"\0"):
            return 0
        if len(header) < FILE_HEADER_BYTES:
            if FILE_MAGIC.startswith(header[: len(FILE_MAGIC)]):
                return 0
            raise RejectedError("journal: not a journal")
        journal = header[len(FILE_MAGIC) :]
        if header != file_header(self.journal or journal):
            raise RejectedError("journal: not a journal, or another one")
        self.journal = journal
        self._previous = leaf_hash(header)
        self.good_bytes = FILE_HEADER_BYTES
        return FILE_HEADER_BYTES

    def _parse(self, data: bytes, at: int) -> Batch:
        """Return the batch at ``at``; nothing is taken from it before all of it is verified."""
        name = f"journal: batch {self.next_number}"
        if len(data) - at < PREFIX.size:
            raise RejectedError(f"{name} is cut")
        magic, length, number, previous, count, fresh = PREFIX.unpack_from(data, at)
        if magic != BATCH_MAGIC or length > MAX_BATCH_BYTES or not 1 <= count <= MAX_BATCH_RECORDS:
            raise RejectedError(f"{name} is malformed")
        if (number, previous) != (self.next_number, self._previous):
            raise RejectedError(f"{name} does not follow the one before (deleted, repeated or moved)")
        if length > len(data) - at:
            raise RejectedError(f"{name} is cut")
        body = data[at : at + length]
        contexts, end = self._parse_contexts(body, fresh, name)
        if length != end + count * STORED_RECORD.size + TRAILER_BYTES:
            raise RejectedError(f"{name} has a wrong length")
        records, levels = self._parse_records(body, end, contexts, name)
        root, signature = body[-TRAILER_BYTES:-SIGNATURE_BYTES], body[-SIGNATURE_BYTES:]
        if levels[-1][0] != root:
            raise RejectedError(f"{name} was altered: its records do not hash to its root")
        head = BatchHead(self.journal or b"", number, previous, count, root)
        try:
            self._key.verify(signature, head.to_bytes())
        except RejectedError:
            raise RejectedError(f"{name} is not signed by the journal's key") from None
        self._contexts += contexts
        self._seen.update(context for context, _ in contexts)
        self.next_number += 1
        self._previous = head.hash
        return Batch(head, signature, records, levels, body)

    def _parse_contexts(self, body: bytes, count: int, name: str) -> tuple[list[tuple[bytes, bytes]], int]:
        if len(self._contexts) + count > MAX_CONTEXTS:
            raise RejectedError(f"{name} has too many contexts")
        found: dict[bytes, bytes] = {}
        at = PREFIX.size
        for _ in range(count):
            end = at + 2 + int.from_bytes(body[at : at + 2])
            context = body[at + 2 : end]
            if end > len(body) or context in self._seen or context in found:
                raise RejectedError(f"{name} has a context that is cut or repeated")
            try:
                require_context(context)
            except InvalidError as error:
                raise RejectedError(f"{name}: {error.message}") from None
            found[context] = b"\x00" + sha256(context).digest()
            at = end
        return list(found.items()), at

    def _parse_records(
        self, body: bytes, at: int, fresh: list[tuple[bytes, bytes]], name: str
    ) -> tuple[list[Record], list[list[bytes]]]:
        known = len(self._contexts)
        introduced = known
        records: list[Record] = []
        leaves: list[bytes] = []
        for index, *values in STORED_RECORD.iter_unpack(body[at:-TRAILER_BYTES]):
            if index > introduced or index >= known + len(fresh):
                raise RejectedError(f"{name} has a record without a context")
            introduced = max(introduced, index + 1)
            context, leaf_prefix = self._contexts[index] if index < known else fresh[index - known]
            records.append(Record(context, *values))
            leaves.append(sha256(leaf_prefix + body[at + 4 : at + STORED_RECORD.size]).digest())
            at += STORED_RECORD.size
        if introduced != known + len(fresh):
            raise RejectedError(f"{name} has a context that no record uses")
        return records, tree_levels(leaves)

    def _is_torn(self, data: bytes, at: int) -> bool:
        """Whether what is at ``at`` can be an append that a crash cut short, as opposed to an alteration.

        A crash leaves nothing after it, and either the file ends early or a sector was never written.
        """
        if data.find(BATCH_MAGIC, at + 1) != -1:
            return False
        left = len(data) - at
        if left < PREFIX.size:
            return BATCH_MAGIC.startswith(data[at : at + len(BATCH_MAGIC)]) or not data[at:].strip(b"\0")
        magic, length, number, previous, _, _ = PREFIX.unpack_from(data, at)
        follows = (magic, number, previous) == (BATCH_MAGIC, self.next_number, self._previous)
        if follows and left < length <= MAX_BATCH_BYTES:
            return True
        to_sector_end = _SECTOR_BYTES - self.good_bytes % _SECTOR_BYTES
        starts = [at, *range(at + to_sector_end, len(data), _SECTOR_BYTES)]
        return any(
            not data[start:end].strip(b"\0")
            for start, end in zip(starts, [*starts[1:], len(data)], strict=True)
        )


def parse_batches(data: bytes, key: PublicKey, journal: bytes | None = None) -> Iterator[Batch]:
    """Yield the batches of a whole journal file; a torn tail ends it (see `JournalReader`).

    Raises:
        RejectedError: a batch was altered, deleted, repeated or moved, or is not signed by ``key``.
    """
    return JournalReader(key, journal).read(data)
