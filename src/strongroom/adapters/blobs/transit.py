"""Objects that are sealed into a folder of this machine and travel from there, going on after a crash."""

from hashlib import sha256
from pathlib import Path

from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.blobs.names import MAX_SMALL_BYTES, require_name
from strongroom.adapters.blobs.notes import KeptNotes
from strongroom.adapters.blobs.remote import RemoteBlobStore
from strongroom.ports import BlobStore

_OBJECTS, _NOTES = "objects", "notes"


class RemoteTransit:
    """A `Transit` into a `RemoteBlobStore`. The folder holds ciphertext, and notes of what has arrived."""

    def __init__(self, store: RemoteBlobStore, folder: Path) -> None:
        self._store = store
        self._spool = LocalBlobStore(folder / _OBJECTS)
        self._notes = LocalBlobStore(folder / _NOTES)
        self._spool.sweep()
        self._notes.sweep()

    @property
    def spool(self) -> BlobStore:
        return self._spool

    def send(self, name: str) -> None:
        self._store.accept_for_writing(name)
        source = self._spool.open(name)
        try:
            if source.size <= MAX_SMALL_BYTES:
                self._store.send(name, source)
            else:
                self._store.bucket.send(name, source, self._notes_of(name))
        finally:
            source.close()
        self._spool.delete(name)

    def drop(self, name: str) -> None:
        self._store.bucket.abandon(name, self._notes_of(name))
        self._spool.delete(name)

    def _notes_of(self, name: str) -> KeptNotes:
        """Named by digest: a name of eight segments has no room for one more."""
        return KeptNotes(self._notes, sha256(require_name(name).encode()).hexdigest())
