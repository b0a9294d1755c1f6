"""The words that every room shares: digests, model ids, principals, roles, actions, findings.

Each parses from exactly one spelling and refuses every other, so that a value in hand is a checked one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import total_ordering
from hashlib import sha256
from typing import NewType, Self

from strongroom.errors import InvalidError, shorten

MAX_VERSION_CHARS = 64
MAX_REASON_CHARS = 500

KeyUri = NewType("KeyUri", str)
"""Names a key at a provider: ``scheme:rest``, for instance ``file:kek/fraud``."""

MAX_KEY_URI_CHARS = 512
_KEY_URI = re.compile(r"[a-z][a-z0-9]{1,15}:[!-~]{1,480}", re.ASCII)

_TIME_CHARS = len("2026-01-31T12:00:00.000000Z")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_FAMILY = re.compile(r"[a-z][a-z0-9-]{1,62}", re.ASCII)
_PRINCIPAL = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
# semver.org 2.0.0, the regular expression of its FAQ, without build metadata (it does not order, so two
# versions that differ only there would be one).
_VERSION = re.compile(
    r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
    r"(?:-((?:0|[1-9][0-9]{0,8}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9][0-9]{0,8}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?",
    re.ASCII,
)
_FORMULA_STARTS = "=+-@|%\uff1d\uff0b\uff0d\uff20\u2212"
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


def parse_key_uri(text: str) -> KeyUri:
    """Raises InvalidError: not a scheme, a colon and printable ASCII without spaces."""
    if len(text) > MAX_KEY_URI_CHARS or _KEY_URI.fullmatch(text) is None:
        raise InvalidError(f"key: {shorten(text)} is no key URI", hint="for instance file:kek/fraud")
    return KeyUri(text)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest; its text form is ``sha256:`` and 64 lower-case hexadecimal digits."""

    value: bytes

    def __post_init__(self) -> None:
        if len(self.value) != 32:
            raise InvalidError("digest: not 32 bytes")

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls(sha256(data).digest())

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise InvalidError(f"digest: {shorten(text)} is not sha256:<64 hex digits>")
        return cls(bytes.fromhex(match[1]))

    @property
    def hex(self) -> str:
        return self.value.hex()

    def __str__(self) -> str:
        return f"sha256:{self.value.hex()}"


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A strict semantic version; ``1.2.0 < 1.10.0``, ``1.0.0-rc.1 < 1.0.0``."""

    major: int
    minor: int
    patch: int
    pre: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _VERSION.fullmatch(text) if len(text) <= MAX_VERSION_CHARS else None
        if match is None:
            raise InvalidError(
                f"version: {shorten(text)} is not a semantic version",
                hint="write MAJOR.MINOR.PATCH, for instance 1.0.0 or 1.1.0-rc.1",
            )
        return cls(int(match[1]), int(match[2]), int(match[3]), match[4] or "")

    def __str__(self) -> str:
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{self.pre}" if self.pre else core

    def __lt__(self, other: "Version") -> bool:
        return self._precedence() < other._precedence()

    def _precedence(self) -> tuple[object, ...]:
        """Precedence of semver 2.0.0 section 11: numbers before words, a release after its pre-releases."""
        parts = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre.split(".") if part
        )
        return (self.major, self.minor, self.patch, not self.pre, parts)


def is_family(text: str) -> bool:
    """Whether ``text`` could name a model family."""
    return _FAMILY.fullmatch(text) is not None


def parse_family(text: str) -> str:
    """Return ``text`` if it names a model family."""
    if _FAMILY.fullmatch(text) is None:
        raise InvalidError(
            f"family: {shorten(text)} is not a family name",
            hint="2 to 63 of a-z, 0-9 and '-', a letter first",
        )
    return text


def parse_principal(text: str) -> str:
    """Return ``text`` if it names a person, team or service."""
    if _PRINCIPAL.fullmatch(text) is None:
        raise InvalidError(
            f"principal: {shorten(text)} is not a principal name",
            hint="1 to 63 of a-z, 0-9 and '-', a letter first",
        )
    return text


@total_ordering
@dataclass(frozen=True, slots=True)
class ModelId:
    """One version of one family: ``fraud@1.2.0``."""

    family: str
    version: Version

    @classmethod
    def parse(cls, text: str) -> Self:
        family, at, version = text.partition("@")
        if not at:
            raise InvalidError(
                f"model: {shorten(text)} has no version",
                hint="write family@version, for instance fraud@1.0.0",
            )
        return cls(parse_family(family), Version.parse(version))

    def __str__(self) -> str:
        return f"{self.family}@{self.version}"

    def __lt__(self, other: "ModelId") -> bool:
        return (self.family, self.version) < (other.family, other.version)


def format_time(at: datetime) -> str:
    """Return the one spelling of an aware time in what is signed: UTC with six decimals of a second."""
    if at.tzinfo is None:
        raise InvalidError("time: has no time zone")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(_TIME_CHARS, "0")


def parse_time(text: str) -> datetime:
    """Return the aware UTC time that `format_time` writes as ``text``; every other spelling is refused."""
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        at = None
    if at is None or format_time(at) != text:
        raise InvalidError(f"time: {shorten(text)} is not YYYY-MM-DDThh:mm:ss.ffffffZ")
    return at


def inert_cell(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula: led by ``'`` where it could be one.

    Full-width signs count too, since some programs read them as the plain ones, and so do blanks before them.
    What is inert already, and a plain number, stays as it is. See OWASP, CSV Injection.
    """
    start = text.lstrip()[:1]
    if not start or start not in _FORMULA_STARTS or text == "-" or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


class Role(StrEnum):
    """What a grant lets a principal be; the policies say what each may do."""

    OWNER = "owner"
    DEPLOYER = "deployer"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    CONSUMER = "consumer"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be asked of Strongroom; each decision is about one of these."""

    LIST = "list"
    READ = "read"
    PUBLISH = "publish"
    APPROVE = "approve"
    OWN = "own"
    REGISTER = "register"
    WAIVE = "waive"
    RESCAN = "rescan"
    RETIRE = "retire"
    REVOKE = "revoke"
    REQUEST_SHRED = "request-shred"
    SHRED = "shred"
    DELETE = "delete"
    VERIFY = "verify"
    SERVE = "serve"
    PREDICT = "predict"
    METADATA = "metadata"
    ADD_IDENTITY = "add-identity"
    RENEW_IDENTITY = "renew-identity"
    REVOKE_IDENTITY = "revoke-identity"
    REVOKE_KEY = "revoke-key"
    EXPORT_IDENTITY = "export-identity"
    GRANT = "grant"
    REVOKE_GRANT = "revoke-grant"
    ROTATE_KEY = "rotate-key"
    READ_LOG = "read-log"
    BACKUP = "backup"
    RESTORE = "restore"
    RECOVER = "recover"
    CONFIGURE = "configure"


class State(StrEnum):
    """Where a version stands. Serving is not a state of the version but of a machine."""

    QUARANTINED = "quarantined"
    PUBLISHED = "published"
    APPROVED = "approved"
    RETIRED = "retired"
    REVOKED = "revoked"


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong that a check saw."""

    rule: str
    severity: Severity
    where: str
    message: str
    fix: str = ""


def require_reason(text: str) -> str:
    """Return ``text`` if it can stand as a reason in the log: 1 to 500 printable characters."""
    if not 1 <= len(text) <= MAX_REASON_CHARS or not text.isprintable():
        raise InvalidError("reason: must be 1 to 500 printable characters")
    return text


@dataclass(frozen=True, slots=True)
class Uptime:
    """Time that passes whatever the clock says, also while the machine sleeps; it begins with each boot."""

    boot: str
    """Another one after each start of the machine."""
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """One file of a model and its sealed object, as the signed seal statement binds them."""

    path: str
    size_bytes: int
    sha256: Digest
    object: str
    """Blob name of the sealed object."""
    commitment: bytes
    """32 bytes: the header's key commitment."""
    root: bytes
    """32 bytes: BLAKE3 over the header and the hashes of all ciphertext chunks (docs/formats/sealed-1.md)."""
