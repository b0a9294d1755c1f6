"""Recover: rebuild the catalog from the log and the store alone, and put back what the store lost.

The log says what must be there, the signed statements say what it is made of; the catalog is only written.
What is damaged or missing is fetched from a backup, if one is given, and named otherwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.archive import Archive
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.backup import quarantine_holding, version_holding
from strongroom.flows.catalog import rebuild_catalog
from strongroom.flows.mending import keys_of, put_back
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
from strongroom.flows.watch_subjects import Subject, subjects_of
from strongroom.trust.authority import Authority
from strongroom.trust.backup import MAX_INDEX_BYTES, Holding, require_snapshot
from strongroom.trust.standing import VersionRecord
from strongroom.values import Action, Digest, State

MAX_SHOWN_CHARS = 300


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
    lifted: tuple[str, ...] = ()
    """Versions that were quarantined for what is right now, and may be released again."""

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
        for subject, wanted in _wanted(authority)
        for fault in _mend(vault, authority, subject, wanted, None if dry_run else helper, progress)
    ]
    lifted = (
        []
        if dry_run
        else list(
            _lift(vault, actor, decision.rule, {fault.of for fault in faults if not fault.mended}, authority)
        )
    )
    # (4) the catalog follows
    wrong, _ = rebuild_catalog(vault, dry_run=dry_run)
    if not dry_run:
        remember_head(vault)
    return Recovered(audited.size, len(authority.versions), tuple(wrong), tuple(faults), tuple(lifted))


def _open(archive: Archive, authority: Authority) -> _Helper:
    sequences = archive.sequences()
    if not sequences:
        raise RejectedError("backup: holds no snapshot: none was finished")
    snapshot = require_snapshot(archive.envelope(sequences[-1]), authority.key_history)
    index = archive.index(snapshot, MAX_INDEX_BYTES)
    holdings = {(one.kind, one.name, one.digest): one for one in index.holdings}
    return _Helper(archive, holdings, keys_of(archive, index))


def _wanted(authority: Authority) -> Iterator[tuple[Subject, Holding]]:
    """What the store must hold, and what a backup calls it."""
    for subject in subjects_of(authority, lambda known: known.state is not State.REVOKED):
        record_ = subject.record
        yield (
            subject,
            version_holding(record_) if isinstance(record_, VersionRecord) else quarantine_holding(record_),
        )


def _mend(
    vault: Vault,
    authority: Authority,
    subject: Subject,
    wanted: Holding,
    helper: _Helper | None,
    progress: Progress | None,
) -> list[Fault]:
    faults = _faults(vault, authority, subject, progress)
    known = helper.find(wanted) if helper is not None and faults else None
    if helper is None or known is None:
        return [Fault(wanted.name, what) for what in faults]
    try:
        with vault.locks.hold(f"publish-{wanted.model.family}"):
            # What was shredded or encrypted anew meanwhile must not come back.
            authority = read_authority(vault)
            if not any(subject.is_same(each) for each, _ in _wanted(authority)):
                return []
            list(put_back(helper.archive, vault.blobs, known, helper.keys, progress))
            _try_key(vault, authority, subject, helper.keys)
    except RejectedError as error:
        return [Fault(wanted.name, f"{what}; the backup: {error.message}") for what in faults]
    left = set(_faults(vault, authority, subject, progress))
    return [Fault(wanted.name, what, what not in left) for what in faults]


def _faults(vault: Vault, authority: Authority, subject: Subject, progress: Progress | None) -> Sequence[str]:
    found = dict(vault.blobs.survey(subject.prefix))
    try:
        papers = subject.read_papers(vault, authority)
    except RejectedError as error:
        return [error.message]
    faults = [*papers.faults, *subject.compare_names(papers, found)]
    there = [entry for entry in papers.entries if entry.object in found]
    read = [subject.read_object(vault, entry, progress) for entry in there]
    read += [subject.read_key(vault, papers)] if subject.key in found else []
    faults += [fault for fault in read if fault is not None]
    return [f"{fault.object[:MAX_SHOWN_CHARS]} {fault.what}" for fault in faults]


def _try_key(vault: Vault, authority: Authority, subject: Subject, keys: dict[str, bytes]) -> None:
    """Where the data key in the store opens nothing, the backup's takes its place, if that one does."""
    papers = subject.read_papers(vault, authority)
    if subject.key not in keys or subject.read_key(vault, papers) is None:
        return
    before = vault.blobs.read(subject.key, layout.MAX_WRAPPED_KEY_BYTES)
    vault.blobs.replace(subject.key, keys[subject.key])
    if subject.read_key(vault, papers) is not None:
        vault.blobs.replace(subject.key, before)


def _lift(vault: Vault, actor: str, rule: str, wrong: set[str], before: Authority) -> Iterator[str]:
    """Let go what was held back ``before`` it was read, and was then found sound, every byte of it."""
    authority = read_authority(vault)
    for model, known in authority.versions.items():
        if known.held is None or model not in before.versions or known.held != before.versions[model].held:
            continue
        if str(model) not in wrong and known.state is not State.REVOKED:
            now = moment(vault, authority)
            record(vault, build_event(vault, now, actor, "lift", str(model), rule=rule, model=str(model)))
            yield str(model)
