"""Journals: certify a gateway's journal key, fold journals into the log, verify them against it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from strongroom.errors import RejectedError
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
)
from strongroom.trust.authority import Authority, Journal
from strongroom.trust.batch import FILE_HEADER_BYTES
from strongroom.trust.events import Event
from strongroom.trust.journal import Batch, BatchHead, JournalReader, fold
from strongroom.trust.journal_key import sign_journal_key
from strongroom.trust.signatures import PublicKey

READ_BYTES = 64 * 2**20
MAX_HEADS_A_FOLD = 2**16
OPENING = timedelta(seconds=10)
"""A journal is certified before its gateway makes the file."""


def certify_journal(vault: Vault, actor: str, journal: str, public_pem: str) -> str:
    """Record that a journal begins, and return the note by which anyone may believe its key.

    Asked again for the same key, after an answer that was lost, it returns the note again.

    Raises:
        RejectedError: the name is taken, or the key is of another kind.
    """
    key = PublicKey.from_pem(public_pem)
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        known = authority.journals.get(journal)
        if known is not None and known.public.key_id == key.key_id:
            opened_at = known.opened_at
        else:
            opened_at = moment(vault, authority)
            event = build_event(
                vault,
                opened_at,
                actor,
                "journal-open",
                journal,
                rule="serve",
                journal=journal,
                public_pem=public_pem,
            )
            record(vault, event)
    origin = vault.trust_root.log_origin
    return sign_journal_key(bytes.fromhex(journal), key, opened_at, origin, vault.log_signer()).decode()


@dataclass
class Folding:
    """Folds the journals of one home as they grow; keeps its place in each."""

    vault: Vault
    actor: str
    _readers: dict[str, JournalReader] = field(default_factory=dict)
    _pending: dict[str, list[BatchHead]] = field(default_factory=dict)
    _since: int | None = None
    """Size of the log when we began: journals opened later should be there as long as we are."""
    _done: set[str] = field(default_factory=set)
    """Journals that we saw to their end, or whose absence we recorded."""

    def fold(self) -> int:
        """Fold every batch that is not yet in the log; returns how many were.

        A journal whose gateway is gone is closed once it is folded. One that was removed under its gateway is
        recorded, one that was put among the closed ones is folded on there.

        Raises:
            RejectedError: a journal was altered or removed; its good part and all others are folded.
            OutageError: the log could not be written; the next call goes on.
        """
        folded = 0
        altered = None
        still_open = self.vault.journals.open_names()
        for name in (*still_open, *self._moved_away(still_open)):
            try:
                folded += self._fold_journal(name)
            except RejectedError as error:
                what = error.message.removeprefix("journal: ")
                altered = altered or RejectedError(f"journal {name}: {what}", hint=error.hint)
        if altered is not None:
            raise altered
        return folded

    def _moved_away(self, still_open: Sequence[str]) -> list[str]:
        """Journals opened since we began that are not where their gateways put them."""
        authority = read_authority(self.vault)
        if self._since is None:
            self._since = authority.size
        return [
            name
            for name, journal in authority.journals.items()
            if journal.log_index >= self._since and name not in still_open and name not in self._done
        ]

    def _require_there(self, name: str, journal: Journal) -> bool:
        """Say whether the journal can be read; one that is gone is recorded before anything is raised."""
        if name in self.vault.journals.names():
            return True
        now = moment(self.vault, read_authority(self.vault))
        if now - journal.opened_at < OPENING:
            return False
        self._done.add(name)
        why = "is missing: its gateway never opened it, or someone removed it"
        event = build_event(
            self.vault, now, self.actor, "fold", name, verdict="reject", rule="serve", reason=f"journal {why}"
        )
        record(self.vault, event)
        raise RejectedError(f"journal: {why}")

    def _fold_journal(self, name: str) -> int:
        journal = read_authority(self.vault).journals.get(name)
        if journal is None:
            return 0  # opened but never certified: it cannot hold an answer that anyone received
        if not self._require_there(name, journal):
            return 0
        # Asked before reading: what nobody holds cannot grow behind the last batch that is read.
        held = self.vault.journals.is_held(name)
        try:
            self._read(name, journal)
        except RejectedError:
            self._fold_pending(name)
            raise
        folded = self._fold_pending(name)
        if not held:
            self._readers.pop(name, None)
            self._pending.pop(name, None)
            self.vault.journals.close(name)
            self._done.add(name)
        return folded

    def _read(self, name: str, journal: Journal) -> None:
        reader = self._readers.setdefault(name, JournalReader(journal.public, bytes.fromhex(name)))
        pending = self._pending.setdefault(name, [])
        for batch in read_batches(self.vault, name, reader):
            pending.append(batch.head)

    def _fold_pending(self, name: str) -> int:
        """Record the pending heads, but for what an append that seemed to fail has put in the log."""
        done = 0
        pending = self._pending[name]
        while True:
            with self.vault.locks.hold(CONTROL_LOCK):
                authority = read_authority(self.vault)
                last = authority.journals[name].folded
                heads = [head for head in pending if last is None or head.number > last][:MAX_HEADS_A_FOLD]
                if not heads:
                    pending.clear()
                    return done
                event = build_event(
                    self.vault,
                    moment(self.vault, authority),
                    self.actor,
                    "fold",
                    name,
                    rule="serve",
                    **fold(heads).detail(),
                )
                record(self.vault, event)
                done += len(heads)


def read_batches(vault: Vault, name: str, reader: JournalReader) -> Iterator[Batch]:
    """Yield the batches that ``reader`` has not seen yet; a torn tail ends it."""
    while True:
        before = reader.good_bytes
        data = vault.journals.read(name, before, READ_BYTES)
        if not data:
            return
        yield from reader.read(data)
        if reader.good_bytes == before or len(data) < READ_BYTES:
            return


def require_whole(vault: Vault, name: str, journal: Journal, batches: int) -> None:
    """A journal has at least the batches that were folded, and a closed one no more."""
    if journal.folded is not None and batches <= journal.folded:
        raise RejectedError(
            f"journal {name}: ends after {batches} batches, {journal.folded + 1} are in the log"
        )
    if name in vault.journals.open_names():
        return
    # It is closed only once it is folded, so whatever the log says now holds for what is closed.
    folded = read_authority(vault).journals[name].folded
    if batches - 1 > (-1 if folded is None else folded):
        raise RejectedError(f"journal {name}: was put among the closed ones before it was folded")


def verify_journals(vault: Vault, authority: Authority) -> int:
    """Check every journal against the folds in the log; returns the number of prediction records.

    Raises:
        RejectedError: a journal is missing, cut, or holds other batches than were folded.
    """
    folds: dict[str, list[Event]] = {}
    for leaf in vault.log.leaves(0, authority.size):
        event = Event.parse(leaf)
        if event.action == "fold" and event.decision == "allow":
            folds.setdefault(event.subject, []).append(event)
    present = set(vault.journals.names())
    for name in present - set(authority.journals):
        if len(vault.journals.read(name, 0, FILE_HEADER_BYTES + 1)) > FILE_HEADER_BYTES:
            raise RejectedError(f"journal {name}: holds batches but the log knows of no such journal")
    records = 0
    for name, journal in authority.journals.items():
        if name not in present:
            if name in folds:
                raise RejectedError(f"journal {name}: is missing, {len(folds[name])} folds are in the log")
            continue
        reader = JournalReader(journal.public, bytes.fromhex(name))
        heads = []
        for batch in read_batches(vault, name, reader):
            heads.append(batch.head)
            records += len(batch.records)
        require_whole(vault, name, journal, len(heads))
        for event in folds.get(name, []):
            detail = event.detail or {}
            part = heads[detail["first"] : detail["last"] + 1]
            if len(part) != detail["size"] or fold(part).root.hex() != detail["root"]:
                raise RejectedError(
                    f"journal {name}: batches {detail['first']} to {detail['last']} are not those in the log"
                )
    return records
