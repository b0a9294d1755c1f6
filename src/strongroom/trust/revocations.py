"""The revocation list: what must not be used any more, signed, numbered, and of no use once it is old.

The log decides what is revoked. The list says it to whoever cannot read the log, and tells whoever can that
their log was not rolled back and is not a copy that stands still (docs/formats/revocation-list.md).
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust import dsse
from strongroom.trust.signatures import MessageSigner, PublicKey
from strongroom.values import ModelId, Uptime, format_time, parse_family, parse_principal, parse_time

LIST_TYPE = "application/vnd.strongroom.revocations.v1+json"
"""DSSE payload type of the list."""
MIN_MAX_AGE_S = 10
MAX_MAX_AGE_S = 7 * 24 * 3600
MAX_LIST_BYTES = 8 * 2**20
MAX_ENTRIES = 50_000
"""Of each kind."""
_FORMAT = "strongroom-revocations/1"
_HEX = re.compile(r"[0-9a-f]{1,64}", re.ASCII)
_ROOT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_GRANT = re.compile(r"g-[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Issue:
    """The record that a list was issued; its number is the size of the log with that record."""

    number: int
    issued_at: datetime
    max_age_s: int

    def __post_init__(self) -> None:
        if not MIN_MAX_AGE_S <= self.max_age_s <= MAX_MAX_AGE_S:
            raise InvalidError(f"revocation list: max age is not {MIN_MAX_AGE_S} to {MAX_MAX_AGE_S} seconds")


@dataclass(frozen=True, slots=True)
class RevokedIdentity:
    """A person or service that is no more, with the serial numbers that may still look valid to others."""

    name: str
    serials: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RevokedKey:
    """A signing key whose signatures do not count from a time on."""

    key_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class RevocationList:
    """All that is revoked after ``log_size`` records of the log of that ``origin``."""

    origin: str
    issue: Issue
    log_size: int
    log_root: bytes
    models: frozenset[str] = frozenset()
    """Families, and versions as ``family@version``."""
    identities: tuple[RevokedIdentity, ...] = ()
    keys: tuple[RevokedKey, ...] = ()
    grants: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 1 <= self.issue.number <= self.log_size or len(self.log_root) != 32:
            raise InvalidError("revocation list: its number or the log it speaks of is out of bounds")
        counts = (len(self.models), len(self.identities), len(self.keys), len(self.grants))
        if max(counts) > MAX_ENTRIES:
            raise InvalidError(f"revocation list: more than {MAX_ENTRIES} entries of a kind")

    @property
    def sequence(self) -> tuple[int, int]:
        """What only grows from one list to the next."""
        return self.issue.number, self.log_size

    def names(self, model: ModelId) -> bool:
        """Whether the version, or its whole family, is revoked."""
        return str(model) in self.models or model.family in self.models

    def to_payload(self) -> bytes:
        return canonical.encode(
            {
                "format": _FORMAT,
                "origin": self.origin,
                "number": self.issue.number,
                "log": {"size": self.log_size, "root": self.log_root.hex()},
                "issued_at": format_time(self.issue.issued_at),
                "max_age_s": self.issue.max_age_s,
                "models": sorted(self.models),
                "identities": [{"name": one.name, "serials": list(one.serials)} for one in self.identities],
                "keys": [{"key_id": one.key_id, "since": format_time(one.since)} for one in self.keys],
                "grants": sorted(self.grants),
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the list whose canonical form is ``payload``. Raises InvalidError."""
        value = canonical.decode(payload)
        match value:
            case {
                "format": "strongroom-revocations/1",
                "origin": str(origin),
                "number": int(number),
                "log": {"size": int(size), "root": str(root)},
                "issued_at": str(issued_at),
                "max_age_s": int(max_age_s),
                "models": list(models),
                "identities": list(identities),
                "keys": list(keys),
                "grants": list(grants),
            } if _ROOT.fullmatch(root) and bool not in map(type, (number, size, max_age_s)):
                if max(map(len, (models, identities, keys, grants))) > MAX_ENTRIES:
                    raise InvalidError(f"revocation list: more than {MAX_ENTRIES} entries of a kind")
                parsed = cls(
                    origin,
                    Issue(number, parse_time(issued_at), max_age_s),
                    size,
                    bytes.fromhex(root),
                    frozenset(map(_parse_model, models)),
                    tuple(map(_parse_identity, identities)),
                    tuple(map(_parse_key, keys)),
                    frozenset(_parse_text(one, _GRANT) for one in grants),
                )
                if parsed.to_payload() == payload:
                    return parsed
        raise InvalidError("revocation list: a field is unknown, missing or not in its one spelling")


def sign_list(listed: RevocationList, signer: MessageSigner) -> bytes:
    """Return the envelope in which the log's key signs the list, as it is stored."""
    return dsse.sign_envelope(LIST_TYPE, listed.to_payload(), signer).to_bytes()


def require_list(envelope: bytes, log_key: PublicKey, origin: str) -> RevocationList:
    """Return the list if the log's key signed it, and it is of that log.

    Raises:
        RejectedError: forged, of another log, or not a revocation list.
    """
    if len(envelope) > MAX_LIST_BYTES:
        raise RejectedError(f"revocation list: larger than {MAX_LIST_BYTES} bytes")
    try:
        parsed = dsse.Envelope.parse(envelope)
        listed = RevocationList.parse(dsse.verify(parsed, [log_key], LIST_TYPE))
    except (InvalidError, RejectedError) as error:
        raise RejectedError(f"revocation list: does not hold ({error.message})") from None
    if listed.origin != origin:
        raise RejectedError(f"revocation list: is of another log, {shorten(listed.origin)}")
    return listed


@dataclass(frozen=True, slots=True)
class Sighting:
    """The newest list that this host has seen, and how old it is, whatever happens to the clock.

    Kept across restarts: a list before it is refused, and a clock behind what was seen is not believed.
    """

    number: int
    log_size: int
    log_root: bytes
    issued_at: datetime
    issued_at_ms: int
    """Uptime at which it was issued, as far as was known when it was first seen; may be negative."""
    latest: datetime
    """The latest time that this host has known."""
    uptime: Uptime
    """When that was."""
    max_age_s: int = field(default=MIN_MAX_AGE_S)

    @classmethod
    def of(cls, listed: RevocationList, now: datetime, uptime: Uptime) -> Self:
        age = max(now - listed.issue.issued_at, timedelta())
        return cls(
            *listed.sequence,
            listed.log_root,
            listed.issue.issued_at,
            uptime.elapsed_ms - age // timedelta(milliseconds=1),
            now,
            uptime,
            listed.issue.max_age_s,
        )

    def now(self, clock: datetime, uptime: Uptime) -> datetime:
        """Return the later of the clock and what was known before; uptime moves that on within one boot."""
        passed_ms = uptime.elapsed_ms - self.uptime.elapsed_ms if uptime.boot == self.uptime.boot else 0
        return max(clock, self.latest + timedelta(milliseconds=max(passed_ms, 0)))

    def moved_on(self, clock: datetime, uptime: Uptime) -> Self:
        """Return this sighting, still as old, as this host knows it now. Another boot may make it too old."""
        aged = self.age_s(clock, uptime)
        elapsed_ms = uptime.elapsed_ms - int(min(aged, 10 * MAX_MAX_AGE_S) * 1000)
        return replace(self, issued_at_ms=elapsed_ms, latest=self.now(clock, uptime), uptime=uptime)

    def age_s(self, clock: datetime, uptime: Uptime) -> float:
        """Return how old the list is at least; infinite where nobody can tell.

        Within a boot the longer of what the clock and the uptime say. After another boot only the clock can
        tell, and not if it is behind a time that was seen before.
        """
        by_clock = (clock - self.issued_at).total_seconds()
        if uptime.boot == self.uptime.boot:
            return max(by_clock, (uptime.elapsed_ms - self.issued_at_ms) / 1000)
        return by_clock if clock >= self.latest else float("inf")

    def require_not_older(self, listed: RevocationList) -> None:
        """Raises RejectedError if ``listed`` is an older list than this host has seen."""
        if listed.sequence < (self.number, self.log_size):
            raise RejectedError(
                f"revocation list: is number {listed.issue.number} of {listed.log_size} records; "
                f"this host has seen number {self.number} of {self.log_size}",
                hint="somebody put an old one back; find out who",
            )

    def to_bytes(self) -> bytes:
        return canonical.encode(
            {
                "boot": self.uptime.boot,
                "elapsed_ms": self.uptime.elapsed_ms,
                "issued_at": format_time(self.issued_at),
                "issued_at_ms": self.issued_at_ms,
                "latest": format_time(self.latest),
                "log_root": self.log_root.hex(),
                "log_size": self.log_size,
                "max_age_s": self.max_age_s,
                "number": self.number,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the sighting whose canonical form is ``data``. Raises InvalidError."""
        value = canonical.decode(data)
        match value:
            case {
                "boot": str(boot),
                "elapsed_ms": int(elapsed_ms),
                "issued_at": str(issued_at),
                "issued_at_ms": int(issued_at_ms),
                "latest": str(latest),
                "log_root": str(root),
                "log_size": int(log_size),
                "max_age_s": int(max_age_s),
                "number": int(number),
            } if len(value) == 9 and _ROOT.fullmatch(root):
                return cls(
                    number,
                    log_size,
                    bytes.fromhex(root),
                    parse_time(issued_at),
                    issued_at_ms,
                    parse_time(latest),
                    Uptime(boot, elapsed_ms),
                    max_age_s,
                )
        raise InvalidError("revocation mark: a field is unknown or missing")


def _parse_model(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidError("revocation list: a model is not text")
    return str(ModelId.parse(value)) if "@" in value else parse_family(value)


def _parse_identity(value: Any) -> RevokedIdentity:
    match value:
        case {"name": str(name), "serials": list(serials)} if len(serials) <= MAX_ENTRIES:
            return RevokedIdentity(parse_principal(name), tuple(_parse_text(one, _HEX) for one in serials))
    raise InvalidError("revocation list: an identity has a field missing")


def _parse_key(value: Any) -> RevokedKey:
    match value:
        case {"key_id": str(key_id), "since": str(since)}:
            return RevokedKey(_parse_text(key_id, _HEX), parse_time(since))
    raise InvalidError("revocation list: a key has a field missing")


def _parse_text(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or form.fullmatch(value) is None:
        raise InvalidError("revocation list: an entry is not spelled as it must be")
    return value
