"""One backup in the store that it is kept in: pieces by name, objects as they are, snapshots by number.

Nothing that was written is changed: a piece has the name of its content, so what is there need not be written
again, and a run that was cut off goes on where it stopped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from strongroom.artifact.pieces import MAX_PIECE_BYTES, open_piece, seal_piece
from strongroom.artifact.sealed import object_size
from strongroom.artifact.stream import WriteAt, verify_root
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.flows.unsealing import Progress
from strongroom.flows.vault import Vault
from strongroom.ports import BlobReader, BlobStore, KeyProvider
from strongroom.trust.backup import (
    BACKUP_KEY,
    ID_BYTES,
    MAX_HEADER_BYTES,
    MAX_SEQUENCE,
    MAX_SNAPSHOT_BYTES,
    PIECES,
    SECRET_BYTES,
    BackupHeader,
    BackupKeys,
    Chain,
    Index,
    Snapshot,
    claimed_snapshot,
    snapshot_name,
)
from strongroom.values import Digest, SealedEntry

HEADER = "backup/header.json"
KEYSTORE = "backup/keystore.json"
MAX_KEYSTORE_BYTES = 4 * 2**20
_PROBE_BYTES = 2
"""`verify_root` looks with so few bytes whether an object ends where it must."""


@dataclass
class Archive:
    """A backup that was opened with its secret."""

    store: BlobStore
    header: BackupHeader
    keys: BackupKeys
    present: dict[str, int] = field(default_factory=dict)
    """The pieces that are there, with their sizes."""
    written: int = 0
    """Bytes that this process has added."""

    @classmethod
    def found(cls, store: BlobStore, vault: Vault) -> Self:
        """Begin a backup in an empty store; its secret is drawn here and kept under a key of the home."""
        if next(iter(store.list("")), None) is not None:
            raise InvalidError(
                "backup: there are other files in that place", hint="choose an empty folder or prefix"
            )
        secret = vault.entropy.bytes(SECRET_BYTES)
        keys = vault.require_keys()
        keys.create(BACKUP_KEY)
        draft = BackupHeader(vault.entropy.bytes(ID_BYTES).hex(), vault.trust_root.trust_domain, b"")
        header = BackupHeader(draft.id, draft.domain, keys.wrap(BACKUP_KEY, secret, draft.context))
        store.put_new(HEADER, header.to_bytes())
        return cls(store, header, BackupKeys(secret))

    @classmethod
    def open(cls, store: BlobStore, keys: KeyProvider) -> Self:
        """Open a backup with the keys of the home that it is of.

        Raises:
            InvalidError: there is no backup.
            RejectedError: it is of another home, or not one that we wrote.
        """
        if HEADER not in store.list("backup"):
            raise InvalidError(
                "backup: there is none in that place", hint="strongroom backup create makes one"
            )
        header = BackupHeader.parse(store.read(HEADER, MAX_HEADER_BYTES))
        try:
            secret = keys.unwrap(BACKUP_KEY, header.wrapped, header.context)
        except InvalidError:
            raise RejectedError("backup: is of another home; this keystore has no key for it") from None
        present = {name: stat.size for name, stat in store.survey("pieces")}
        return cls(store, header, BackupKeys(secret), present)

    # -- pieces ----------------------------------------------------------------------------------------

    def put(self, kind: str, content: bytes) -> Chain:
        """Keep ``content`` in as many pieces as it takes."""
        parts = range(0, max(1, len(content)), MAX_PIECE_BYTES)
        return tuple(self._put_piece(kind, content[at : at + MAX_PIECE_BYTES]) for at in parts)

    def _put_piece(self, kind: str, content: bytes) -> SealedEntry:
        name = self.keys.name_of(kind, Digest.of(content).value)
        salt = self.keys.salt_of(name, content)
        sealed, entry = seal_piece(content, PIECES, name, self.keys.content, salt)
        if not self._has(name, len(sealed)):
            self.store.put_new(name, sealed)
            self.present[name] = len(sealed)
            self.written += len(sealed)
        return entry

    def get(self, kind: str, chain: Chain, limit: int) -> bytes:
        """Return what `put` kept. Raises RejectedError: a piece is missing, altered, or it is too large."""
        if sum(entry.size_bytes for entry in chain) > limit:
            raise RejectedError(f"backup: something in it is larger than {limit} bytes")
        return b"".join(self.parts(kind, chain))

    def parts(self, kind: str, chain: Chain) -> Iterator[bytes]:
        """The same, piece by piece. What was kept as one kind of thing is not read as another."""
        for entry in chain:
            if entry.object != self.keys.name_of(kind, entry.sha256.value):
                raise RejectedError(f"backup: a piece is not one of kind {kind}")
            size = object_size(min(entry.size_bytes, MAX_PIECE_BYTES))
            yield open_piece(self.store.read(entry.object, size), PIECES, entry, self.keys.content)

    def has(self, chain: Chain) -> bool:
        """Whether every piece is there, as long as it must be."""
        return all(self.present.get(entry.object) == object_size(entry.size_bytes) for entry in chain)

    def _has(self, name: str, size: int) -> bool:
        """Whether it is there; what has another size was cut by somebody, and is made anew."""
        found = self.present.get(name)
        if found is not None and found != size:
            self.store.delete(name)
            del self.present[name]
        return found == size

    # -- sealed objects of models ----------------------------------------------------------------------

    def object_name(self, entry: SealedEntry) -> str:
        return self.keys.name_of("object", entry.root)

    def put_object(self, source: BlobStore, entry: SealedEntry, progress: Progress | None = None) -> None:
        """Copy a sealed object, checked on the way; one that is here already is not read."""
        name, size = self.object_name(entry), object_size(entry.size_bytes)
        if not self._has(name, size):
            copy_object(source, entry.object, self.store, name, entry, progress)
            self.present[name] = size
            self.written += size

    # -- snapshots -------------------------------------------------------------------------------------

    def sequences(self) -> list[int]:
        """Numbers of the snapshots that are there, oldest first."""
        found = []
        for name in self.store.list("snapshots"):
            number = name.removeprefix("snapshots/").removesuffix(".json")
            fits = len(number) == len(str(MAX_SEQUENCE)) and number.isdecimal()
            if not fits or snapshot_name(int(number)) != name:
                raise RejectedError(f"backup: {shorten(name)} is no name that we give a snapshot")
            found.append(int(number))
        return sorted(found)

    def envelope(self, sequence: int) -> bytes:
        return self.store.read(snapshot_name(sequence), MAX_SNAPSHOT_BYTES)

    def claimed(self, sequence: int) -> Snapshot:
        """Return what a snapshot says, if it is one of this backup and stands under its own number."""
        snapshot = claimed_snapshot(self.envelope(sequence))
        if (snapshot.backup, snapshot.sequence) != (self.header.id, sequence):
            raise RejectedError(f"backup: snapshot {sequence} is one of another backup, or another number")
        return snapshot

    def index(self, snapshot: Snapshot, limit: int) -> Index:
        return Index.parse(self.get("index", snapshot.index, limit))


def copy_object(
    source: BlobStore,
    name: str,
    target: BlobStore,
    new_name: str,
    entry: SealedEntry,
    progress: Progress | None = None,
) -> None:
    """Copy a sealed object without any key; it appears only if it is byte for byte what ``entry`` binds.

    Raises:
        RejectedError: it is missing, or not that.
    """
    blob = source.open(name)
    try:
        writer = target.create(new_name, blob.size)
        try:
            verify_root(_Tee(blob, writer.write_at).read_into, entry, blob.size, progress=progress)
            writer.commit()
        finally:
            writer.discard()
    finally:
        blob.close()


class _Tee:
    """Writes what is read, in the same pass; looks at the end are no reading."""

    def __init__(self, blob: BlobReader, write_at: WriteAt) -> None:
        self._blob = blob
        self._write_at = write_at

    def read_into(self, offset: int, buffer: memoryview) -> int:
        size = self._blob.read_into(offset, buffer)
        if len(buffer) > _PROBE_BYTES and size:
            self._write_at(offset, buffer[:size])
        return size
