"""What a backup is made of: its header, its keys, what it holds, and the signed word on each snapshot.

docs/formats/backup.md. Everything but the header and the snapshots' envelopes is sealed, so that who holds a
backup learns how large things are and no name. A snapshot is signed with the key that signs models.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError
from strongroom.trust.certificates import parse_trust_domain
from strongroom.trust.checkpoint import Head
from strongroom.trust.dsse import Envelope, sign_envelope, verify
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.signatures import MessageSigner
from strongroom.values import Digest, KeyUri, ModelId, SealedEntry, format_time, parse_time

SNAPSHOT_TYPE = "application/vnd.strongroom.snapshot.v1+json"
PIECES = ModelId.parse("backup@1.0.0")
"""Whom the pieces are sealed for; their key is the backup's own and of no model of that name."""
BACKUP_KEY = KeyUri("file:kek/0-backup")
"""The one key that a backup's secret is wrapped under. No family's name begins with a digit."""
MAX_HEADER_BYTES = 16 * 2**10
MAX_SNAPSHOT_BYTES = 2**20
MAX_INDEX_BYTES = 2**28
MAX_CHAIN = 4096
MAX_HOLDINGS = 1_000_000
MAX_SEQUENCE = 99_999_999
ID_BYTES = 8
SECRET_BYTES = 32
_FORMAT = "strongroom-backup/1"
_PURPOSE = b"strongroom/backup/1/"
_KIND_VERSION, _KIND_QUARANTINE = "version", "quarantine"
KINDS = frozenset({_KIND_VERSION, _KIND_QUARANTINE})

Chain = tuple[SealedEntry, ...]
"""Pieces whose contents, one after the other, are one thing."""


@dataclass(frozen=True, slots=True)
class BackupHeader:
    """Which home a backup is of, and its secret under a key-encryption key of that home."""

    id: str
    domain: str
    wrapped: bytes

    def to_bytes(self) -> bytes:
        wrapped = b64encode(self.wrapped).decode()
        value = {
            "format": _FORMAT,
            "id": self.id,
            "domain": self.domain,
            "key": BACKUP_KEY,
            "wrapped": wrapped,
        }
        return canonical.encode(value)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises RejectedError: it is no header of a backup.

        It names no other key than ours: whoever can write to a backup could else have its secret be one that
        they know, by a key of theirs in a custody that this home can reach.
        """
        try:
            match canonical.decode(data):
                case {
                    "format": "strongroom-backup/1",
                    "id": str(name),
                    "domain": str(domain),
                    "key": "file:kek/0-backup",
                    "wrapped": str(wrapped),
                    **rest,
                } if not rest and len(bytes.fromhex(name)) == ID_BYTES:
                    return cls(name, parse_trust_domain(domain), b64decode(wrapped, validate=True))
        except (InvalidError, ValueError):
            pass
        raise RejectedError("backup: its header is not one that we wrote")

    @property
    def context(self) -> bytes:
        """What the wrapped secret is bound to."""
        return canonical.encode({"backup": self.id, "domain": self.domain, "use": _FORMAT})


class BackupKeys:
    """The keys of one backup, derived from its secret (HMAC-SHA-256, one purpose each)."""

    __slots__ = ("_names", "_salts", "content")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise RejectedError("backup: its secret is not 32 bytes")
        self._names = hmac.digest(secret, _PURPOSE + b"names", "sha256")
        self._salts = hmac.digest(secret, _PURPOSE + b"salts", "sha256")
        self.content = hmac.digest(secret, _PURPOSE + b"content", "sha256")
        """Under which pieces are sealed."""

    def name_of(self, kind: str, identity: bytes) -> str:
        """Return the object name of what has this identity; it says nothing to who lacks the key."""
        name = hmac.digest(self._names, kind.encode() + b"\x00" + identity, "sha256").hex()
        return f"pieces/{name[:2]}/{name}"

    def salt_of(self, name: str, content: bytes) -> bytes:
        """Return the salt of a piece: another one for every content, so that no nonce is used twice."""
        return hmac.digest(self._salts, name.encode() + b"\x00" + sha256(content).digest(), "sha256")


@dataclass(frozen=True, slots=True)
class Holding:
    """One version, or one upload in quarantine."""

    kind: str
    name: str
    """``family@version``, or ticket."""
    model: ModelId
    digest: Digest
    """Of the seal statement or what took its place, or of the quarantine report."""
    key: str
    """Name of the wrapped data key in the store."""
    papers: Chain
    """The small files, in one."""
    objects: Chain
    """``object`` is the name in the store that it came from."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Something that is kept whole: a file of the home, records of the log, the wrapped keys of a family."""

    name: str
    chain: Chain


@dataclass(frozen=True, slots=True)
class Index:
    """All that one snapshot holds."""

    files: tuple[Bundle, ...]
    log: tuple[Bundle, ...]
    """Records in order; a name is the number of the first one."""
    keys: tuple[Bundle, ...]
    """Wrapped data keys by family."""
    holdings: tuple[Holding, ...]
    missing: tuple[tuple[str, str], ...]
    """What could not be kept, and why."""

    def to_bytes(self) -> bytes:
        return canonical.encode(
            {
                "files": [_bundle_to_json(each) for each in self.files],
                "holdings": [_holding_to_json(each) for each in self.holdings],
                "keys": [_bundle_to_json(each) for each in self.keys],
                "log": [_bundle_to_json(each) for each in self.log],
                "missing": [list(each) for each in self.missing],
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises RejectedError: a field is missing, unknown or out of bounds."""
        try:
            value = canonical.decode(data)
            index = cls(
                tuple(_parse_bundle(each) for each in value["files"]),
                tuple(_parse_bundle(each) for each in value["log"]),
                tuple(_parse_bundle(each) for each in value["keys"]),
                tuple(_parse_holding(each) for each in value["holdings"]),
                tuple((str(name), str(reason)) for name, reason in value["missing"]),
            )
            if index.to_bytes() == data and len(index.holdings) <= MAX_HOLDINGS:
                return index
        except (InvalidError, KeyError, TypeError, ValueError):
            pass
        raise RejectedError("backup: its index is not one that we wrote")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The signed word on one state of a home."""

    backup: str
    sequence: int
    """1 for the first of a backup."""
    previous: str
    """SHA-256 of the envelope before, hexadecimal; empty for the first."""
    taken_at: datetime
    head: Head
    """Of the log that it holds."""
    generation: int
    """Of the keystore when it was taken."""
    index: Chain
    objects: int
    size_bytes: int
    missing: int

    @property
    def name(self) -> str:
        return snapshot_name(self.sequence)

    def to_payload(self) -> bytes:
        return canonical.encode(
            {
                "backup": self.backup,
                "format": _FORMAT,
                "generation": self.generation,
                "head": {"root": self.head.root.hex(), "size": self.head.size},
                "index": [entry_to_json(each) for each in self.index],
                "missing": self.missing,
                "objects": self.objects,
                "previous": self.previous,
                "sequence": self.sequence,
                "size_bytes": self.size_bytes,
                "taken_at": format_time(self.taken_at),
            }
        )

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Raises RejectedError: a field is missing, unknown or out of bounds."""
        try:
            value = canonical.decode(payload)
            snapshot = cls(
                str(value["backup"]),
                _parse_count(value["sequence"]),
                str(value["previous"]),
                parse_time(value["taken_at"]),
                Head(_parse_count(value["head"]["size"]), bytes.fromhex(value["head"]["root"])),
                _parse_count(value["generation"]),
                _parse_chain(value["index"]),
                _parse_count(value["objects"]),
                _parse_count(value["size_bytes"]),
                _parse_count(value["missing"]),
            )
            if snapshot.to_payload() == payload and 1 <= snapshot.sequence <= MAX_SEQUENCE:
                return snapshot
        except (InvalidError, KeyError, TypeError, ValueError, AttributeError):
            pass
        raise RejectedError("backup: a snapshot is not one that we wrote")


def snapshot_name(sequence: int) -> str:
    return f"snapshots/{sequence:08d}.json"


def sign_snapshot(snapshot: Snapshot, signer: MessageSigner) -> bytes:
    """Return the envelope."""
    return sign_envelope(SNAPSHOT_TYPE, snapshot.to_payload(), signer).to_bytes()


def claimed_snapshot(envelope: bytes) -> Snapshot:
    """Return what an envelope says, signed or not: see `require_snapshot`."""
    return Snapshot.parse(Envelope.parse(envelope).payload)


def require_snapshot(envelope: bytes, history: KeyHistory) -> Snapshot:
    """Return the snapshot if a key that might sign when it was taken has signed it.

    Raises:
        RejectedError: it was not.
    """
    parsed = Envelope.parse(envelope)
    snapshot = Snapshot.parse(parsed.payload)
    verify(parsed, history.valid_keys(snapshot.taken_at), SNAPSHOT_TYPE)
    return snapshot


def papers_to_bytes(papers: dict[str, bytes]) -> bytes:
    """Several small objects of the store, by name, in one."""
    return canonical.encode({name: b64encode(data).decode() for name, data in papers.items()})


def parse_papers(data: bytes) -> dict[str, bytes]:
    """Raises RejectedError: not what `papers_to_bytes` writes."""
    try:
        return {str(name): b64decode(text, validate=True) for name, text in canonical.decode(data).items()}
    except (InvalidError, TypeError, ValueError, AttributeError):
        raise RejectedError("backup: small objects are not kept as we keep them") from None


def encode_records(records: Sequence[bytes]) -> bytes:
    """Records of the log: each with its length in four bytes, big-endian, before it."""
    return b"".join(len(each).to_bytes(4, "big") + each for each in records)


def parse_records(data: bytes) -> list[bytes]:
    """Raises RejectedError: the lengths do not add up."""
    found, at = [], 0
    while at + 4 <= len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            break
        found.append(data[at + 4 : end])
        at = end
    if at != len(data):
        raise RejectedError("backup: records of the log are cut")
    return found


def entry_to_json(entry: SealedEntry) -> dict[str, Any]:
    return {
        "commitment": entry.commitment.hex(),
        "object": entry.object,
        "path": entry.path,
        "root": entry.root.hex(),
        "sha256": entry.sha256.hex,
        "size_bytes": entry.size_bytes,
    }


def _parse_entry(value: Any) -> SealedEntry:
    match value:
        case {"path": str(path), "object": str(name), "size_bytes": size}:
            return SealedEntry(
                path,
                _parse_count(size),
                Digest(bytes.fromhex(value["sha256"])),
                name,
                bytes.fromhex(value["commitment"]),
                bytes.fromhex(value["root"]),
            )
    raise InvalidError("entry")


def _parse_count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise InvalidError("count")
    return value


def _parse_chain(value: Any) -> Chain:
    if not isinstance(value, list) or len(value) > MAX_CHAIN:
        raise InvalidError("chain")
    return tuple(_parse_entry(each) for each in value)


def _bundle_to_json(bundle: Bundle) -> dict[str, Any]:
    return {"chain": [entry_to_json(each) for each in bundle.chain], "name": bundle.name}


def _parse_bundle(value: Any) -> Bundle:
    return Bundle(str(value["name"]), _parse_chain(value["chain"]))


def _holding_to_json(holding: Holding) -> dict[str, Any]:
    return {
        "digest": str(holding.digest),
        "key": holding.key,
        "kind": holding.kind,
        "model": str(holding.model),
        "name": holding.name,
        "objects": [entry_to_json(each) for each in holding.objects],
        "papers": [entry_to_json(each) for each in holding.papers],
    }


def _parse_holding(value: Any) -> Holding:
    if value["kind"] not in KINDS:
        raise InvalidError("kind")
    return Holding(
        value["kind"],
        str(value["name"]),
        ModelId.parse(value["model"]),
        Digest.parse(value["digest"]),
        str(value["key"]),
        _parse_chain(value["papers"]),
        _parse_chain(value["objects"]),
    )
