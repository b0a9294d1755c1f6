"""What the store must hold for one version or one upload in quarantine, and what is wrong with it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from strongroom.artifact.sealed import object_size
from strongroom.artifact.stream import verify_root
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.quarantine import read_kept
from strongroom.flows.statement import require_statement_of
from strongroom.flows.unsealing import Progress, unwrap_data_key
from strongroom.flows.vault import Vault
from strongroom.ports import BlobStat
from strongroom.trust.authority import Authority
from strongroom.trust.standing import QuarantineRecord, VersionRecord
from strongroom.values import Digest, ModelId, SealedEntry


class Fault(NamedTuple):
    """One thing that is not as it was signed."""

    object: str
    what: str


@dataclass(frozen=True, slots=True)
class Papers:
    """What the small signed files say, once they were found to be the ones that were recorded."""

    entries: tuple[SealedEntry, ...]
    manifest: Digest
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A version, or an upload in quarantine, as the log has it."""

    model: ModelId
    record: VersionRecord | QuarantineRecord
    prefix: str
    key: str
    small: tuple[str, ...]
    """Names of the signed files that say what the rest must be."""

    @classmethod
    def of_version(cls, known: VersionRecord) -> Self:
        model, generation = known.model, known.generation
        small = [layout.statement_name(model), layout.signature_name(model)]
        if generation:
            small.append(layout.seal_name(model, generation))
        key = layout.wrapped_key_name(model, generation)
        return cls(model, known, layout.prefix(model), key, tuple(small))

    @classmethod
    def of_upload(cls, kept: QuarantineRecord) -> Self:
        prefix = layout.quarantine_prefix(kept.model, kept.ticket)
        small = (layout.quarantine_report_name(kept.model, kept.ticket),)
        return cls(kept.model, kept, prefix, layout.quarantine_key_name(kept.model, kept.ticket), small)

    def is_same(self, other: "Subject") -> bool:
        """Whether both are the same thing, in the same ciphertext."""
        return (self.prefix, self.small, self.key) == (other.prefix, other.small, other.key)

    def is_as_recorded(self, vault: Vault) -> bool:
        """Whether the small files are byte for byte those of the log.

        Then what they are refused for is not the store's doing: a signing key that was revoked, for one.
        """
        known = self.record
        if isinstance(known, QuarantineRecord):
            wanted: list[Digest | None] = [known.report]
        else:
            wanted = [known.statement, None, known.seal]
        try:
            return all(
                Digest.of(vault.blobs.read(name, layout.MAX_STATEMENT_BYTES)) == digest or digest is None
                for name, digest in zip(self.small, wanted, strict=False)
            )
        except RejectedError:
            return False

    @property
    def name(self) -> str:
        if isinstance(self.record, VersionRecord):
            return str(self.model)
        return f"quarantine {self.record.ticket}"

    def read_papers(self, vault: Vault, authority: Authority) -> Papers:
        """Read and check the small files.

        Raises:
            RejectedError: the one that decides all else is not as it was recorded.
        """
        if isinstance(self.record, QuarantineRecord):
            entries = read_kept(vault, self.record).entries
            return Papers(entries, self.record.manifest, ())
        statement = require_statement_of(vault, authority, self.model)
        name = layout.signature_name(self.model)
        signature = vault.blobs.read(name, layout.MAX_SIGNATURE_BYTES)
        faults = []
        if Digest.of(signature) != statement.oms_digest:
            faults.append(Fault(name, "is another signature than the one that was published"))
        return Papers(statement.entries, statement.manifest_digest, tuple(faults))

    def compare_names(self, papers: Papers, found: Mapping[str, BlobStat]) -> Iterator[Fault]:
        """What is missing, what is too much, and what has another size."""
        sizes = {entry.object: object_size(entry.size_bytes) for entry in papers.entries}
        expected = {*sizes, *self.small, self.key}
        passing: set[str] = set()
        if isinstance(self.record, VersionRecord) and self.record.beside is not None:
            names = layout.generation_names(self.model, self.record.beside, len(sizes))
            passing.update(names)
        for name in sorted(expected - set(found)):
            yield Fault(name, "is missing")
        for name in sorted(set(found) - expected - passing):
            yield Fault(name, "is an extra file that nobody signed")
        for name, size in sizes.items():
            if name in found and found[name].size != size:
                yield Fault(name, f"has {found[name].size} bytes, was sealed with {size}")

    def read_object(self, vault: Vault, entry: SealedEntry, progress: Progress | None) -> Fault | None:
        """Compare every byte with the signed root."""
        try:
            blob = vault.blobs.open(entry.object)
            try:
                verify_root(blob.read_into, entry, blob.size, threads=1, progress=progress)
            finally:
                blob.close()
        except RejectedError as error:
            return Fault(entry.object, f"its content was changed ({error.message})")
        return None

    def read_key(self, vault: Vault, papers: Papers) -> Fault | None:
        """See that the wrapped data key opens for this content; not where custody is locked or silent."""
        try:
            if vault.keys is not None:
                unwrap_data_key(vault, self.model, papers.manifest, self.key)
        except RejectedError as error:
            return Fault(self.key, f"is another data key ({error.message})")
        except (DeniedError, InvalidError, OutageError):
            return None  # custody is locked, lacks the key or is silent: that says nothing about the store
        return None


def subjects_of(authority: Authority, is_wanted: Callable[[VersionRecord], bool]) -> Iterator[Subject]:
    yield from (Subject.of_version(known) for known in authority.versions.values() if is_wanted(known))
    uploads = authority.quarantined.values()
    yield from (Subject.of_upload(kept) for kept in uploads if not authority.is_doomed(kept.model))
