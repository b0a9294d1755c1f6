"""The ports of one home bound together, and the three things every flow does with them.

Read the authority from the verified log, decide, and record before acting. Nothing here trusts the catalog:
rights and states are replayed from the log (docs/decisions/0002).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.ports import (
    BlobStore,
    CertificateAuthority,
    Clock,
    Entropy,
    InstalledPackages,
    JournalFiles,
    KeyProvider,
    Locks,
    LogGrewError,
    LogStore,
    Marks,
    MemoryProvider,
    Records,
    Signer,
    SignerProvider,
    TlsKeys,
    Transit,
    Trials,
    Vulnerabilities,
)
from strongroom.trust.authority import Authority
from strongroom.trust.checkpoint import verify_checkpoint
from strongroom.trust.events import Event, Outcome
from strongroom.trust.fold import STEPS
from strongroom.trust.grants import MAX_DURATION
from strongroom.trust.keyring import TrustRoot
from strongroom.trust.merkle import Frontier, leaf_hash
from strongroom.trust.policy import Decision, Request, decide
from strongroom.values import Action, KeyUri

_Port = TypeVar("_Port")

SIGNING_KEY = KeyUri("file:sign/1")
"""The first one, which the home is made with; `signing_signer` knows the one in force."""
LOG_KEY = KeyUri("file:log")
CA_KEY = KeyUri("file:ca")
CONTROL_LOCK = "control"

MAX_SILENCE = MAX_DURATION
"""Records further apart than the longest grant come from a wrong clock."""
APPEND_ATTEMPTS = 8
"""Records that change nothing, such as denials, are written without the control lock."""

EXPIRED = "certificate-expired"
_NEED_NO_CERTIFICATE = frozenset(
    {Action.RENEW_IDENTITY, Action.SERVE, Action.BACKUP, Action.RESTORE, Action.RECOVER}
)
"""Renewing must stay possible, and coming back after months; a supervisor outlives short certificates.

Each ends with its grant."""


def identity_key(name: str, number: int = 1) -> KeyUri:
    """The key pair of a person or service; each rotation gives the next ``number``."""
    return KeyUri(f"file:id/{name}" if number == 1 else f"file:id/{name}.{number}")


def identity_key_in_force(authority: Authority, name: str) -> KeyUri:
    """The key pair of the newest certificate; of somebody who is not there yet, the first."""
    known = authority.identities.get(name)
    return identity_key(name, 1 if known is None else known.key_number)


@dataclass
class Replayed:
    """The authority as of a log size; lets the next read fold only what is new."""

    size: int = 0
    frontier: Frontier = field(default_factory=Frontier)
    authority: Authority = field(default_factory=Authority)


@dataclass
class Vault:
    """One home. ``keys``, ``signers`` and ``ca`` are None while the keystore is locked (read-only flows)."""

    trust_root: TrustRoot
    clock: Clock
    entropy: Entropy
    blobs: BlobStore
    records: Records
    log: LogStore
    journals: JournalFiles
    locks: Locks
    memory: MemoryProvider
    keys: KeyProvider | None = None
    signers: SignerProvider | None = None
    tls_keys: TlsKeys | None = None
    ca: CertificateAuthority | None = None
    trials: Trials | None = None
    """None where there is no sandbox to try a model in."""
    packages: InstalledPackages | None = None
    """What this environment has installed; None where nobody looks."""
    vulnerabilities: Vulnerabilities | None = None
    transit: Transit | None = None
    """How sealed objects travel to ``blobs``; None where those are on this machine."""
    key_template: str = "file:kek/{family}"
    """Where the key of a family that has none yet is to be kept."""
    marks: Marks | None = None
    """None where nothing needs to outlast the process."""
    list_max_age_s: int = 3600
    """After which a revocation list that is issued here counts for nothing."""
    origin: str = ""
    """Where actions come from, for the log: host name and kind of session."""
    replayed: Replayed = field(default_factory=Replayed)

    def require_keys(self) -> KeyProvider:
        return _require_unlocked(self.keys)

    def require_signers(self) -> SignerProvider:
        return _require_unlocked(self.signers)

    def require_tls_keys(self) -> TlsKeys:
        return _require_unlocked(self.tls_keys)

    def require_ca(self) -> CertificateAuthority:
        return _require_unlocked(self.ca)

    def identity_signer(self, name: str) -> Signer:
        """The key that signs for a person or service, as of the log last read."""
        return self.require_signers().signer(identity_key_in_force(self.replayed.authority, name))

    def log_signer(self) -> Signer:
        return self.require_signers().signer(LOG_KEY)


def _require_unlocked(port: _Port | None) -> _Port:
    if port is None:
        raise DeniedError(
            "keystore: is locked", hint="give the passphrase: --passphrase-file or at the prompt"
        )
    return port


def read_authority(vault: Vault) -> Authority:
    """Return who may do what, replayed from the log after checking it against its signed checkpoint.

    Raises:
        RejectedError: the log is not what its checkpoint, or the head the catalog remembers, says.
    """
    # (1) what the log's key signed, and nothing older than what this home has seen before; that is asked
    # first, or somebody who appends in between would look like somebody who cuts
    remembered = vault.records.head()
    note = vault.log.checkpoint()
    if note is None:
        raise RejectedError("log: has no checkpoint", hint="restore the home from a backup")
    checkpoint = verify_checkpoint(note, vault.trust_root.log_public_key, vault.trust_root.log_origin)
    if remembered is not None and checkpoint.size < remembered[0]:
        raise RejectedError(
            f"log: holds {checkpoint.size} records, was {remembered[0]} before: it was cut or rolled back"
        )
    # (2) only new leaves are read; a log that does not extend what was replayed is read from the start
    state = vault.replayed
    if checkpoint.size < state.size:
        raise RejectedError(f"log: shrank from {state.size} to {checkpoint.size} records")
    replayed = _replay(vault, state, checkpoint.size, remembered)
    if replayed.frontier.root() != checkpoint.root:
        raise RejectedError(
            "log: records differ from the signed checkpoint", hint="run: strongroom log verify"
        )
    if state.size == 0:
        _require_own(vault.trust_root, replayed.authority)
    vault.replayed = replayed
    return replayed.authority


def _require_own(root: TrustRoot, authority: Authority) -> None:
    """The log's first record names the anchors of this home; the trust root beside it must be the same."""
    named = (authority.trust_domain, authority.ca_pem, authority.log_origin, authority.log_public_pem)
    if named != (root.trust_domain, root.ca_pem, root.log_origin, root.log_public_key.pem):
        raise RejectedError("trust root: is not the one that this log began with")


def _replay(vault: Vault, state: Replayed, size: int, remembered: tuple[int, bytes] | None) -> Replayed:
    frontier = state.frontier.copy()
    authority = state.authority
    index = state.size
    for leaf in vault.log.leaves(index, size):
        if remembered is not None and index == remembered[0]:
            _require_remembered(frontier, remembered)
        frontier.push(leaf_hash(leaf))
        authority = authority.apply(_parse(leaf, index), index)
        index += 1
    if index != size:
        raise RejectedError(f"log: record {index} is missing", hint="run: strongroom log verify")
    if remembered is not None and index == remembered[0]:
        _require_remembered(frontier, remembered)
    return Replayed(size, frontier, authority)


def _parse(leaf: bytes, index: int) -> Event:
    try:
        return Event.parse(leaf)
    except InvalidError as error:
        raise RejectedError(
            f"log: record {index} is not one that we wrote ({error.message})",
            hint="run: strongroom log verify",
        ) from None


def _require_remembered(frontier: Frontier, remembered: tuple[int, bytes]) -> None:
    if frontier.root() != remembered[1]:
        raise RejectedError(f"log: the first {remembered[0]} records are not those seen before")


def moment(vault: Vault, authority: Authority) -> datetime:
    """Return now, never earlier than the last record: a clock set back extends no grant (I8)."""
    return authority.moment(vault.clock.now())


def build_event(
    vault: Vault,
    now: datetime,
    actor: str,
    action: str,
    subject: str,
    *,
    verdict: str = "allow",
    rule: str = "",
    reason: str = "",
    **detail: Any,
) -> Event:
    """Return the record of one decision, stamped with where it came from."""
    return Event(
        now, actor, action, subject, Outcome(verdict), rule, reason, {**detail, "origin": vault.origin}
    )


def record(vault: Vault, *events: Event) -> int:
    """Append events; on return they are durable. Returns the index of the first.

    Every event is applied to the authority first, so that nothing is written that a replay would refuse. The
    new head is noted in the catalog, so that cutting off even the newest record is noticed.

    Raises:
        RejectedError: the log would not accept one of them.
        OutageError: the log could not be written, or the head not noted, or this clock is far ahead; the
            caller must not act.
    """
    _require_clock(vault.replayed.authority, events)
    # A catalog that is new or was emptied cannot say that the log was cut: that it was so stays on record.
    lost = [_lost_head(vault, events[0])] if _is_head_lost(vault) else []
    written = [*lost, *events]
    index = _append(vault, written)
    _note_head(vault)
    return index + len(lost)


def _append(vault: Vault, events: Sequence[Event]) -> int:
    """What changes a right is written only behind the records that it was judged by.

    The control lock sees to that, unless somebody removes its file: two approvals of one reviewer in the log
    would be one more than a replay accepts, and the home would stop for good.
    """
    changes = any(event.action in STEPS and event.decision == Outcome.ALLOW for event in events)
    leaves = [event.to_bytes() for event in events]
    for attempt in range(1, APPEND_ATTEMPTS + 1):
        vault.replayed.authority.extend(events)
        after = vault.replayed.size if changes else None
        try:
            return vault.log.append(leaves, vault.log_signer(), after=after)
        except LogGrewError:
            if attempt == APPEND_ATTEMPTS:
                raise
            read_authority(vault)
    raise AssertionError("unreachable")


def _is_head_lost(vault: Vault) -> bool:
    return vault.replayed.size > 0 and vault.records.head() is None


def _lost_head(vault: Vault, event: Event) -> Event:
    return build_event(
        vault,
        event.time,
        event.actor,
        "catalog-lost",
        "*",
        rule="unseen",
        reason=f"the largest head seen was forgotten; {vault.replayed.size} records are taken as all",
    )


def _require_clock(authority: Authority, events: Sequence[Event]) -> None:
    """Refuse records from a clock that runs far ahead: their time could never be taken back.

    No question is answered as of a time before the newest record, so one record from the year 2100 would end
    every grant and certificate for good. Nothing is lost by refusing: a year after the newest record every
    grant that it knew has ended by itself.
    """
    if authority.size and any(event.time - authority.last_time > MAX_SILENCE for event in events):
        raise OutageError(
            f"clock: is more than {MAX_SILENCE.days} days after the newest record; nothing was recorded",
            hint="set the clock of this machine",
        )


def remember_head(vault: Vault) -> None:
    """Note the log's head in the catalog, so that a log cut later is noticed.

    Not in a catalog that lost it, before the loss is recorded.
    """
    read_authority(vault)
    if not _is_head_lost(vault):
        _note_head(vault)


def _note_head(vault: Vault) -> None:
    read_authority(vault)
    vault.records.note_head(vault.replayed.size, vault.replayed.frontier.root())


def require_permission(
    vault: Vault,
    authority: Authority,
    actor: str,
    action: Action,
    resource: str,
    *,
    publisher: str | None = None,
    subject: str | None = None,
    exists: bool = False,
    hint: str | None = None,
) -> Decision:
    """Return the decision that allows this, for the record; a denial is recorded first, then raised.

    ``publisher``, ``subject`` and ``exists`` are what the policies ask about: see `trust.policy.Request`.
    With a locked keystore (read-only flows) a denial cannot be recorded and is only raised.

    Raises:
        DeniedError: no policy allows it, or one forbids it.
    """
    now = moment(vault, authority)
    decision = judge(authority, actor, action, resource, now, publisher, subject, exists)
    if decision.allowed:
        return decision
    if vault.signers is not None:
        record(vault, build_event(vault, now, actor, action, resource, verdict="deny", rule=decision.rule))
    if decision.rule == EXPIRED:
        hint = f"an admin runs: strongroom identity renew {actor}"
    raise DeniedError(
        f"{actor} may not {action} {resource}: {decision.rule}",
        hint=hint or _hint(decision.rule),
    )


def _hint(rule: str) -> str:
    """A forbid is not lifted by any role: its rule says who must not, so that it is somebody else's turn."""
    if rule.startswith(("nobody-", "reviewer-never-")):
        return "no role lifts this rule; somebody else must do it (--identity), docs/roles.md"
    return "an admin can grant a role that may: strongroom grant add --help, docs/roles.md"


def signing_signer(vault: Vault, authority: Authority) -> Signer:
    """Return the signing key in force, from the custody that the log names.

    Raises:
        RejectedError: the custody holds another key there than the log says.
    """
    signer = vault.require_signers().signer(authority.signing_key)
    now = moment(vault, authority)
    if signer.key_id not in {key.key_id for key in authority.key_history.valid_keys(now)}:
        raise RejectedError(f"{authority.signing_key}: holds no signing key that is in force")
    return signer


def bind_family_key(vault: Vault, actor: str, family: str, rule: str) -> KeyUri:
    """Return the key of a family; where a new family's is to be kept elsewhere, that is recorded first."""
    authority = read_authority(vault)
    wanted = KeyUri(vault.key_template.format(family=family))
    known = family in authority.family_keys or authority.has_family(family)
    if known or wanted == authority.family_key(family):
        return authority.family_key(family)
    now = moment(vault, authority)
    record(vault, build_event(vault, now, actor, "bind-key", family, rule=rule, family=family, uri=wanted))
    return wanted


def judge(
    authority: Authority,
    actor: str,
    action: Action,
    resource: str,
    now: datetime,
    publisher: str | None = None,
    subject: str | None = None,
    exists: bool = False,
) -> Decision:
    """Decide without recording: what `can` answers and what every flow enforces."""
    identity = authority.identities.get(actor)
    if identity is None:
        return Decision(False, "unknown-identity")
    if identity.revoked:
        return Decision(False, "identity-revoked")
    if action not in _NEED_NO_CERTIFICATE and not identity.valid_credentials(authority.moment(now)):
        return Decision(False, EXPIRED)
    return decide(
        Request(
            actor,
            action,
            resource,
            now,
            authority.grants_of(actor, now),
            {
                "publisher": publisher or "",
                "subject_principal": subject or "",
                "exists": exists,
                "solo": authority.solo,
            },
        )
    )
