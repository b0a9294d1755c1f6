"""The seal statement: what was published, signed (docs/formats/seal-statement.md).

An in-toto Statement v1 in a DSSE envelope. Parsing rebuilds the statement and compares it with the signed
bytes, so there is one spelling and no room for a field that a reader does not know.
"""

import itertools
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from strongroom import canonical
from strongroom.errors import InvalidError, RejectedError, shorten
from strongroom.trust.dsse import MAX_PAYLOAD_BYTES, Envelope, sign_envelope, verify
from strongroom.trust.keyring import KeyHistory
from strongroom.trust.provenance import Provenance
from strongroom.trust.signatures import MessageSigner
from strongroom.values import Digest, ModelId, SealedEntry, format_time, parse_principal, parse_time

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:strongroom:seal:v1"
MAX_ENTRIES = 4096
MAX_PATH_BYTES = 1024
MAX_ENTRY_BYTES = 2**40
MAX_CONTEXT_CHARS = 1024
MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far the publisher's clock may be ahead of the log's."""
_FORMAT = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_GENERATION = re.compile(r"/r[1-9][0-9]{0,6}(?=/)", re.ASCII)
"""Folder of the objects of a version that was encrypted anew; see `trust.reseal`."""
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SealStatement:
    """One published version as its signature binds it; the key-encryption key is not named, as it rotates."""

    model: str
    owner: str
    publisher: str
    format: str
    main: str
    """Path of the entry that an engine opens."""
    schema: dict[str, Any] | None
    entries: tuple[SealedEntry, ...]
    manifest_digest: Digest
    dek_context: str
    """What the data key's wrapping is bound to."""
    oms_digest: Digest
    """SHA-256 of the OMS bundle beside the statement."""
    inspection: dict[str, Any]
    dependencies: dict[str, Any]
    created_at: datetime
    provenance: Provenance | None = None
    """None: handed over from a file or folder; then the payload has no such field."""

    def __post_init__(self) -> None:
        model = ModelId.parse(self.model)
        parse_principal(self.owner)
        parse_principal(self.publisher)
        if _FORMAT.fullmatch(self.format) is None:
            raise InvalidError(f"statement: {shorten(self.format)} is not a format name")
        if not 1 <= len(self.dek_context) <= MAX_CONTEXT_CHARS or not self.dek_context.isascii():
            raise InvalidError("statement: data key context is out of bounds")
        _require_entries(model, self.entries)
        if self.main not in {entry.path for entry in self.entries}:
            raise InvalidError("statement: main entry is not among the entries")

    def to_payload(self) -> bytes:
        """Return the canonical bytes that are signed.

        Raises:
            InvalidError: schema, inspection or dependencies have no canonical form, or are too large.
        """
        payload = canonical.encode(
            {
                "_type": STATEMENT_TYPE,
                "predicate": {
                    "created_at": format_time(self.created_at),
                    "dek_context": self.dek_context,
                    "dependencies": self.dependencies,
                    "entries": [_entry_value(entry) for entry in self.entries],
                    "format": self.format,
                    "inspection": self.inspection,
                    "main": self.main,
                    "manifest": str(self.manifest_digest),
                    "model": self.model,
                    "oms": str(self.oms_digest),
                    "owner": self.owner,
                    "publisher": self.publisher,
                    "schema": self.schema,
                    **({} if self.provenance is None else {"provenance": self.provenance.to_json()}),
                },
                "predicateType": PREDICATE_TYPE,
                "subject": [
                    {"digest": {"sha256": entry.sha256.hex}, "name": entry.path} for entry in self.entries
                ],
            }
        )
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidError(f"statement: larger than {MAX_PAYLOAD_BYTES} bytes")
        return payload

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the statement whose canonical bytes are ``payload``.

        Raises:
            RejectedError: any other spelling, an unknown, missing or contradicting field.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise RejectedError(f"statement: larger than {MAX_PAYLOAD_BYTES} bytes")
        try:
            statement = cls._build(canonical.decode(payload))
            same = statement.to_payload() == payload
        except InvalidError as error:
            raise RejectedError(f"statement: {error.message}") from None
        if not same or _GENERATION.search(statement.entries[0].object):
            raise RejectedError("statement: a field is unknown or contradicts another")
        return statement

    @classmethod
    def _build(cls, value: object) -> Self:
        match value:
            case {
                "subject": list(subjects),
                "predicate": {
                    "created_at": str(created_at),
                    "dek_context": str(context),
                    "dependencies": dict(dependencies),
                    "entries": list(entries),
                    "format": str(format_name),
                    "inspection": dict(inspection),
                    "main": str(main),
                    "manifest": str(manifest),
                    "model": str(model),
                    "oms": str(oms),
                    "owner": str(owner),
                    "publisher": str(publisher),
                    "schema": None | dict() as schema,
                } as predicate,
            } if len(subjects) == len(entries) <= MAX_ENTRIES:
                return cls(
                    model=model,
                    owner=owner,
                    publisher=publisher,
                    format=format_name,
                    main=main,
                    schema=schema,
                    entries=tuple(_parse_entry(*pair) for pair in zip(subjects, entries, strict=True)),
                    manifest_digest=Digest.parse(manifest),
                    dek_context=context,
                    oms_digest=Digest.parse(oms),
                    inspection=inspection,
                    dependencies=dependencies,
                    created_at=parse_time(created_at),
                    provenance=Provenance.from_json(predicate["provenance"])
                    if "provenance" in predicate
                    else None,
                )
            case _:
                raise InvalidError("a field is missing or of another kind")


def sign_statement(statement: SealStatement, signer: MessageSigner) -> bytes:
    """Return the envelope's bytes, as they are stored beside the objects."""
    return sign_envelope(PAYLOAD_TYPE, statement.to_payload(), signer).to_bytes()


def require_statement(
    envelope: bytes, keys: KeyHistory, at: datetime, *, model: ModelId | None = None
) -> SealStatement:
    """Return the statement if keys that were valid ``at`` the time the log recorded it have signed it.

    ``at`` is the time of the publish event, not the statement's own. ``model``: what was asked for.

    Raises:
        RejectedError: forged, of another model, signed by an unknown, early, expired or revoked key, or not
            a seal statement.
    """
    parsed = Envelope.parse(envelope)
    signers = [keys.require_valid(signature.key_id, at) for signature in parsed.signatures]
    statement = SealStatement.parse(verify(parsed, signers, PAYLOAD_TYPE))
    if model is not None and statement.model != str(model):
        raise RejectedError(f"{model}: statement is for {statement.model}")
    if statement.created_at > at + MAX_CLOCK_SKEW:
        raise RejectedError(f"{statement.model}: statement is dated after its record in the log")
    return statement


def _entry_value(entry: SealedEntry) -> dict[str, Any]:
    return {
        "commitment": entry.commitment.hex(),
        "object": entry.object,
        "path": entry.path,
        "root": entry.root.hex(),
        "sha256": str(entry.sha256),
        "size": entry.size_bytes,
    }


def _parse_entry(subject: object, value: object) -> SealedEntry:
    """The subject repeats path and digest for in-toto readers; the rebuilt bytes must match both."""
    match subject, value:
        case (
            {"name": str()},
            {
                "commitment": str(commitment),
                "object": str(object_name),
                "path": str(path),
                "root": str(root),
                "sha256": str(digest),
                "size": int(size),
            },
        ) if not isinstance(size, bool):
            return SealedEntry(
                path, size, Digest.parse(digest), object_name, parse_hash(commitment), parse_hash(root)
            )
        case _:
            raise InvalidError("an entry has a field missing or of another kind")


def parse_hash(text: str) -> bytes:
    """Return the 32 bytes that ``text`` spells. Raises InvalidError."""
    if _HASH.fullmatch(text) is None:
        raise InvalidError("a hash is not 64 hexadecimal digits")
    return bytes.fromhex(text)


def _require_entries(model: ModelId, entries: tuple[SealedEntry, ...]) -> None:
    if not 1 <= len(entries) <= MAX_ENTRIES:
        raise InvalidError(f"statement: must have 1 to {MAX_ENTRIES} entries")
    # The names of docs/formats/seal-statement.md: an object of another version can never be named here.
    prefix = f"{model.family}/{model.version}"
    if later := _GENERATION.search(entries[0].object):
        prefix += later[0]
    for index, entry in enumerate(entries):
        if entry.object != f"{prefix}/{index}.sealed":
            raise InvalidError(f"statement: object {shorten(entry.object)} is not number {index} of {model}")
        if (
            not 0 <= entry.size_bytes <= MAX_ENTRY_BYTES
            or len(entry.commitment) != 32
            or len(entry.root) != 32
        ):
            raise InvalidError(f"statement: entry {shorten(entry.path)} is out of bounds")
    paths = [_path_bytes(entry.path) for entry in entries]
    if any(first >= second for first, second in itertools.pairwise(paths)):
        raise InvalidError("statement: entries are not in the order of their paths, or one is there twice")


def _path_bytes(path: str) -> bytes:
    """The file layer judges what a path may be (artifact.manifest); here it only must be a bounded text."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        encoded = b""
    if not 1 <= len(encoded) <= MAX_PATH_BYTES:
        raise InvalidError(f"statement: path {shorten(path)} is out of bounds")
    return encoded
