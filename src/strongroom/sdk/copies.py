"""Copies of a home, and what they are for: backup, restore, recover."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from strongroom.adapters.homes.local import LocalHomeFiles
from strongroom.errors import InvalidError
from strongroom.flows.archive import Archive
from strongroom.flows.backup import Made, create_backup
from strongroom.flows.backups import Pruned, check_backup, list_snapshots, prune_backup
from strongroom.flows.recover import Recovered, recover
from strongroom.flows.restore import Restored, Wish
from strongroom.flows.unsealing import Progress
from strongroom.ports import BlobStore
from strongroom.restoring import is_catalog_broken, open_backup_store, restore_home, set_catalog_aside
from strongroom.sdk.home import Strongroom, read_file
from strongroom.settings import MAX_FILE_BYTES as MAX_SETTINGS_BYTES
from strongroom.settings import StoreSettings, find_home, parse_settings
from strongroom.trust.backup import Snapshot

MAX_CHECKPOINT_BYTES = 64 * 2**10


class Backups:
    """The backup of one home in one place: a folder on another disk, or a bucket (``s3://bucket/prefix``)."""

    def __init__(self, room: Strongroom, place: str | Path) -> None:
        self._room = room
        self._place = str(place)

    def create(self, progress: Progress | None = None) -> Made:
        """Add a snapshot; only what is new is written."""
        room = self._room
        store = self._open(make=True)
        return create_backup(room.unlock(), room.acting, store, LocalHomeFiles(room.home), progress)

    def list(self) -> Sequence[Snapshot]:
        """Every snapshot, oldest first, verified."""
        return list_snapshots(self._room.unlock(), self._room.acting, self._archive())

    def verify(self, *, full: bool = False, progress: Progress | None = None) -> Sequence[str]:
        """What is wrong with the newest snapshot; ``full`` reads every byte of it."""
        archive = self._archive()
        return check_backup(self._room.unlock(), self._room.acting, archive, full=full, progress=progress)

    def prune(self, keep: int, *, dry_run: bool = False) -> Pruned:
        """Let all but the ``keep`` newest snapshots go."""
        archive = self._archive()
        return prune_backup(self._room.unlock(), self._room.acting, archive, keep, dry_run=dry_run)

    def _archive(self) -> Archive:
        return Archive.open(self._open(), self._room.unlock().require_keys())

    def _open(self, *, make: bool = False) -> BlobStore:
        return open_backup_store(self._place, self._room.settings.store, self._room.home, make=make)


def restore_from(
    place: str | Path,
    home: str | Path | None = None,
    *,
    passphrase: str,
    acting: str | None = None,
    snapshot: int | None = None,
    checkpoints: Sequence[str | Path] = (),
    allow_rollback: bool = False,
    settings: str | Path | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make the home that the backup in ``place`` is of; nothing may be at ``home`` yet.

    ``checkpoints``: files with signed checkpoints of the lost log, such as its own ``log/checkpoint``: a
    backup that is older than one of them is refused. ``settings``: a settings file that says how to reach
    the bucket that the backup is in.
    """
    where = find_home(Path(home) if home is not None else None)
    notes = tuple(read_file(Path(each), MAX_CHECKPOINT_BYTES) for each in checkpoints)
    wish = Wish(snapshot, allow_rollback, notes)
    store = _read_store_settings(Path(settings)) if settings is not None else StoreSettings()
    with tempfile.TemporaryDirectory(prefix="strongroom-restore-") as spool:
        kept = open_backup_store(str(place), store, Path(spool))
        return restore_home(where, kept, passphrase, wish, acting=acting, progress=progress)


def recover_home(
    room: Strongroom,
    *,
    place: str | Path | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> Recovered:
    """Rebuild the catalog from log and store, and mend the store from the backup in ``place``.

    A catalog that cannot be read at all is moved aside first.
    """
    note = read_file(Path(checkpoint), MAX_CHECKPOINT_BYTES) if checkpoint is not None else None
    if is_catalog_broken(room.home) and not dry_run:
        set_catalog_aside(room.home)
    vault = room.unlock()
    archive = (
        Archive.open(open_backup_store(str(place), room.settings.store, room.home), vault.require_keys())
        if place is not None
        else None
    )
    return recover(vault, room.acting, archive, exported=note, progress=progress, dry_run=dry_run)


def _read_store_settings(path: Path) -> StoreSettings:
    try:
        text = read_file(path, MAX_SETTINGS_BYTES).decode()
    except UnicodeDecodeError:
        raise InvalidError(f"{path}: is not UTF-8") from None
    return parse_settings(text, str(path)).store
