"""A home that rises from a backup: its files first, then the ports that open on them, whole or not at all."""

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from strongroom.adapters.blobs.local import LocalBlobStore
from strongroom.adapters.durable import sync_folder
from strongroom.adapters.homes.local import LocalHomeFiles
from strongroom.adapters.keys.file import FileKeyProvider
from strongroom.custodies import Ask
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, shorten
from strongroom.flows.archive import HEADER, Archive
from strongroom.flows.backup import KEYSTORE_FILE
from strongroom.flows.restore import (
    Restored,
    Wish,
    choose_snapshot,
    read_keystore,
    restore,
    restore_files,
)
from strongroom.flows.unsealing import Progress
from strongroom.ports import BlobStore
from strongroom.settings import StoreSettings, read_settings
from strongroom.stores import open_bucket
from strongroom.trust.backup import MAX_HEADER_BYTES, BackupHeader
from strongroom.values import parse_principal
from strongroom.wiring import CATALOG, JOURNALS, LOCKS, open_home

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
"""Also of what was meant to be one; a folder of such a name is written ./x:y."""
_BUCKETS = ("s3://", "gs://", "az://")
_OF_A_STORE = frozenset({".staging"})
_BESIDE_THE_CATALOG = ("-wal", "-shm", "-journal", "")


def open_backup_store(place: str, settings: StoreSettings, home: Path, *, make: bool = False) -> BlobStore:
    """Return the store that a backup is kept in: a folder of this machine, or a bucket.

    ``settings`` say how to reach a bucket; ``home`` is where what is on its way there is spooled. ``make``:
    a folder that is not there yet, or is empty, is made one.

    Raises:
        InvalidError: there is no such folder, it holds something else, is part of the home, or
            others may enter it; or the address of the bucket or its settings are wrong.
    """
    if _ADDRESS.match(place):
        if not place.startswith(_BUCKETS):
            raise InvalidError(
                f"backup: {shorten(place)} is neither a folder nor a bucket",
                hint="a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
            )
        if f"{place}/".startswith(f"{settings.blobs}/"):
            raise InvalidError(f"backup: {place} is within the store of the home", hint="name another bucket")
        return open_bucket(settings, home, place)
    folder = Path(place).expanduser().absolute()
    if not place or (folder.exists() and not folder.is_dir()):
        raise InvalidError(f"backup: {shorten(place)} is not a folder")
    if folder.resolve().is_relative_to(home.absolute().resolve()):
        raise InvalidError(f"backup: {folder} is within the home", hint="choose a folder on another disk")
    if not make and not folder.is_dir():
        raise InvalidError(f"{place}: no such folder")
    if folder.is_dir() and not (folder / HEADER).is_file() and _holds_more(folder):
        # Before anything is made there: it may be anybody's folder.
        raise InvalidError(
            f"backup: there are other files in {folder}" if make else "backup: there is none in that place",
            hint="choose an empty folder" if make else "strongroom backup create makes one",
        )
    return LocalBlobStore(folder)


def _holds_more(folder: Path) -> bool:
    try:
        return any(path.name not in _OF_A_STORE for path in folder.iterdir())
    except OSError as error:
        raise InvalidError(f"{folder}: {(error.strerror or 'cannot be read').lower()}") from None


def restore_home(
    home: Path,
    store: BlobStore,
    passphrase: str,
    wish: Wish,
    *,
    acting: str | None = None,
    ask: Ask | None = None,
    progress: Progress | None = None,
) -> Restored:
    """Make the home that a backup is of. One that was cut off goes on where it stopped.

    Raises:
        InvalidError: something is at ``home`` already, or there is no backup.
        DeniedError: the passphrase is wrong, or ``acting`` may not restore.
        RejectedError: the backup is not what was signed, or is known to be older than the home was.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise InvalidError(
            f"{home}: exists already and is not empty",
            hint="move it aside first; its log/checkpoint is worth giving: --checkpoint",
        )
    text = read_keystore(store)
    header = BackupHeader.parse(store.read(HEADER, MAX_HEADER_BYTES))
    draft, is_new = _make_draft(home, f".{home.name}.{header.id}.{wish.sequence or 'newest'}.rising")
    with _alone(draft), _tidy(draft, is_new=is_new):
        files = LocalHomeFiles(draft)
        files.put(KEYSTORE_FILE, [text])
        archive = Archive.open(store, FileKeyProvider.open_file(draft / KEYSTORE_FILE, passphrase))
        snapshot, index = choose_snapshot(archive, wish.sequence)
        restore_files(archive, index, files)
        for folder in (JOURNALS, LOCKS):
            (draft / folder).mkdir(mode=0o700, exist_ok=True)
        vault = open_home(draft, passphrase, ask=ask)
        actor = parse_principal(acting or read_settings(draft).identity or "")
        restored = restore(vault, actor, archive, snapshot, index, text, wish, progress)
        try:
            if home.exists():
                home.rmdir()
            draft.rename(home)
            sync_folder(home.parent)
        except OSError as error:
            raise OutageError(f"{home}: cannot be put in place ({error.strerror})") from None
    return restored


@contextmanager
def _tidy(draft: Path, *, is_new: bool) -> Iterator[None]:
    """What was refused leaves nothing behind; what an outage or a crash ended goes on from there."""
    try:
        yield
    except (DeniedError, InvalidError, RejectedError):
        if is_new:
            shutil.rmtree(draft, ignore_errors=True)
        raise


def _make_draft(home: Path, name: str) -> tuple[Path, bool]:
    """Return the folder beside ``home`` where it rises, and whether this run made it.

    One that a run was cut off in is taken up again.

    Raises:
        RejectedError: somebody else has put something there.
        OutageError: it cannot be made.
    """
    draft = home.with_name(name)
    is_new = False
    try:
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            draft.mkdir(mode=0o700)
            is_new = True
        status = draft.lstat()
    except OSError as error:
        raise OutageError(f"{draft}: cannot be made ({error.strerror})") from None
    is_ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
    if not stat.S_ISDIR(status.st_mode) or not is_ours:
        raise RejectedError(
            f"{draft}: is not a folder of this user alone; somebody else has put it there",
            hint="look at it, and remove it",
        )
    return draft, is_new


def is_catalog_broken(home: Path) -> bool:
    """Whether the catalog in the home cannot be read at all, or holds rows that nobody here wrote."""
    try:
        records = open_home(home).records
        records.head(), records.versions(), records.identities()
    except RejectedError as error:
        if error.message.startswith("catalog"):
            return True
        raise
    return False


def set_catalog_aside(home: Path) -> Path:
    """Move a catalog that cannot be read out of the way; returns where to. Opening makes a new one."""
    aside = home / f"{CATALOG}.damaged-{token_hex(4)}"
    try:
        for suffix in _BESIDE_THE_CATALOG:
            path = home / f"{CATALOG}{suffix}"
            if os.path.lexists(path):
                path.rename(f"{aside}{suffix}")
        sync_folder(home)
    except OSError as error:
        raise OutageError(f"catalog: cannot be moved aside ({error.strerror})") from None
    return aside


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OutageError(f"{folder}: another process is restoring there") from None
    finally:
        os.close(descriptor)
