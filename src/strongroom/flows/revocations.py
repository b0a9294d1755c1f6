"""The revocation list of a home: issued, stored beside the models, read, and looked at by whoever serves.

The log decides what is revoked; the list repeats it for hosts that cannot read the log, and shows those that
can that theirs was not rolled back. See docs/formats/revocation-list.md.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from strongroom.errors import InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.vault import CONTROL_LOCK, Vault, build_event, moment, read_authority, record
from strongroom.ports import RevokedSerial
from strongroom.trust.authority import Authority
from strongroom.trust.events import Event
from strongroom.trust.merkle import consistency_proof, require_consistent
from strongroom.trust.revocations import (
    MAX_LIST_BYTES,
    MAX_MAX_AGE_S,
    RevocationList,
    RevokedIdentity,
    RevokedKey,
    Sighting,
    require_list,
    sign_list,
)
from strongroom.trust.tiles import hash_reader
from strongroom.values import ModelId, State

MARK = "revocations"
LIST_LOCK = "revocations"
REFRESH_AT = 1 / 3
"""Of its maximal age: a list that old is issued anew, so that two attempts may fail."""
RETRY_S = 5.0
LOOK_S = 2.0
"""How often the stored list is read by whoever serves; the log is read more often."""
MARK_S = 30.0
LOCK_WAIT_S = 10.0
HURRIED_S = 1.0
"""For a lock, by whoever serves: the gateways must hear of what holds in time."""


def issue_event(vault: Vault, actor: str) -> Event:
    """Return the record that announces a list; whoever appends it calls `store_list` next."""
    now = moment(vault, read_authority(vault))
    return build_event(vault, now, actor, "issue-revocations", "*", max_age_s=vault.list_max_age_s)


def issue_list(vault: Vault, actor: str, wait_s: float = LOCK_WAIT_S) -> RevocationList:
    """Issue a list anew, which shows that the log can be written; durable and stored on return.

    ``wait_s``: for each lock that another holds.

    Raises:
        OutageError: log or store did not answer.
    """
    with vault.locks.hold(CONTROL_LOCK, wait_s):
        record(vault, issue_event(vault, actor))
    return store_list(vault, wait_s)


def store_list(vault: Vault, wait_s: float = LOCK_WAIT_S) -> RevocationList:
    """Sign and store what the newest list must say, unless the stored one says it; durable on return.

    Raises:
        InvalidError: none was ever issued.
        OutageError: the store did not answer.
    """
    with vault.locks.hold(LIST_LOCK, wait_s):
        stored = _find_list(vault)
        authority = read_authority(vault)
        listed = _build_list(vault, authority)
        if stored is not None:
            # A log that was rolled back must not take back what a newer one revoked.
            require_log_of(vault, stored)
            if stored.issue == listed.issue and stored.sequence >= listed.sequence:
                return stored
        envelope = sign_list(listed, vault.log_signer())
        end = listed.issue.issued_at + timedelta(seconds=listed.issue.max_age_s)
        serials = _revoked_serials(authority, listed)
        crl = vault.require_ca().build_crl(serials, listed.issue.number, listed.issue.issued_at, end)
        # The list last: whoever sees the new one may take the CRL beside it for as new.
        vault.blobs.replace(layout.CRL, crl)
        vault.blobs.replace(layout.REVOCATIONS, envelope)
    return listed


def read_list(vault: Vault) -> RevocationList | None:
    """Return the stored list; None if there is none. Its age is the caller's to judge.

    Raises:
        RejectedError: it is not one that this home's log signed.
    """
    if layout.REVOCATIONS not in vault.blobs.list(layout.OWN):
        return None
    data = vault.blobs.read(layout.REVOCATIONS, MAX_LIST_BYTES)
    return require_list(data, vault.trust_root.log_public_key, vault.trust_root.log_origin)


def _find_list(vault: Vault) -> RevocationList | None:
    """A list that is not ours is as good as none: the log says what it must be."""
    with suppress(RejectedError):
        return read_list(vault)
    return None


def require_unlisted(vault: Vault, model: ModelId) -> None:
    """Whatever the log and the catalog here say, what the stored list names is not loaded.

    Raises:
        RejectedError: the list names the model, is forged, or speaks of more records than the log here has.
    """
    listed = read_list(vault)
    if listed is None:
        return
    require_log_of(vault, listed)
    if listed.names(model):
        raise RejectedError(f"{model}: is revoked (revocation list {listed.issue.number})")


def require_log_of(vault: Vault, listed: RevocationList) -> None:
    """Raises RejectedError: the log here is not the one that ``listed`` speaks of, or an older copy of it."""
    _require_extends(vault, listed.log_size, listed.log_root, "the revocation list in the store")


def _require_extends(vault: Vault, size: int, root: bytes, who: str) -> None:
    """An older copy of the log may have grown since, so its size alone says nothing."""
    known, known_root = vault.replayed.size, vault.replayed.frontier.root()
    hint = "restore a newer copy of the log; nothing is loaded before (docs/revocation.md)"
    if size > known:
        raise RejectedError(
            f"log: holds {known} records, and {who} knows of {size}: it was cut or rolled back", hint=hint
        )
    proof = consistency_proof(size, known, hash_reader(known, vault.log.tile))
    try:
        require_consistent(size, root, known, known_root, proof)
    except RejectedError:
        raise RejectedError(
            f"log: is not the one that {who} knows of: it was rolled back and went on", hint=hint
        ) from None


class Lookout:
    """Sees to it that a fresh list is in force while a host serves, and says when there is none.

    Not thread-safe: it belongs to the supervisor's loop. ``max_age_s`` is this host's own bound.
    """

    def __init__(self, vault: Vault, actor: str, max_age_s: int) -> None:
        self._vault = vault
        self._actor = actor
        self._max_age_s = min(max_age_s, MAX_MAX_AGE_S)
        self._seen = self._recall()
        self._next_look_ms = self._next_try_ms = self._next_mark_ms = 0
        self._proven: tuple[int, int] | None = None
        """The stored list that the log here extends, as was shown; `read_authority` sees to the rest."""
        self._recalled = self._seen is None

    def begin(self) -> None:
        """Before anything is loaded: look, and have a fresh list. Raises RejectedError or OutageError."""
        try:
            self.look()
        except OutageError:
            if self.is_stale():
                raise

    def look(self) -> None:
        """Read the stored list from time to time; put it right and issue it anew where that is due.

        Raises:
            RejectedError: the log here was rolled back behind a list, or this host has seen a newer list.
            OutageError: the list is due and could not be issued; see `is_stale` for whether that matters yet.
        """
        elapsed_ms = self._vault.clock.uptime().elapsed_ms
        authority = read_authority(self._vault)
        if elapsed_ms >= self._next_look_ms:
            self._next_look_ms = elapsed_ms + int(LOOK_S * 1000)
            self._take_in(authority)
        if self.age_s() > REFRESH_AT * self._limit_s() and elapsed_ms >= self._next_try_ms:
            self._next_try_ms = elapsed_ms + int(RETRY_S * 1000)
            self._see(issue_list(self._vault, self._actor, HURRIED_S))
        if elapsed_ms >= self._next_mark_ms:
            self._remember()

    def age_s(self) -> float:
        """How old the newest list is at least; infinite if none was seen."""
        if self._seen is None:
            return float("inf")
        return self._seen.age_s(self._vault.clock.now(), self._vault.clock.uptime())

    def is_stale(self) -> bool:
        """Whether serving must stop."""
        return self.age_s() > self._limit_s()

    def _limit_s(self) -> int:
        return self._max_age_s if self._seen is None else min(self._max_age_s, self._seen.max_age_s)

    def _take_in(self, authority: Authority) -> None:
        listed = _find_list(self._vault)
        if listed is not None and listed.sequence != self._proven:
            require_log_of(self._vault, listed)
            self._proven = listed.sequence
        if self._seen is not None and not self._recalled:
            who = "a revocation list that this host has seen"
            _require_extends(self._vault, self._seen.log_size, self._seen.log_root, who)
            self._recalled = True
        if authority.issue is not None and (listed is None or listed.issue.number < authority.issue.number):
            # Cut off between record and store, or somebody put an old one back: the log knows better.
            listed = store_list(self._vault, HURRIED_S)
        if listed is not None:
            self._see(listed)

    def _see(self, listed: RevocationList) -> None:
        clock, uptime = self._vault.clock.now(), self._vault.clock.uptime()
        if self._seen is not None:
            self._seen.require_not_older(listed)
            if listed.issue.number == self._seen.number:
                self._seen = replace(self._seen, log_size=listed.log_size, log_root=listed.log_root)
                return
            clock = self._seen.now(clock, uptime)
        self._seen = Sighting.of(listed, max(clock, read_authority(self._vault).last_time), uptime)
        self._remember()

    def _recall(self) -> Sighting | None:
        data = self._vault.marks.read(MARK) if self._vault.marks is not None else None
        if data is None:
            return None
        try:
            return Sighting.parse(data)
        except InvalidError:
            raise RejectedError(
                "revocation mark: is damaged",
                hint="find out why, then remove marks/revocations from the home",
            ) from None

    def _remember(self) -> None:
        """A clock that stands still, or is set back later, must not make a list younger than it was here."""
        uptime = self._vault.clock.uptime()
        self._next_mark_ms = uptime.elapsed_ms + int(MARK_S * 1000)
        if self._seen is not None and self._vault.marks is not None:
            self._seen = self._seen.moved_on(self._vault.clock.now(), uptime)
            self._vault.marks.write(MARK, self._seen.to_bytes())


def _build_list(vault: Vault, authority: Authority) -> RevocationList:
    if authority.issue is None:
        raise InvalidError("revocation list: none was issued", hint="strongroom revocation refresh")
    at = authority.issue.issued_at
    versions = [str(model) for model, known in authority.versions.items() if known.state is State.REVOKED]
    return RevocationList(
        origin=authority.log_origin,
        issue=authority.issue,
        log_size=vault.replayed.size,
        log_root=vault.replayed.frontier.root(),
        models=frozenset([*authority.revoked_families, *versions]),
        identities=tuple(
            RevokedIdentity(one.name, tuple(c.serial for c in one.credentials if c.not_after > at))
            for one in authority.identities.values()
            if one.revoked
        ),
        keys=tuple(
            RevokedKey(key.public.key_id, key.revoked_at)
            for key in authority.key_history.keys
            if key.revoked_at is not None
        ),
        grants=frozenset(
            one.grant.id
            for one in authority.grants.values()
            if one.revoked_at is not None and one.grant.end > at
        ),
    )


def _revoked_serials(authority: Authority, listed: RevocationList) -> list[RevokedSerial]:
    return [
        RevokedSerial(int(serial, 16), authority.identities[one.name].revoked_at or listed.issue.issued_at)
        for one in listed.identities
        for serial in one.serials
    ]
