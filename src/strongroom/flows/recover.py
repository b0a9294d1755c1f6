"""Recover: rebuild the catalog from the log and the store alone, and put back what the store lost.

The log says what must be there, the signed statements say what it is made of; the catalog is only written.
What is damaged or missing is fetched from a backup, if one is given, and named otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.archive import Archive
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.backup import quarantine_holding, version_holding
from strongroom.flows.catalog import rebuild_catalog
from strongroom.flows.mending import is_sound, keys_of, put_back
from strongroom.flows.quarantine import read_kept
from strongroom.flows.statement import require_statement_of
from strongroom.flows.unsealing import Progress
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    remember_head,
    require_permission,
)
from strongroom.trust.authority import Authority
from strongroom.trust.backup import MAX_INDEX_BYTES, Holding, require_snapshot
from strongroom.values import Action, Digest, State


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the store that is not as it was signed."""

    of: str
    """``family@version``, or a ticket of quarantine."""
    what: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was looked at, and what was put right."""

    records: int
    versions: int
    rows: tuple[str, ...]
    """Rows of the catalog that were wrong, missing, or of nothing, and were written anew."""
    faults: tuple[Fault, ...]

    @property
    def left(self) -> tuple[Fault, ...]:
        """What is still wrong."""
        return tuple(fault for fault in self.faults if not fault.mended)


@dataclass(frozen=True, slots=True)
class _Helper:
    """A backup to take things from."""

    archive: Archive
    holdings: dict[tuple[str, str, Digest], Holding]
    keys: dict[str, bytes]

    def find(self, wanted: Holding) -> Holding | None:
        return self.holdings.get((wanted.kind, wanted.name, wanted.digest))


def recover(
    vault: Vault,
    actor: str,
    archive: Archive | None = None,
    *,
    exported: bytes | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> Recovered:
    """Check the whole log, mend the store from ``archive``, and write the catalog anew.

    ``exported`` is a checkpoint that somebody kept: the log must extend it.

    Raises:
        DeniedError: ``actor`` may not.
        RejectedError: the log itself is damaged, or was rolled back: only `restore` helps.
    """
    # (1) the log decides all else
    audited = verify_whole_log(vault, exported)
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.RECOVER, "*")
    helper = _open(archive, authority) if archive is not None else None
    # (2) the record comes before the repair
    if not dry_run:
        event = build_event(
            vault,
            moment(vault, authority),
            actor,
            Action.RECOVER,
            "*",
            rule=decision.rule,
            backup=archive.header.id if archive is not None else "",
        )
        record(vault, event)
        authority = read_authority(vault)
    # (3) the store, against what was signed
    faults = [
        fault
        for wanted, gone in _wanted(authority)
        for fault in _mend(vault, authority, wanted, gone, helper, progress, dry_run=dry_run)
    ]
    # (4) the catalog follows
    wrong, _ = rebuild_catalog(vault, dry_run=dry_run)
    if not dry_run:
        remember_head(vault)
    return Recovered(audited.size, len(authority.versions), tuple(wrong), tuple(faults))


def _open(archive: Archive, authority: Authority) -> _Helper:
    sequences = archive.sequences()
    if not sequences:
        raise RejectedError("backup: holds no snapshot: none was finished")
    snapshot = require_snapshot(archive.envelope(sequences[-1]), authority.key_history)
    index = archive.index(snapshot, MAX_INDEX_BYTES)
    holdings = {(one.kind, one.name, one.digest): one for one in index.holdings}
    return _Helper(archive, holdings, keys_of(archive, index))


def _wanted(authority: Authority) -> Iterator[tuple[Holding, bool]]:
    """What the store must hold, and whether it may be gone."""
    for version in authority.versions.values():
        yield version_holding(version), version.state is State.REVOKED
    for kept in authority.quarantined.values():
        yield quarantine_holding(kept), False


def _mend(
    vault: Vault,
    authority: Authority,
    wanted: Holding,
    gone: bool,
    helper: _Helper | None,
    progress: Progress | None,
    *,
    dry_run: bool,
) -> list[Fault]:
    faults = list(_faults(vault, authority, wanted))
    if gone or not faults:
        return []
    known = helper.find(wanted) if helper is not None else None
    if helper is None or known is None or dry_run:
        return [Fault(wanted.name, what) for what in faults]
    try:
        list(put_back(helper.archive, vault.blobs, known, helper.keys, progress))
    except RejectedError as error:
        return [Fault(wanted.name, f"{what}; the backup: {error.message}") for what in faults]
    left = set(_faults(vault, authority, wanted))
    return [Fault(wanted.name, what, what not in left) for what in faults]


def _faults(vault: Vault, authority: Authority, wanted: Holding) -> Iterator[str]:
    try:
        if wanted.kind == "version":
            statement = require_statement_of(vault, authority, wanted.model)
            entries = statement.entries
            name = layout.signature_name(wanted.model)
            if Digest.of(vault.blobs.read(name, layout.MAX_SIGNATURE_BYTES)) != statement.oms_digest:
                yield f"{name} is not the one that was signed"
        else:
            entries = read_kept(vault, authority.quarantined[wanted.name]).entries
    except RejectedError as error:
        yield error.message
        return
    for entry in entries:
        if not is_sound(vault.blobs, entry):
            yield f"{entry.object} is missing or damaged"
    if wanted.key not in vault.blobs.list(wanted.key.rpartition("/")[0]):
        yield f"{wanted.key} is missing"
