"""Who and what stands where: identities, grants, versions, keys and journals, as the log so far says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.trust.grants import EVERYTHING, Grant, active_grants
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.revocations import Issue
from strongroom.trust.shreds import Shred
from strongroom.trust.signatures import PublicKey
from strongroom.trust.unmanaged import Unmanaged
from strongroom.trust.waivers import Waiver
from strongroom.values import Digest, KeyUri, ModelId, Role, State

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)
OWNER_GRACE = timedelta(days=30)
"""How long an owner whose last certificate or grant ended still counts as there: both are short."""


class OwnerStatus(StrEnum):
    """Whether somebody answers for a model."""

    ACTIVE = "active"
    UNKNOWN = "unknown"
    """No identity of that name was ever here: a team, or a slip of the pen."""
    EXPIRED = "expired"
    """The last certificate ended longer than OWNER_GRACE ago."""
    REVOKED = "revoked"
    WITHOUT_RIGHTS = "without rights"
    """Every grant that they ever had ended longer than OWNER_GRACE ago."""

    @property
    def orphans(self) -> bool:
        """Whether what they own is published and approved only once somebody else owns it."""
        return self not in (OwnerStatus.ACTIVE, OwnerStatus.UNKNOWN)


_NO_KEY = KeyUri("")
SIGNING = "signing key"
"""Stands for the signing key where families stand; no family's name has a space."""


def default_family_key(family: str) -> KeyUri:
    """Return the key-encryption key of a family for which the log names no other."""
    return KeyUri(f"file:kek/{family}")


@dataclass(frozen=True, slots=True)
class Credential:
    """One certificate of an identity, believed from the time at which the log recorded it."""

    certificate_pem: str
    serial: str
    public: PublicKey
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or service. Once revoked it stays so, and its name is never given again."""

    name: str
    credentials: tuple[Credential, ...]
    added_at: datetime
    log_index: int
    revoked_at: datetime | None = None

    @property
    def revoked(self) -> bool:
        return self.revoked_at is not None

    @property
    def certificate_pem(self) -> str:
        """The newest certificate."""
        return self.credentials[-1].certificate_pem

    def valid_credentials(self, at: datetime) -> tuple[Credential, ...]:
        if self.revoked_at is not None and at >= self.revoked_at:
            return ()
        return tuple(one for one in self.credentials if one.not_before <= at < one.not_after)

    def valid_serials(self, at: datetime) -> tuple[str, ...]:
        """Serial numbers that may log in at ``at``, spelled as `certificates.serial_text` spells them."""
        return tuple(one.serial for one in self.valid_credentials(at))

    @property
    def key_number(self) -> int:
        """Which of its key pairs the newest certificate is for, counted from 1; see `vault.identity_key`."""
        seen = list(dict.fromkeys(one.public.key_id for one in self.credentials))
        return seen.index(self.credentials[-1].public.key_id) + 1

    def keys(self, at: datetime) -> tuple[PublicKey, ...]:
        """The different public keys whose signatures count as this identity's at ``at``."""
        return tuple({one.public.key_id: one.public for one in self.valid_credentials(at)}.values())


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant, when it was recorded, and whether it was revoked before its end."""

    grant: Grant
    log_index: int
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A reviewer stood for exactly these digests."""

    approver: str
    manifest: Digest
    statement: Digest
    approved_at: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a version is not released: something of its stored copy is not as it was signed."""

    object: str
    what: str
    since: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One published version: what was published by whom, and what became of it."""

    model: ModelId
    manifest: Digest
    statement: Digest
    owner: str
    publisher: str
    published_at: datetime
    log_index: int
    state: State = State.PUBLISHED
    approvals: tuple[Approval, ...] = ()
    generation: int = 0
    """How often it was encrypted anew since; what was signed and approved stays (docs/decisions/0008)."""
    seal: Digest | None = None
    """SHA-256 of the signed seal of this generation; None for the first, which the statement describes."""
    sealed_at: datetime | None = None
    sealed_index: int = -1
    """Number of the record that put this generation in force."""
    beside: int | None = None
    """The generation that is being made or removed: its files may stand beside those in force."""
    held: Hold | None = None
    """Set while the stored copy is known to be altered: quarantined, whatever its state."""


@dataclass(frozen=True, slots=True)
class UnmanagedRecord:
    """A version that somebody says is elsewhere: listed, not protected, never served."""

    entry: Unmanaged
    recorded_by: str
    recorded_at: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """An upload that was refused or doubted, and is kept sealed with its report."""

    ticket: str
    model: ModelId
    """As what it was to be published; the name stays free."""
    manifest: Digest
    report: Digest
    """SHA-256 of the stored, signed report."""
    publisher: str
    kept_at: datetime
    log_index: int


@dataclass(frozen=True, slots=True)
class WaiverRecord:
    """A waiver, and when it was recorded."""

    waiver: Waiver
    log_index: int


@dataclass(frozen=True, slots=True)
class Journal:
    """A gateway's journal: the key that signs its batches, and how far they were folded into the log."""

    name: str
    public: PublicKey
    opened_at: datetime
    log_index: int
    folded: int | None = None
    """Number of the last batch folded, None before the first."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A key that protects nothing, wrapped by a version that was rotated away: it shows whether it opens."""

    uri: KeyUri
    version: int
    wrapped: str
    """Base64."""
    proven: bool = False
    """Whether it was recorded once that it does not open any more."""


@dataclass(frozen=True, slots=True)
class FamilyKey:
    """The key-encryption key of a family, as the log says. ``earlier`` ones open until a rotation settled."""

    uri: KeyUri
    version: int
    since: datetime
    earlier: tuple[KeyUri, ...] = ()
    settled: bool = True
    """Whether nothing is wrapped under what came before, and that was shown not to open any more."""
    probes: tuple[Probe, ...] = ()
    reencrypt: bool = False
    """Whether versions published before are to be encrypted anew."""
    log_index: int = -1


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of all rights after ``size`` records; a value, never changed in place.

    ``last_time`` is the latest time in any record. No question is answered as of an earlier one: a clock
    set back neither revives a grant nor hides a revocation (I8).
    """

    size: int = 0
    last_time: datetime = _BEFORE_ALL
    trust_domain: str = ""
    ca_pem: bytes = b""
    log_origin: str = ""
    log_public_pem: bytes = b""
    insecure_solo: bool = False
    """Whether the home was made with ``init --insecure-solo``."""
    solo: bool = False
    """Whether that still holds: ends for good once another identity is given ``reviewer`` or ``admin``."""
    identities: Mapping[str, Identity] = field(default_factory=dict)
    grants: Mapping[str, GrantRecord] = field(default_factory=dict)
    versions: Mapping[ModelId, VersionRecord] = field(default_factory=dict)
    key_history: KeyHistory = field(default_factory=KeyHistory)
    signing_key: KeyUri = _NO_KEY
    """Where the signing key in force is kept."""
    earlier_signing: tuple[KeyUri, ...] = ()
    """Where those before it were kept, oldest first."""
    overdue: Mapping[str, datetime] = field(default_factory=dict)
    """When it was last recorded that a rotation is overdue, by family or SIGNING."""
    family_keys: Mapping[str, FamilyKey] = field(default_factory=dict)
    """Only of families whose key was ever bound or rotated; see `family_key`."""
    journals: Mapping[str, Journal] = field(default_factory=dict)
    quarantined: Mapping[str, QuarantineRecord] = field(default_factory=dict)
    """By ticket."""
    waivers: tuple[WaiverRecord, ...] = ()
    unmanaged: Mapping[ModelId, UnmanagedRecord] = field(default_factory=dict)
    """What was registered and is not published; publishing a version takes it out."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What was set for the whole home and must not be forgotten or rolled back, by name."""

    revoked_families: Mapping[str, datetime] = field(default_factory=dict)
    """Names under which nothing is published or approved again."""
    issue: Issue | None = None
    """The newest revocation list that was issued."""
    shreds: Mapping[str, Shred] = field(default_factory=dict)
    """By what is or was to be shredded."""

    def moment(self, now: datetime) -> datetime:
        """Return ``now``, but never a time before the last record."""
        return max(now, self.last_time)

    def grants_of(self, principal: str, now: datetime) -> tuple[Grant, ...]:
        """Return the grants of ``principal`` in force, on whatever resource; none for a revoked identity."""
        at = self.moment(now)
        identity = self.identities.get(principal)
        if identity is None or identity.revoked:
            return ()
        return tuple(
            record.grant
            for record in self.grants.values()
            if record.grant.principal == principal
            and record.revoked_at is None
            and record.grant.is_active(at)
        )

    def waivers_of(self, manifest: Digest, now: datetime) -> Mapping[str, Waiver]:
        """Return the waivers in force for these bytes, by finding."""
        at = self.moment(now)
        return {
            record.waiver.finding: record.waiver
            for record in self.waivers
            if record.waiver.manifest == manifest and record.waiver.is_active(at)
        }

    def is_role(self, principal: str, role: Role, resource: str, now: datetime) -> bool:
        """Whether ``principal`` holds ``role`` on ``resource`` now."""
        held = active_grants(self.grants_of(principal, now), principal, resource, self.moment(now))
        return any(grant.role is role for grant in held)

    def family_key(self, family: str) -> KeyUri:
        """Return the key-encryption key under which a family's data keys are wrapped from now on."""
        bound = self.family_keys.get(family)
        return default_family_key(family) if bound is None else bound.uri

    def opening_keys(self, family: str) -> tuple[KeyUri, ...]:
        """Return every key under which a data key of the family may still stand wrapped."""
        bound = self.family_keys.get(family)
        return (default_family_key(family),) if bound is None else (bound.uri, *bound.earlier)

    def key_since(self, family: str) -> datetime | None:
        """Return since when a family's key is in force: its last rotation, else what it first protected."""
        bound = self.family_keys.get(family)
        if bound is not None:
            return bound.since
        published = [one.published_at for one in self.versions.values() if one.model.family == family]
        kept = [one.kept_at for one in self.quarantined.values() if one.model.family == family]
        return min([*published, *kept], default=None)

    def families(self) -> tuple[str, ...]:
        """Every family that has a key, sorted."""
        models = (*self.versions, *(kept.model for kept in self.quarantined.values()))
        return tuple(sorted({*self.family_keys, *(model.family for model in models)}))

    def has_family(self, family: str) -> bool:
        """Whether anything of the family was ever published or kept."""
        models = (*self.versions, *(kept.model for kept in self.quarantined.values()))
        return any(model.family == family for model in models)

    def is_doomed(self, model: ModelId) -> bool:
        """Whether its keys are destroyed, or being destroyed: only its statement and signature stay."""
        found = (self.shreds.get(str(model)), self.shreds.get(model.family))
        return any(one is not None and one.confirmed for one in found)

    def owner_status(self, owner: str, now: datetime) -> OwnerStatus:
        """Whether ``owner``, as a version names them, is somebody here."""
        identity = self.identities.get(owner)
        if identity is None:
            return OwnerStatus.UNKNOWN
        if identity.revoked:
            return OwnerStatus.REVOKED
        at = self.moment(now)
        if at >= max(one.not_after for one in identity.credentials) + OWNER_GRACE:
            return OwnerStatus.EXPIRED
        held = [record for record in self.grants.values() if record.grant.principal == owner]
        ends = [min(one.grant.end, one.revoked_at or one.grant.end) for one in held]
        return OwnerStatus.WITHOUT_RIGHTS if ends and at >= max(ends) + OWNER_GRACE else OwnerStatus.ACTIVE

    def require_owner(self, resource: object, owner: str, now: datetime) -> None:
        """Raises DeniedError if ``owner`` is nobody any more: ``resource`` is an orphan."""
        status = self.owner_status(owner, now)
        if status.orphans:
            family = str(resource).partition("@")[0]
            raise DeniedError(
                f"{resource}: is an orphan, its owner {owner} is {status}",
                hint=f"an owner or admin names another: strongroom own {family} --to NAME",
            )

    def last_admin_end(self, now: datetime) -> datetime | None:
        """Return when the last admin grant on everything ends, after which nobody can grant any more."""
        ends = [
            grant.end
            for name in self.identities
            for grant in self.grants_of(name, now)
            if grant.role is Role.ADMIN and grant.resource == EVERYTHING
        ]
        return max(ends, default=None)

    def require_version(self, model: ModelId) -> VersionRecord:
        """Raises InvalidError if the log knows no such version."""
        version = self.versions.get(model)
        if version is None and model in self.unmanaged:
            raise InvalidError(
                f"{model}: is unmanaged: it is listed, and is not in the store",
                hint=f"strongroom publish FILE --as {model} --owner NAME",
            )
        if version is None:
            raise InvalidError(f"{model}: no such version", hint="see: strongroom list")
        return version

    def require_approved(self, model: ModelId, manifest: Digest, statement: Digest) -> tuple[Approval, ...]:
        """Return the approvals of exactly these digests.

        Raises:
            RejectedError: unknown, revoked, or published with other bytes.
            DeniedError: not approved yet, or retired.
        """
        version = self.versions.get(model)
        if version is None:
            raise RejectedError(f"{model}: the log knows no such version", hint="see: strongroom list")
        if version.state is State.REVOKED:
            raise RejectedError(f"{model}: is revoked")
        if (version.manifest, version.statement) != (manifest, statement):
            raise RejectedError(f"{model}: differs from what was published")
        if version.held is not None:
            raise RejectedError(
                f"{model}: is quarantined: {version.held.what}",
                hint="put it right, and it is let go: strongroom recover --backup PLACE",
            )
        if version.state is not State.APPROVED or not version.approvals:
            raise DeniedError(
                f"{model}: is {version.state}, not approved",
                hint=f"a second person runs: strongroom approve {model}",
            )
        return version.approvals
