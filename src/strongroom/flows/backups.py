"""What is in a backup: list its snapshots, check that they would come back, let old ones go."""

from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.artifact.sealed import object_size
from strongroom.artifact.stream import verify_root
from strongroom.errors import InvalidError, RejectedError
from strongroom.flows.archive import Archive
from strongroom.flows.backup import BACKUP_LOCK
from strongroom.flows.mending import keys_of
from strongroom.flows.restore import read_keystore, require_keystore_of
from strongroom.flows.unsealing import Progress
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust.authority import Authority
from strongroom.trust.backup import MAX_INDEX_BYTES, Chain, Index, Snapshot, require_snapshot, snapshot_name
from strongroom.values import Action, Digest, SealedEntry


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went."""

    snapshots: tuple[int, ...]
    pieces: int


def list_snapshots(vault: Vault, actor: str, archive: Archive) -> list[Snapshot]:
    """Return every snapshot, oldest first, each signed by a key of this home.

    Raises:
        DeniedError: ``actor`` may not.
        RejectedError: one is not as it was signed, or does not follow the one before it.
    """
    authority = read_authority(vault)
    require_permission(vault, authority, actor, Action.BACKUP, "*")
    return list(_snapshots(archive, authority))


def check_backup(
    vault: Vault, actor: str, archive: Archive, *, full: bool = False, progress: Progress | None = None
) -> list[str]:
    """Return what is wrong with the newest snapshot, or, if ``full``, with any byte that it needs.

    Raises:
        DeniedError: ``actor`` may not.
        RejectedError: a snapshot is not as it was signed; an index is damaged.
    """
    snapshots = list_snapshots(vault, actor, archive)
    if not snapshots:
        raise InvalidError("backup: holds no snapshot: none was finished")
    index = archive.index(snapshots[-1], MAX_INDEX_BYTES)
    return [
        *_keystore_faults(archive, snapshots[-1]),
        *_faults(archive, index, progress, full=full),
    ]


def prune_backup(vault: Vault, actor: str, archive: Archive, keep: int, *, dry_run: bool = False) -> Pruned:
    """Remove all but the ``keep`` newest snapshots, and every piece that none of those needs.

    Raises:
        DeniedError: ``actor`` may not.
        RejectedError: what is to stay is damaged: then nothing is removed.
    """
    if keep < 1:
        raise InvalidError("backup: at least one snapshot must stay")
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.BACKUP, "*")
    with vault.locks.hold(BACKUP_LOCK):
        snapshots = list(_snapshots(archive, authority))
        going, staying = snapshots[:-keep], snapshots[-keep:]
        needed = {name for each in staying for name in _names(archive, each)}
        useless = sorted(set(archive.present) - needed)
        if dry_run:
            return Pruned(tuple(each.sequence for each in going), len(useless))
        record(
            vault,
            build_event(
                vault,
                moment(vault, authority),
                actor,
                Action.BACKUP,
                "*",
                rule=decision.rule,
                reason="prune",
                backup=archive.header.id,
                removed=[each.sequence for each in going],
            ),
        )
        for each in going:
            archive.store.delete(snapshot_name(each.sequence))
        for name in useless:
            archive.store.delete(name)
    return Pruned(tuple(each.sequence for each in going), len(useless))


def _snapshots(archive: Archive, authority: Authority) -> Iterator[Snapshot]:
    before: tuple[int, str] | None = None
    for sequence in archive.sequences():
        envelope = archive.envelope(sequence)
        snapshot = require_snapshot(envelope, authority.key_history)
        if (snapshot.backup, snapshot.sequence) != (archive.header.id, sequence):
            raise RejectedError(f"backup: snapshot {sequence} is one of another backup, or another number")
        if before is not None and before[0] == sequence - 1 and snapshot.previous != before[1]:
            raise RejectedError(f"backup: snapshot {sequence} does not follow the one before it")
        before = sequence, Digest.of(envelope).hex
        yield snapshot


def _keystore_faults(archive: Archive, snapshot: Snapshot) -> Iterator[str]:
    """Whether it can be the one that the snapshot needs; its every byte is under the passphrase's MAC."""
    try:
        require_keystore_of(snapshot, read_keystore(archive.store))
    except (InvalidError, RejectedError) as error:
        yield f"keystore: {error.message}"


def _chains(index: Index) -> Iterator[tuple[str, str, Chain]]:
    """What to call each, its kind, and its pieces."""
    yield from ((f"file {each.name}", "file", each.chain) for each in index.files)
    yield from ((f"log from record {each.name}", "log", each.chain) for each in index.log)
    yield from ((f"data keys of {each.name}", "keys", each.chain) for each in index.keys)
    yield from ((each.name, "papers", each.papers) for each in index.holdings)


def _names(archive: Archive, snapshot: Snapshot) -> Iterator[str]:
    """Every piece that a snapshot needs."""
    index = archive.index(snapshot, MAX_INDEX_BYTES)
    yield from (entry.object for entry in snapshot.index)
    for _, _, chain in _chains(index):
        yield from (entry.object for entry in chain)
    for holding in index.holdings:
        yield from (archive.object_name(entry) for entry in holding.objects)


def _faults(archive: Archive, index: Index, progress: Progress | None, *, full: bool) -> Iterator[str]:
    yield from (f"{name}: is not in it: {reason}" for name, reason in index.missing)
    for shown, kind, chain in _chains(index):
        if not archive.has(chain):
            yield f"{shown}: is missing or cut"
        elif full:
            yield from _read(archive, shown, kind, chain)
    wrapped = _keys(archive, index) if full else None
    for holding in index.holdings:
        if wrapped is not None and holding.key not in wrapped:
            yield f"{holding.name}: its data key is missing"
        for entry in holding.objects:
            yield from _look(archive, holding.name, entry, progress, full=full)


def _keys(archive: Archive, index: Index) -> dict[str, bytes] | None:
    try:
        return keys_of(archive, index)
    except RejectedError:
        return None  # said already


def _read(archive: Archive, shown: str, kind: str, chain: Chain) -> Iterator[str]:
    try:
        for _ in archive.parts(kind, chain):
            pass
    except RejectedError as error:
        yield f"{shown}: {error.message}"


def _look(
    archive: Archive, shown: str, entry: SealedEntry, progress: Progress | None, *, full: bool
) -> Iterator[str]:
    name = archive.object_name(entry)
    if archive.present.get(name) != object_size(entry.size_bytes):
        yield f"{shown}: {entry.path} is missing or cut"
    elif full:
        blob = archive.store.open(name)
        try:
            verify_root(blob.read_into, entry, blob.size, progress=progress)
        except RejectedError as error:
            yield f"{shown}: {error.message}"
        finally:
            blob.close()
