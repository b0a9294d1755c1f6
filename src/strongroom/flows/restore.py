"""Restore: a home that was lost rises from its backup, not one record older than is known to have been.

The files of the home are put in place first (`restore_files`), since the ports open on them; then log, store
and catalog (`restore`). Each step can be repeated: what is there and right is left alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.archive import KEYSTORE, MAX_KEYSTORE_BYTES, Archive
from strongroom.flows.backup import KEYSTORE_FILE, generation_of
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.mending import keys_of, put_back
from strongroom.flows.revocations import read_list, require_log_of, store_list
from strongroom.flows.unsealing import Progress, unwrap_data_key
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.ports import BlobStore, HomeFiles
from strongroom.trust.authority import Authority
from strongroom.trust.backup import (
    MAX_INDEX_BYTES,
    Holding,
    Index,
    Snapshot,
    parse_records,
    require_snapshot,
)
from strongroom.trust.checkpoint import Head, verify_checkpoint
from strongroom.trust.merkle import Frontier, leaf_hash
from strongroom.trust.revocations import RevocationList
from strongroom.trust.statement import require_statement
from strongroom.values import Action, Digest, ModelId, State

MAX_BUNDLE_BYTES = 2**30
APPEND_AT_ONCE = 1024
MAX_NAMED = 10
_FILES_OF_A_HOME = frozenset({"strongroom.toml", "trust.json", "ca.pem"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What to restore, and what is known of the home that was lost."""

    sequence: int | None = None
    """Of the snapshot; default the newest."""
    allow_rollback: bool = False
    """Whether it may be one that is known not to be the newest state."""
    checkpoints: tuple[bytes, ...] = ()
    """Signed checkpoints of the lost log that somebody kept: what is restored must extend each."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back."""

    snapshot: Snapshot
    records: int
    put_back: int
    """Objects that the store lacked."""
    missing: tuple[tuple[str, str], ...]
    """What the snapshot did not hold, or could not be read from the backup, and why."""
    rolled_back: tuple[str, ...]
    """Why it is known not to be the newest state; empty unless that was allowed."""


def read_keystore(store: BlobStore) -> bytes:
    """Return the keystore's text that a backup holds; it opens with its passphrase."""
    if KEYSTORE not in store.list("backup"):
        raise InvalidError("backup: there is none in that place")
    return store.read(KEYSTORE, MAX_KEYSTORE_BYTES)


def choose_snapshot(archive: Archive, sequence: int | None) -> tuple[Snapshot, Index]:
    """Return a snapshot, unsigned as yet, and what it holds.

    Raises:
        InvalidError: there is none of that number.
    """
    known = archive.sequences()
    if not known:
        raise InvalidError("backup: holds no snapshot: none was finished")
    if sequence is not None and sequence not in known:
        raise InvalidError(f"backup: has no snapshot {sequence}", hint="see: strongroom backup list")
    snapshot = archive.claimed(sequence if sequence is not None else known[-1])
    return snapshot, archive.index(snapshot, MAX_INDEX_BYTES)


def restore_files(archive: Archive, index: Index, files: HomeFiles) -> None:
    """Put settings, anchors and journals in place; the keystore is there already.

    Raises:
        RejectedError: one of them is damaged, or one that a home must have is not in the backup.
    """
    names = {bundle.name for bundle in index.files}
    lacking = sorted(_FILES_OF_A_HOME - names)
    if lacking or KEYSTORE_FILE in names:
        raise RejectedError(f"backup: is not one of a whole home ({', '.join(lacking) or KEYSTORE_FILE})")
    for bundle in index.files:
        files.put(bundle.name, archive.parts("file", bundle.chain))


def restore(
    vault: Vault,
    actor: str,
    archive: Archive,
    snapshot: Snapshot,
    index: Index,
    keystore: bytes,
    wish: Wish,
    progress: Progress | None = None,
) -> Restored:
    """Bring log, store and catalog to the state of ``snapshot``, and record that it was done.

    Raises:
        DeniedError: ``actor`` may not.
        RejectedError: something in the backup is not as it was signed; or it is known that there was a later
            state, and ``wish`` does not allow to go back.
    """
    # (1) the log, whole, against what was signed
    roots = _check_log(archive, index, snapshot, vault, wish)
    _bring_up_log(vault, archive, index, snapshot.head)
    authority = read_authority(vault)
    if require_snapshot(archive.envelope(snapshot.sequence), authority.key_history) != snapshot:
        raise RejectedError("backup: the snapshot was exchanged while it was read")
    require_keystore_of(snapshot, keystore)
    # (2) who may, by that log, and whether it is the newest
    decision = require_permission(vault, authority, actor, Action.RESTORE, "*")
    doubts = [
        *roots,
        *_older(archive, snapshot, keystore),
        *_strangers(vault, authority),
        *_listed(vault, authority),
    ]
    if doubts and not wish.allow_rollback:
        raise RejectedError(
            f"backup: {doubts[0]}: restoring it would roll the home back",
            hint="find what is newer; if all that is lost is really lost: --allow-rollback",
        )
    # (3) objects, and what could not be had
    missing = [*index.missing, *_later(vault, authority, index)]
    keys = keys_of(archive, index)
    count = 0
    for holding in index.holdings:
        if _is_replaced(authority, holding):
            continue
        try:
            count += sum(1 for _ in put_back(archive, vault.blobs, holding, keys, progress))
            _require_opens(vault, authority, holding)
        except RejectedError as error:
            missing.append((holding.name, error.message))
    # (4) the record, and the catalog that follows it
    if vault.records.head() is None:  # a new catalog: what it never saw, this record tells
        vault.records.note_head(vault.replayed.size, vault.replayed.frontier.root())
    event = build_event(
        vault,
        moment(vault, authority),
        actor,
        Action.RESTORE,
        "*",
        rule=decision.rule,
        reason="; ".join(doubts)[:500],
        backup=archive.header.id,
        sequence=snapshot.sequence,
        size=snapshot.head.size,
    )
    record(vault, event)
    sync_catalog(vault)
    if doubts:
        _replace_list(vault)
    return Restored(snapshot, vault.replayed.size, count, tuple(missing), tuple(doubts))


def require_keystore_of(snapshot: Snapshot, keystore: bytes) -> None:
    """Raises RejectedError: it is older than the snapshot that was put after it.

    Somebody has put an old one back: it has keys that were destroyed since.
    """
    if generation_of(keystore) < snapshot.generation:
        raise RejectedError(
            f"backup: its keystore is older than snapshot {snapshot.sequence}: somebody put an old one back",
            hint="look for another copy of the backup; who can write to this one?",
        )


def _is_replaced(authority: Authority, holding: Holding) -> bool:
    """Whether a log that outlived the snapshot says that this was shredded since, or encrypted anew."""
    if authority.is_doomed(holding.model):
        return True
    known = authority.versions.get(holding.model) if holding.kind == "version" else None
    return known is not None and layout.wrapped_key_name(known.model, known.generation) != holding.key


def _later(vault: Vault, authority: Authority, index: Index) -> Iterator[tuple[str, str]]:
    """What a log that outlived the snapshot knows, and neither snapshot nor store holds."""
    kept = {each.key for each in index.holdings}
    named = {name for name, _ in index.missing}
    for model, known in authority.versions.items():
        key = layout.wrapped_key_name(model, known.generation)
        if known.state is State.REVOKED or key in kept or str(model) in named:
            continue
        if key not in vault.blobs.list(layout.prefix(model)):
            yield str(model), "was published or encrypted anew after the snapshot, and is not in the store"


def _require_opens(vault: Vault, authority: Authority, holding: Holding) -> None:
    """A key that was destroyed or disabled since, by rotation or shredding, opens nothing that is older."""
    known = authority.versions.get(holding.model) if holding.kind == "version" else None
    if known is None or known.state is State.REVOKED:
        return
    try:
        unwrap_data_key(vault, holding.model, known.manifest, holding.key)
    except (DeniedError, InvalidError, RejectedError) as error:
        raise RejectedError(f"its data key does not open: {error.message}") from None
    except OutageError:
        return  # says nothing about the key


def _listed(vault: Vault, authority: Authority) -> Iterator[str]:
    """Why the revocation list in a store that survived tells of a later log, and what that revoked."""
    listed = _find_list(vault)
    if listed is None:
        return
    try:
        require_log_of(vault, listed)
    except RejectedError:
        revoked = {str(model) for model, known in authority.versions.items() if known.state is State.REVOKED}
        revoked |= set(authority.revoked_families)
        ended = {one.name for one in authority.identities.values() if one.revoked}
        lost = [*sorted(listed.models - revoked), *sorted({one.name for one in listed.identities} - ended)]
        names = ", ".join(lost[:MAX_NAMED]) + (", …" if len(lost) > MAX_NAMED else "")
        yield f"the revocation list in the store is of a later log; it revokes also: {names or 'no more'}"


def _find_list(vault: Vault) -> RevocationList | None:
    with suppress(RejectedError):
        return read_list(vault)
    return None


def _replace_list(vault: Vault) -> None:
    """After a rollback that was allowed, the list of the log that is gone would stop every load."""
    listed = _find_list(vault)
    if listed is None:
        return
    try:
        require_log_of(vault, listed)
    except RejectedError:
        vault.blobs.delete(layout.REVOCATIONS)
        vault.blobs.delete(layout.CRL)
        if read_authority(vault).issue is not None:
            store_list(vault)


def _records(archive: Archive, index: Index) -> Iterator[bytes]:
    count = 0
    for bundle in index.log:
        if bundle.name != str(count):
            raise RejectedError(f"backup: records of the log from {count} on are missing")
        records = parse_records(archive.get("log", bundle.chain, MAX_BUNDLE_BYTES))
        yield from records
        count += len(records)


def _check_log(archive: Archive, index: Index, snapshot: Snapshot, vault: Vault, wish: Wish) -> Sequence[str]:
    """Hash every record; return why the log is known to have been longer."""
    root = vault.trust_root
    kept = [verify_checkpoint(note, root.log_public_key, root.log_origin).head for note in wish.checkpoints]
    remembered = vault.records.head()
    kept += [Head(*remembered)] if remembered is not None else []
    frontier, size = Frontier(), 0
    for leaf in _records(archive, index):
        frontier.push(leaf_hash(leaf))
        size += 1
        if any(head.size == size and head.root != frontier.root() for head in kept):
            raise RejectedError(
                f"backup: its first {size} records are not those of a checkpoint that was kept"
            )
    if Head(size, frontier.root()) != snapshot.head:
        raise RejectedError("backup: its log is not the one that the snapshot names")
    longest = max((head.size for head in kept), default=0)
    if longest > max(size, _size_of_own(vault)):
        return [f"its log has {size} records, and a checkpoint of {longest} was signed"]
    return []


def _bring_up_log(vault: Vault, archive: Archive, index: Index, head: Head) -> None:
    """Append what the log of this home lacks; what it has must be the same."""
    has = _size_of_own(vault)
    records = _records(archive, index)
    for number, leaf in enumerate(vault.log.leaves(0, min(has, head.size)) if has else ()):
        if next(records) != leaf:
            raise RejectedError(f"log: record {number} here is not the one in the backup")
    signer, size = vault.log_signer(), min(has, head.size)
    if has > head.size:
        return
    while some := list(islice(records, APPEND_AT_ONCE)):
        vault.log.append(some, signer, after=size)
        size += len(some)


def _size_of_own(vault: Vault) -> int:
    note = vault.log.checkpoint()
    root = vault.trust_root
    return 0 if note is None else verify_checkpoint(note, root.log_public_key, root.log_origin).size


def _older(archive: Archive, snapshot: Snapshot, keystore: bytes) -> Iterator[str]:
    """Why the backup itself says that there was a later state."""
    newest = archive.sequences()[-1]
    if newest > snapshot.sequence:
        yield f"snapshot {snapshot.sequence} is not the newest, {newest} is"
    elif generation_of(keystore) > snapshot.generation:
        yield "the keystore beside it is newer: a later snapshot was removed, or never finished"


def _strangers(vault: Vault, authority: Authority) -> Iterator[str]:
    """A version in the store that this home signed and the log does not know was published later."""
    known = {layout.statement_name(model) for model in authority.versions}
    for name in vault.blobs.list(""):
        folder, _, file = name.rpartition("/")
        if file != layout.STATEMENT or name in known:
            continue
        with suppress(RejectedError, InvalidError):
            model = ModelId.parse("@".join(folder.split("/")))
            envelope = vault.blobs.read(name, layout.MAX_STATEMENT_BYTES)
            at = authority.moment(vault.clock.now())
            require_statement(envelope, authority.key_history, at, model=model)
            yield f"{model} stands in the store, {Digest.of(envelope)}, and was published later"
