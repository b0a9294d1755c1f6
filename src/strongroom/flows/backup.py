"""Backup: keep all that a home needs to rise again, beside what was kept before.

What is sealed stays as it is; all else is sealed under the backup's own key. A run adds what is new and puts
the signed snapshot last, so one that is cut off has added nothing that counts (I12).
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from strongroom import canonical
from strongroom.artifact.pieces import MAX_PIECE_BYTES
from strongroom.artifact.sealed import object_size
from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.archive import HEADER, KEYSTORE, MAX_KEYSTORE_BYTES, Archive
from strongroom.flows.quarantine import read_kept
from strongroom.flows.statement import require_statement_of
from strongroom.flows.unsealing import Progress
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
    signing_signer,
)
from strongroom.ports import BlobStore, HomeFiles
from strongroom.trust.authority import Authority
from strongroom.trust.backup import (
    MAX_INDEX_BYTES,
    Bundle,
    Chain,
    Holding,
    Index,
    Snapshot,
    encode_records,
    papers_to_bytes,
    require_snapshot,
    sign_snapshot,
)
from strongroom.trust.checkpoint import Head
from strongroom.trust.merkle import Frontier, leaf_hash
from strongroom.trust.standing import QuarantineRecord, VersionRecord
from strongroom.values import Action, Digest, SealedEntry, State

RECORDS_PER_BUNDLE = 4096
MAX_ATTEMPTS = 5
BACKUP_LOCK = "backup"
KEYSTORE_FILE = "keystore.json"
_EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Made:
    """What a run did."""

    snapshot: Snapshot
    written: int
    """Bytes that were not there before."""
    missing: tuple[tuple[str, str], ...]
    """What could not be kept, and why: these are not in the backup."""


@dataclass
class _Known:
    """What the newest snapshot holds, so that it need not be read again."""

    snapshot: Snapshot | None = None
    envelope: bytes = b""
    holdings: dict[tuple[str, str, Digest], Holding] = field(default_factory=dict)

    @property
    def next_sequence(self) -> int:
        return 1 if self.snapshot is None else self.snapshot.sequence + 1


def create_backup(
    vault: Vault, actor: str, store: BlobStore, files: HomeFiles, progress: Progress | None = None
) -> Made:
    """Add a snapshot of the home to the backup in ``store``, or begin one there.

    Raises:
        DeniedError: ``actor`` may not.
        InvalidError: ``store`` holds something else.
        RejectedError: the backup is of another home, was altered, or holds more of the log than this home:
            then this home was rolled back.
    """
    # (1) who may, and into which backup
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.BACKUP, _EVERYTHING)
    with vault.locks.hold(BACKUP_LOCK):
        begun = HEADER in store.list("backup")
        archive = Archive.open(store, vault.require_keys()) if begun else Archive.found(store, vault)
        known = _read_newest(archive, authority, vault)
        # (2) the record comes before the copy
        record(
            vault,
            build_event(
                vault,
                moment(vault, authority),
                actor,
                Action.BACKUP,
                _EVERYTHING,
                rule=decision.rule,
                backup=archive.header.id,
                sequence=known.next_sequence,
            ),
        )
        # (3) the log as far as that record, then all that it speaks of
        authority, index, head, text = _keep_at_rest(vault, archive, files, known, progress)
        # (4) the keystore before the snapshot that needs it, and the snapshot last
        store.replace(KEYSTORE, text)
        snapshot = Snapshot(
            backup=archive.header.id,
            sequence=known.next_sequence,
            previous=Digest.of(known.envelope).hex if known.envelope else "",
            taken_at=moment(vault, authority),
            head=head,
            generation=generation_of(text),
            index=archive.put("index", index.to_bytes()),
            objects=sum(len(holding.objects) for holding in index.holdings),
            size_bytes=sum(
                object_size(entry.size_bytes) for holding in index.holdings for entry in holding.objects
            ),
            missing=len(index.missing),
        )
        store.put_new(snapshot.name, sign_snapshot(snapshot, signing_signer(vault, authority)))
    return Made(snapshot, archive.written, index.missing)


def _keep_at_rest(
    vault: Vault, archive: Archive, files: HomeFiles, known: _Known, progress: Progress | None
) -> tuple[Authority, Index, Head, bytes]:
    """Keep all that the log speaks of, and the keystore that it opens with: as they were at one moment.

    A rotation, a new encryption or a shredding that begins meanwhile would leave a data key in the backup
    whose key is gone from the keystore beside it, or name as damaged what was only replaced.
    """
    for _ in range(MAX_ATTEMPTS):
        authority = read_authority(vault)
        before = generation_of(files.read(KEYSTORE_FILE, 0, MAX_KEYSTORE_BYTES))
        keeper = _Keeper(vault, archive, files, known, progress)
        index = keeper.keep(authority)
        text = files.read(KEYSTORE_FILE, 0, MAX_KEYSTORE_BYTES)
        if generation_of(text) == before and not _is_replaced(authority, read_authority(vault)):
            return authority, index, keeper.head, text
    raise OutageError(
        "backup: keys or versions were replaced again and again while they were copied",
        hint="run it again once the rotation is done: strongroom rotate status",
    )


def _is_replaced(before: Authority, after: Authority) -> bool:
    """Whether a key, or the ciphertext of something that was there, is another one now."""
    return (
        after.family_keys != before.family_keys
        or after.shreds != before.shreds
        or any(
            (now.generation, now.seal, now.beside) != (known.generation, known.seal, known.beside)
            for model, known in before.versions.items()
            if (now := after.versions[model])
        )
    )


def generation_of(keystore: bytes) -> int:
    """How often a keystore was changed, as its text says; who opened it has checked that."""
    try:
        generation = canonical.decode(keystore)["generation"]
    except (InvalidError, KeyError, TypeError):
        raise RejectedError(f"{KEYSTORE_FILE}: is no keystore") from None
    if type(generation) is not int:
        raise RejectedError(f"{KEYSTORE_FILE}: is no keystore")
    return generation


def _read_newest(archive: Archive, authority: Authority, vault: Vault) -> _Known:
    """Return what the newest snapshot holds. It is this home's earlier self, or something is wrong."""
    sequences = archive.sequences()
    if not sequences:
        return _Known()
    envelope = archive.envelope(sequences[-1])
    snapshot = require_snapshot(envelope, authority.key_history)
    if snapshot != archive.claimed(sequences[-1]):
        raise RejectedError(f"backup: snapshot {sequences[-1]} is one of another backup, or another number")
    if snapshot.head.size > vault.replayed.size:
        raise RejectedError(
            f"log: holds {vault.replayed.size} records, its backup {snapshot.head.size}: "
            "this home was rolled back",
            hint="find out who did it; docs/recovery.md",
        )
    index = archive.index(snapshot, MAX_INDEX_BYTES)
    kept = {(each.kind, each.name, each.digest): each for each in index.holdings}
    return _Known(snapshot, envelope, kept)


def version_holding(version: VersionRecord) -> Holding:
    """What a backup calls the ciphertext in force of a version, without its parts."""
    digest = version.statement if version.seal is None else version.seal
    key = layout.wrapped_key_name(version.model, version.generation)
    return Holding("version", str(version.model), version.model, digest, key, (), ())


def quarantine_holding(kept: QuarantineRecord) -> Holding:
    """What a backup calls an upload in quarantine, without its parts."""
    key = layout.quarantine_key_name(kept.model, kept.ticket)
    return Holding("quarantine", kept.ticket, kept.model, kept.report, key, (), ())


class _Keeper:
    """One run."""

    def __init__(
        self, vault: Vault, archive: Archive, files: HomeFiles, known: _Known, progress: Progress | None
    ) -> None:
        self._vault = vault
        self._archive = archive
        self._files = files
        self._known = known
        self._progress = progress
        self._missing: list[tuple[str, str]] = []
        self._keys: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.head = Head(0, b"")

    def keep(self, authority: Authority) -> Index:
        log = tuple(self._log(authority.size))
        holdings = tuple(self._holdings(authority))
        keys = tuple(
            Bundle(family, self._archive.put("keys", papers_to_bytes(wrapped)))
            for family, wrapped in sorted(self._keys.items())
        )
        files = tuple(self._file(name) for name in self._files.names() if name != KEYSTORE_FILE)
        return Index(files, log, keys, holdings, tuple(self._missing))

    def _log(self, size: int) -> Iterator[Bundle]:
        """The records, hashed on the way: they must be those that the authority was replayed from."""
        frontier = Frontier()
        before = self._known.snapshot.head if self._known.snapshot is not None else None
        leaves = self._vault.log.leaves(0, size)
        first = 0
        while block := list(islice(leaves, RECORDS_PER_BUNDLE)):
            for number, leaf in enumerate(block, first + 1):
                frontier.push(leaf_hash(leaf))
                if before is not None and number == before.size and frontier.root() != before.root:
                    raise RejectedError(
                        f"log: its first {number} records are not those that its backup holds"
                    )
            yield Bundle(str(first), self._archive.put("log", encode_records(block)))
            first += len(block)
        self.head = Head(first, frontier.root())
        if (first, self.head.root) != (size, self._vault.replayed.frontier.root()):
            raise RejectedError("log: changed while it was read")

    def _holdings(self, authority: Authority) -> Iterator[Holding]:
        for model, version in authority.versions.items():
            yield from self._attempt(
                str(model),
                version.state is State.REVOKED,
                version_holding(version),
                authority,
            )
        for ticket, kept in authority.quarantined.items():
            yield from self._attempt(
                f"quarantine {ticket}",
                authority.is_doomed(kept.model),
                quarantine_holding(kept),
                authority,
            )

    def _attempt(
        self, shown: str, may_be_gone: bool, wanted: Holding, authority: Authority
    ) -> Iterator[Holding]:
        """What is damaged must not keep the rest from being kept; it is named."""
        try:
            wrapped = self._vault.blobs.read(wanted.key, layout.MAX_WRAPPED_KEY_BYTES)
            holding = self._keep(wanted, authority)
        except RejectedError as error:
            if not may_be_gone:
                self._missing.append((shown, error.message))
            return
        self._keys[wanted.model.family][wanted.key] = wrapped
        yield holding

    def _keep(self, wanted: Holding, authority: Authority) -> Holding:
        known = self._known.holdings.get((wanted.kind, wanted.name, wanted.digest))
        if known is None or not self._archive.has(known.papers):
            entries, papers = self._read(wanted, authority)
        else:
            entries, papers = known.objects, known.papers
        for entry in entries:
            self._archive.put_object(self._vault.blobs, entry, self._progress)
        return replace(wanted, papers=papers, objects=entries)

    def _read(self, wanted: Holding, authority: Authority) -> tuple[tuple[SealedEntry, ...], Chain]:
        blobs, model = self._vault.blobs, wanted.model
        if wanted.kind == "version":
            entries = require_statement_of(self._vault, authority, model).entries
            generation = authority.versions[model].generation
            limits = {
                layout.statement_name(model): layout.MAX_STATEMENT_BYTES,
                layout.signature_name(model): layout.MAX_SIGNATURE_BYTES,
            }
            if generation:
                limits[layout.seal_name(model, generation)] = layout.MAX_STATEMENT_BYTES
        else:
            entries = read_kept(self._vault, authority.quarantined[wanted.name]).entries
            limits = {layout.quarantine_report_name(model, wanted.name): layout.MAX_STATEMENT_BYTES}
        papers = {name: blobs.read(name, limit) for name, limit in limits.items()}
        return tuple(entries), self._archive.put("papers", papers_to_bytes(papers))

    def _file(self, name: str) -> Bundle:
        chain: list[SealedEntry] = []
        while True:
            part = self._files.read(name, len(chain) * MAX_PIECE_BYTES, MAX_PIECE_BYTES)
            if part or not chain:
                chain.extend(self._archive.put("file", part))
            if len(part) < MAX_PIECE_BYTES:
                return Bundle(name, tuple(chain))
