"""Which keys may be believed, and when: the history of signing keys and the trust root of a home.

A signature is judged at the time when the log recorded it, never at the time its signer claims: a thief of a
revoked key can write any date into a statement, but not into the log.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.certificates import parse_trust_domain, require_ca
from strongroom.trust.signatures import Algorithm, PublicKey
from strongroom.values import format_time, parse_time

MAX_SIGNING_KEYS = 256
MAX_TRUST_ROOT_BYTES = 2**20
MAX_ORIGIN_CHARS = 128
_FORMAT = "strongroom-trust/1"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that may sign from ``not_before`` until the earlier of ``not_after`` and ``revoked_at``."""

    public: PublicKey
    not_before: datetime
    not_after: datetime | None = None
    revoked_at: datetime | None = None

    def require_valid(self, at: datetime) -> PublicKey:
        """Raises RejectedError if the key might not sign at ``at``, and says why."""
        name = f"signing key {self.public.key_id[:16]}"
        if at < self.not_before:
            raise RejectedError(f"{name}: was not valid before {format_time(self.not_before)}")
        if self.revoked_at is not None and at >= self.revoked_at:
            raise RejectedError(f"{name}: was revoked at {format_time(self.revoked_at)}")
        if self.not_after is not None and at >= self.not_after:
            raise RejectedError(f"{name}: was valid until {format_time(self.not_after)}")
        return self.public

    def to_value(self) -> dict[str, Any]:
        return {
            "algorithm": str(self.public.algorithm),
            "key_id": self.public.key_id,
            "not_after": _optional_text(self.not_after),
            "not_before": format_time(self.not_before),
            "public_pem": self.public.pem.decode(),
            "revoked_at": _optional_text(self.revoked_at),
        }

    @classmethod
    def parse(cls, value: object) -> Self:
        """Return the key that `to_value` describes so. Raises InvalidError."""
        match value:
            case {"public_pem": str(pem), "not_before": str(start), "not_after": end, "revoked_at": revoked}:
                key = cls(
                    PublicKey.from_pem(pem), parse_time(start), _optional_time(end), _optional_time(revoked)
                )
                if key.to_value() == value:
                    return key
        raise InvalidError("signing key: a field is unknown, missing or contradicts another")


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """Every signing key there has been, in the order in which they came."""

    keys: tuple[SigningKey, ...] = ()

    def __post_init__(self) -> None:
        if len(self.keys) > MAX_SIGNING_KEYS:
            raise InvalidError(f"signing keys: more than {MAX_SIGNING_KEYS}")
        if len({key.public.key_id for key in self.keys}) != len(self.keys):
            raise InvalidError("signing keys: a key stands there twice")

    def find(self, key_id: str) -> SigningKey | None:
        return next((key for key in self.keys if key.public.key_id == key_id), None)

    def require_valid(self, key_id: str, at: datetime) -> PublicKey:
        """Return the key if it might sign at ``at``.

        Raises:
            RejectedError: unknown, not yet valid, no longer valid, or revoked by then.
        """
        key = self.find(key_id)
        if key is None:
            raise RejectedError(f"signing key {shorten(key_id, 64)}: is not known here")
        return key.require_valid(at)

    def valid_keys(self, at: datetime) -> tuple[PublicKey, ...]:
        """Return every key that might sign at ``at``."""
        valid = []
        for key in self.keys:
            with suppress(RejectedError):
                valid.append(key.require_valid(at))
        return tuple(valid)

    def with_key(self, key: SigningKey) -> "KeyHistory":
        """Return the history with one more key. Raises InvalidError if it is known already."""
        return KeyHistory((*self.keys, key))

    def with_revoked(self, key_id: str, at: datetime) -> "KeyHistory":
        """Return the history with that key revoked from ``at`` on; an earlier revocation stays.

        Raises:
            InvalidError: there is no such key.
        """
        if self.find(key_id) is None:
            raise InvalidError(f"signing key {shorten(key_id, 64)}: is not known here")
        return KeyHistory(
            tuple(_revoke(key, at) if key.public.key_id == key_id else key for key in self.keys)
        )


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """All that a stranger needs to check what this home says; nothing in it is secret."""

    trust_domain: str
    ca_pem: bytes
    log_origin: str
    log_public_key: PublicKey
    signing_keys: KeyHistory

    def __post_init__(self) -> None:
        parse_trust_domain(self.trust_domain)
        require_ca(self.ca_pem)
        if not 1 <= len(self.log_origin) <= MAX_ORIGIN_CHARS or not self.log_origin.isprintable():
            raise InvalidError("trust root: log origin is out of bounds")
        if self.log_public_key.algorithm is not Algorithm.ED25519:
            raise InvalidError("trust root: the log's key must be ed25519")

    @property
    def log_public_pem(self) -> bytes:
        return self.log_public_key.pem

    def to_bytes(self) -> bytes:
        """Return trust.json (docs/formats/seal-statement.md)."""
        return canonical.encode(
            {
                "ca_pem": self.ca_pem.decode(),
                "format": _FORMAT,
                "log_origin": self.log_origin,
                "log_public_pem": self.log_public_key.pem.decode(),
                "signing_keys": [key.to_value() for key in self.signing_keys.keys],
                "trust_domain": self.trust_domain,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the trust root whose bytes are ``data``. Raises InvalidError."""
        value = canonical.decode(data) if len(data) <= MAX_TRUST_ROOT_BYTES else None
        match value:
            case {
                "ca_pem": str(ca_pem),
                "format": "strongroom-trust/1",
                "log_origin": str(origin),
                "log_public_pem": str(log_pem),
                "signing_keys": list(keys),
                "trust_domain": str(domain),
            }:
                history = KeyHistory(tuple(SigningKey.parse(key) for key in keys))
                root = cls(domain, ca_pem.encode(), origin, PublicKey.from_pem(log_pem), history)
                if root.to_bytes() == data:
                    return root
        raise InvalidError("trust root: a field is unknown, missing or not in its one spelling")


def _revoke(key: SigningKey, at: datetime) -> SigningKey:
    earliest = at if key.revoked_at is None else min(at, key.revoked_at)
    return SigningKey(key.public, key.not_before, key.not_after, earliest)


def _optional_text(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)


def _optional_time(text: object) -> datetime | None:
    match text:
        case None:
            return None
        case str():
            return parse_time(text)
        case _:
            raise InvalidError("signing key: a time is not a string")
