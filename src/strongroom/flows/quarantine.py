"""Quarantine: an upload that was refused or doubted is kept sealed, with its signed report, for a reviewer.

Nothing in quarantine is a version: it cannot be approved, released or served, and its name stays free.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom import canonical
from strongroom.artifact.manifest import Entry, Manifest
from strongroom.artifact.protobuf import ReadAt
from strongroom.errors import InvalidError, RejectedError, StrongroomError, shorten
from strongroom.flows import layout
from strongroom.flows.entries import entry_from_json, entry_to_json
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.unsealing import opened, readable, unwrap_data_key
from strongroom.flows.vault import (
    Vault,
    bind_family_key,
    build_event,
    judge,
    moment,
    read_authority,
    record,
    require_permission,
    signing_signer,
)
from strongroom.ports import SourceFile
from strongroom.scan.report_json import report_to_json
from strongroom.scan.upload import Report
from strongroom.trust import dsse
from strongroom.trust.provenance import Provenance
from strongroom.trust.standing import QuarantineRecord
from strongroom.values import Action, Digest, ModelId, SealedEntry

REPORT_TYPE = "application/vnd.strongroom.quarantine.v1+json"
"""DSSE payload type of a stored report."""
_FORMAT = "strongroom-quarantine/1"
_COPY_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Refused:
    """An upload as it was handed over and judged."""

    model: ModelId
    owner: str
    publisher: str
    sealed: tuple[SealedEntry, ...]
    report: Report
    rule: str
    """Of the decision that let it be handed over."""
    provenance: Provenance | None = None

    @property
    def manifest(self) -> Digest:
        return Manifest(tuple(Entry(one.path, one.size_bytes, one.sha256) for one in self.sealed)).digest

    @property
    def ticket(self) -> str:
        """The same bytes under the same name have the same ticket."""
        return Digest.of(canonical.encode({"manifest": str(self.manifest), "model": str(self.model)})).hex[
            :16
        ]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in quarantine under a ticket."""

    record: QuarantineRecord
    owner: str
    entries: tuple[SealedEntry, ...]
    report: dict[str, Any]
    """As `scan.report_json.report_to_json` made it, when it was judged."""
    provenance: Provenance | None = None


def keep(vault: Vault, refused: Refused, data_key: bytes) -> str:
    """Move a refused upload's objects into quarantine; returns its ticket. Durable and recorded on return.

    What is there already under this ticket stays as it is.
    """
    ticket = refused.ticket
    authority = read_authority(vault)
    if ticket in authority.quarantined:
        return ticket
    try:
        envelope = _store(vault, refused, ticket, data_key)
    except StrongroomError:
        with suppress(StrongroomError):
            _sweep(vault, refused.model, ticket)
        raise
    # From here on nothing is swept: an append that seemed to fail may have been kept.
    record(
        vault,
        build_event(
            vault,
            moment(vault, authority),
            refused.publisher,
            "quarantine",
            str(refused.model),
            rule=refused.rule,
            ticket=ticket,
            model=str(refused.model),
            manifest=str(refused.manifest),
            report=str(Digest.of(envelope)),
        ),
    )
    return ticket


def _store(vault: Vault, refused: Refused, ticket: str, data_key: bytes) -> bytes:
    """Write objects, wrapped key and signed report; returns the report's envelope."""
    _sweep(vault, refused.model, ticket)
    entries = tuple(_copy(vault, refused.model, ticket, entry) for entry in refused.sealed)
    payload = canonical.encode(
        {
            "format": _FORMAT,
            "ticket": ticket,
            "model": str(refused.model),
            "owner": refused.owner,
            "publisher": refused.publisher,
            "manifest": str(refused.manifest),
            "entries": [entry_to_json(entry) for entry in entries],
            "report": report_to_json(refused.report),
            **({} if refused.provenance is None else {"provenance": refused.provenance.to_json()}),
        }
    )
    signer = signing_signer(vault, read_authority(vault))
    envelope = dsse.sign_envelope(REPORT_TYPE, payload, signer).to_bytes()
    keys = vault.require_keys()
    key = bind_family_key(vault, refused.publisher, refused.model.family, refused.rule)
    keys.create(key)
    wrapped = WrappedKey(key, keys.wrap(key, data_key, data_key_context(refused.model, refused.manifest)))
    vault.blobs.put_new(layout.quarantine_report_name(refused.model, ticket), envelope)
    vault.blobs.replace(layout.quarantine_key_name(refused.model, ticket), wrapped.to_bytes())
    return envelope


def list_quarantined(vault: Vault, actor: str) -> list[QuarantineRecord]:
    """Return what ``actor`` may read of what is kept, oldest first; their own uploads always."""
    authority = read_authority(vault)
    if actor not in authority.identities:
        raise InvalidError(f"{actor}: no such identity", hint="see: strongroom identity list")
    now = moment(vault, authority)
    return [
        kept
        for kept in authority.quarantined.values()
        if kept.publisher == actor or judge(authority, actor, Action.READ, str(kept.model), now).allowed
    ]


def show_quarantined(vault: Vault, actor: str, ticket: str) -> Kept:
    """Return what is kept under ``ticket`` with its verified report.

    Raises:
        DeniedError: the actor may not read it, or nothing is there; both look the same to them.
        RejectedError: the stored report is not the one that was recorded.
    """
    authority = read_authority(vault)
    kept = authority.quarantined.get(ticket)
    if kept is None or kept.publisher != actor:
        require_permission(vault, authority, actor, Action.READ, str(kept.model) if kept else "*")
    if kept is None:
        raise InvalidError(f"{shorten(ticket)}: no such ticket", hint="see: strongroom scan list")
    return read_kept(vault, kept)


def read_kept(vault: Vault, kept: QuarantineRecord) -> Kept:
    name = layout.quarantine_report_name(kept.model, kept.ticket)
    data = vault.blobs.read(name, layout.MAX_STATEMENT_BYTES)
    if Digest.of(data) != kept.report:
        raise RejectedError(f"quarantine {kept.ticket}: its report is not the one that was recorded")
    # Its digest stands in the log, so the signature is for those who have the file without the log.
    value = canonical.decode(dsse.Envelope.parse(data).payload)
    entries = tuple(entry_from_json(each) for each in value["entries"])
    origin = Provenance.from_json(value["provenance"]) if "provenance" in value else None
    return Kept(kept, value["owner"], entries, value["report"], origin)


@contextmanager
def quarantined_source(vault: Vault, kept: Kept) -> Iterator["QuarantinedSource"]:
    """The plaintext of what is kept, to be handed over again as it was; closed afterwards."""
    model = kept.record.model
    name = layout.quarantine_key_name(model, kept.record.ticket)
    data_key = unwrap_data_key(vault, model, kept.record.manifest, name)
    with readable(vault, model, kept.entries, data_key) as sources:
        yield QuarantinedSource(
            [QuarantinedFile(path, size_bytes, read_at) for path, (read_at, size_bytes) in sources.items()]
        )


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """`SourceFile` over a sealed object; each chunk is authenticated as it is read."""

    path: str
    size: int
    read_at: ReadAt

    def read_into(self, offset: int, buffer: memoryview) -> int:
        data = self.read_at(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def require_unchanged(self) -> None:
        """A sealed object cannot change unnoticed, and its manifest is compared after sealing."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class QuarantinedSource:
    """`ModelSource` over what is kept."""

    files: Sequence[SourceFile] = field(default_factory=tuple)

    def close(self) -> None: ...


def _sweep(vault: Vault, model: ModelId, ticket: str) -> None:
    for name in list(vault.blobs.list(layout.quarantine_prefix(model, ticket))):
        vault.blobs.delete(name)


def _copy(vault: Vault, model: ModelId, ticket: str, entry: SealedEntry) -> SealedEntry:
    """Copy the ciphertext: its header names model and path, not where it stands."""
    target = f"{layout.quarantine_prefix(model, ticket)}/{entry.object.rpartition('/')[2]}"
    with opened(vault, entry) as blob:
        writer = vault.blobs.create(target, blob.size)
        try:
            buffer = memoryview(bytearray(_COPY_BYTES))
            offset = 0
            while count := blob.read_into(offset, buffer):
                writer.write_at(offset, buffer[:count])
                offset += count
            writer.commit()
        finally:
            writer.discard()
    return replace(entry, object=target)
