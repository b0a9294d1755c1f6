"""The log in a local folder, laid out as C2SP tlog-tiles (docs/formats/log.md).

The file ``checkpoint`` is the only one that is replaced; whatever lies beyond the size it names is the
leftover of an append that never happened, ignored by readers and overwritten by the next append.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from strongroom.adapters.durable import sync_folder
from strongroom.adapters.log.appending import (
    Growth,
    Remembered,
    grow,
    require_checkpoint,
    require_leaves,
    sign_empty,
)
from strongroom.adapters.log.folder import DurableWrites, find_file, hold_lock, write_file
from strongroom.adapters.log.pieces import PieceReader
from strongroom.errors import OutageError, RejectedError, StrongroomError
from strongroom.ports import Signer
from strongroom.trust.checkpoint import Checkpoint, Head, claimed_head, require_origin
from strongroom.trust.note import MAX_NOTE_BYTES
from strongroom.trust.tiles import edge_of, entries_path, tile_path

_CHECKPOINT = "checkpoint"
_LOCK = "lock"


class _Folder:
    """`Pieces` that are files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, path: str, limit: int) -> bytes | None:
        return find_file(self._root / path, limit)

    def partial_widths(self, path: str) -> list[str]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return [each.name for each in (self._root / f"{path}.p").iterdir()]
        return []


class LocalLog:
    """A `LogStore` in one folder. Readers need no lock; any number may read while one appends."""

    def __init__(
        self,
        root: Path,
        origin: str,
        *,
        remembered: Remembered = lambda: None,
        lock_timeout_s: float = 10.0,
    ) -> None:
        self._root = root
        self._origin = require_origin(origin)
        self._remembered = remembered
        self._lock_timeout_s = lock_timeout_s
        self._reader = PieceReader(_Folder(root))

    def append(self, leaves: Sequence[bytes], signer: Signer, *, after: int | None = None) -> int:
        """See `LogStore.append`. If the error says so, the append may have become durable after all."""
        require_leaves(leaves)
        held = self._remembered()
        with _translated("append"):
            if not self._root.is_dir():
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_folder(self._root.parent)
            with hold_lock(self._root / _LOCK, self._lock_timeout_s):
                current = self._require_checkpoint(signer)
                old = None if held is None else Head(*held)
                growth = grow(current, self._reader, leaves, signer, remembered=old, after=after)
                self._write(growth)
                self._drop_superseded(growth.first, growth.head.size)
                return growth.first

    def checkpoint(self) -> bytes | None:
        note = find_file(self._root / _CHECKPOINT, MAX_NOTE_BYTES)
        if note is None and (self._root / "tile").exists():
            raise RejectedError("log: has records but its checkpoint is missing")
        return None if note is None or claimed_head(note).size == 0 else note

    def leaf(self, index: int) -> bytes:
        return self._reader.leaf(index, self._size())

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Yield records as stored: fewer than asked if bundles lost some, shifted if they gained some."""
        return self._reader.leaves(start, end, self._size())

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        return self._reader.tile(level, index, width)

    def _size(self) -> int:
        note = self.checkpoint()
        return 0 if note is None else claimed_head(note).size

    def _require_checkpoint(self, signer: Signer) -> Checkpoint:
        note = find_file(self._root / _CHECKPOINT, MAX_NOTE_BYTES)
        if note is None:
            if (self._root / "tile").exists():
                raise RejectedError("log: has records but its checkpoint is missing")
            note = sign_empty(self._origin, signer)
            self._replace_checkpoint(note)
            self._settle_checkpoint()
        return require_checkpoint(note, self._origin, signer)

    def _write(self, growth: Growth) -> None:
        writes = DurableWrites(self._root)
        try:
            for path, data in growth.pieces():
                writes.put(path, data)
            writes.settle()
            self._replace_checkpoint(growth.note)
        except (OSError, StrongroomError):
            writes.undo()
            raise
        self._settle_checkpoint()

    def _replace_checkpoint(self, note: bytes) -> None:
        fresh = self._root / f"{_CHECKPOINT}.new"
        write_file(fresh, note)
        fresh.replace(self._root / _CHECKPOINT)

    def _settle_checkpoint(self) -> None:
        try:
            sync_folder(self._root)
        except OSError as error:
            raise OutageError(
                f"log: the new checkpoint may not be durable ({error.strerror})",
                hint="read the log before trying again: the records may have been appended",
            ) from None

    def _drop_superseded(self, old: int, new: int) -> None:
        """Remove partial tiles that wider ones now stand for; what cannot be removed may stay."""
        current = {(level, index): width for level, index, width in edge_of(new)}
        for level, index, _ in {*edge_of(old), *edge_of(new)}:
            paths = [tile_path(level, index)] + ([entries_path(index)] if level == 0 else [])
            keep = current.get((level, index))
            for path in paths:
                with suppress(OSError):
                    self._drop_partials(path, keep)

    def _drop_partials(self, path: str, keep: int | None) -> None:
        folder = self._root / f"{path}.p"
        if keep is not None:
            (self._root / path).unlink(missing_ok=True)  # full: left by an append that never happened
        for partial in list(folder.iterdir()):
            if keep is None or partial.name != str(keep):
                partial.unlink()
        if keep is None:
            folder.rmdir()


@contextmanager
def _translated(verb: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutageError(
            f"log: {verb} failed, nothing was appended ({error.strerror})",
            hint="free space on the log's disk or make it writable",
        ) from None
