"""What Strongroom needs from outside, one small Protocol each.

The docstrings are the contract; tests/contract runs every adapter and its in-memory twin against it.
Every method may raise `OutageError` when the thing behind it does not answer or is full; a method that
raised has had either no effect or its whole effect, never a part (I12).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from strongroom.errors import OutageError
from strongroom.scan.bill import Bill
from strongroom.scan.vulnerabilities import Vulnerability
from strongroom.values import Digest, KeyUri, State, Uptime


class Clock(Protocol):
    """Wall time, as an aware UTC value. Flows never trust it to go forward; see `flows.moment`."""

    def now(self) -> datetime: ...

    def uptime(self) -> Uptime:
        """Time that passes whatever the clock is set to, and the boot that it is counted from."""


class Marks(Protocol):
    """What this host has seen and must not forget, a small value a name; not shared with other hosts."""

    def read(self, name: str) -> bytes | None:
        """Return what was written last; None if nothing was."""

    def write(self, name: str, data: bytes) -> None:
        """Replace it, durable on return."""


class Entropy(Protocol):
    """The operating system's random bytes; a Protocol so that frozen vectors can be made."""

    def bytes(self, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a key-encryption key; no key material. A destroyed one is not listed."""

    version: int
    created_at: datetime
    enabled: bool


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What a provider says of a key-encryption key; no key material."""

    uri: KeyUri
    versions: tuple[KeyVersion, ...]
    """Oldest first, never empty; the last one wraps."""
    custody: str = "software"
    """Where the material lies: ``software``, ``hsm`` or ``kms``."""
    concerns: tuple[str, ...] = ()
    """What weakens the custody of this key, for people: that it can be exported, is about to be deleted."""

    @property
    def newest(self) -> KeyVersion:
        return self.versions[-1]


class KeyProvider(Protocol):
    """Key-encryption keys that never leave their custody. Safe to call from several threads.

    A key that is named by no URI of this provider is an InvalidError, and so is one that does not exist; a
    provider that does not answer is an OutageError that names it.
    """

    def create(self, key: KeyUri) -> KeyInfo:
        """Create a KEK, durable on return. Creating an existing one returns it unchanged."""

    def describe(self, key: KeyUri) -> KeyInfo:
        """Raises InvalidError if there is no such key."""

    def wrap(self, key: KeyUri, data_key: bytes, context: bytes) -> bytes:
        """Return ``data_key`` (32 bytes) wrapped under the newest version, bound to ``context`` (<= 4 KiB).

        Raises:
            DeniedError: the newest version is disabled, or the provider forbids us this key.
        """

    def unwrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        """Return the 32-byte data key.

        ``context`` must equal the one given to `wrap`; a wrapped key cannot be moved to another model.

        Raises:
            DeniedError: the version that wrapped it is disabled, or the provider forbids us this key.
            RejectedError: the wrapped key does not open under this key and context.
            InvalidError: there is no such key.
            OutageError: the provider did not answer.
        """

    def rewrap(self, key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        """Return the same data key under the newest version, inside the custody where that can be done.

        One that is under the newest version already is returned as it is. Raises as `unwrap` and `wrap` do.
        """

    def version_of(self, key: KeyUri, wrapped: bytes) -> int:
        """Return which version wrapped this, as ``wrapped`` itself says; nothing is proven by it.

        Raises:
            RejectedError: it is no wrapped key of this provider.
        """

    def rotate(self, key: KeyUri) -> KeyInfo:
        """Add a version, which wraps from now on; older ones unwrap until disabled. Durable on return."""

    def set_enabled(self, key: KeyUri, version: int, enabled: bool) -> None:
        """Let a version be used, or not. Durable on return. Raises InvalidError if there is none such.

        Go from the oldest on. A provider that cannot disable its newest version adds another, which then is.
        """

    def destroy(self, key: KeyUri, version: int) -> None:
        """Make a version unable to unwrap for good; one that is gone is no error. Durable on return.

        Where a provider only schedules it, the version is disabled at once and the schedule is stated in
        docs/keys.md. The newest version is destroyed only where it is the last (InvalidError otherwise). Go
        from the oldest on: some providers know no other order.
        """


class Signer(Protocol):
    """A private signing key in custody."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the DER SubjectPublicKeyInfo, 64 hexadecimal digits."""

    @property
    def public_pem(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature: DER ECDSA-SHA256 for P-256 keys, raw 64 bytes for Ed25519."""


class SignerProvider(Protocol):
    """Signing keys in custody, by URI. Private keys are never returned."""

    def create_signer(self, key: KeyUri, algorithm: str) -> Signer:
        """Create a key pair (``ecdsa-p256`` or ``ed25519``), durable on return; refuses an existing name.

        Raises:
            InvalidError: the name is taken or the algorithm unknown.
        """

    def signer(self, key: KeyUri) -> Signer:
        """Raises InvalidError if there is no such key."""


class TlsKeys(Protocol):
    """Private keys that OpenSSL must hold itself, because a TLS handshake cannot ask a `Signer`."""

    def private_pem(self, key: KeyUri) -> bytes:
        """Return the unencrypted PKCS #8 PEM; it may go into a memfd, never into a file (I9).

        Raises:
            InvalidError: no such key, or its custody does not give it out.
        """


class SourceFile(Protocol):
    """One file of a model being handed over, opened once; its bytes are read through that one descriptor."""

    @property
    def path(self) -> str:
        """Relative, ``/``-separated."""

    @property
    def size(self) -> int:
        """Bytes when it was opened."""

    def read_into(self, offset: int, buffer: memoryview) -> int: ...

    def require_unchanged(self) -> None:
        """Raises RejectedError if the file changed in any way since it was opened."""


class ModelSource(Protocol):
    """A model as it is handed over: a file, or a folder of files."""

    @property
    def files(self) -> Sequence[SourceFile]:
        """Sorted by path; symbolic links, devices and unreadable files have been refused."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One row of a spreadsheet, as long as its header."""

    line: int
    """As a person finds it: the header stands in line 1, or in the row that the program shows."""
    cells: tuple[str, ...]
    fault: str = ""
    """Why the row cannot be read; empty if it can."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A spreadsheet that somebody keeps, read whole; bounded in bytes, rows, columns and length of cells."""

    name: str
    digest: Digest
    """Of the file."""
    header: tuple[str, ...]
    rows: tuple[SheetRow, ...]


class BlobWriter(Protocol):
    """An object being written; invisible until committed."""

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of ``data``; may be called from several threads for disjoint ranges."""

    def commit(self) -> None:
        """Make the object visible and durable under its name.

        Raises:
            InvalidError: an object of that name exists already; it is left as it was.
        """

    def discard(self) -> None:
        """Leave nothing behind; harmless after `commit`."""


class BlobReader(Protocol):
    """An open object; what is read is one version of it, even if it is replaced meanwhile."""

    @property
    def size(self) -> int: ...

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` from ``offset``; return bytes read, short only at the end. Thread-safe."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BlobStat:
    """What a store says of an object without its being read; whoever may write there may lie in it."""

    size: int
    tag: str
    """Another one once the object was written again (an entity tag, or inode and times of a file)."""


class BlobStore(Protocol):
    """Named immutable objects; a name is segments of ``[A-Za-z0-9.@-]`` between ``/``, none led by a dot."""

    def create(self, name: str, size_hint: int = 0) -> BlobWriter:
        """Begin an object. Create-only: see `BlobWriter.commit`."""

    def put_new(self, name: str, data: bytes) -> None:
        """Create a small object whole; durable on return. Raises InvalidError if the name is taken."""

    def replace(self, name: str, data: bytes) -> None:
        """Atomically create or replace a small object (only wrapped keys are replaceable)."""

    def open(self, name: str) -> BlobReader:
        """Raises RejectedError if there is no such object or it is not a plain file."""

    def read(self, name: str, limit: int) -> bytes:
        """Return a small object. Raises RejectedError if it is missing or larger than ``limit`` bytes."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield every name under ``prefix`` (whole leading segments), sorted, foreign files included."""

    def delete(self, name: str) -> None:
        """Remove an object; a missing one is no error."""

    def stat(self, name: str) -> BlobStat:
        """Return size and tag without reading the object. Raises RejectedError as `open` does."""

    def survey(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        """Yield what `list` yields with what `stat` says of each, in few requests; foreign files included."""

    def concerns(self) -> Sequence[str]:
        """What makes this place less safe than it should be, looked up now; empty if nothing does.

        A place that is refused for it is examined all the same.
        """


class Transit(Protocol):
    """Sealed objects on their way to a store elsewhere: a crash costs neither a second sealing nor, for what
    has arrived, a second sending."""

    @property
    def spool(self) -> BlobStore:
        """Objects on this machine that wait to be sent, under the names that they will have."""

    def send(self, name: str) -> None:
        """Move an object from the spool into the store; durable there, and gone here, on return.

        Goes on where an earlier attempt was cut off. One process at a time sends an object of one name.

        Raises:
            InvalidError: the store has an object of that name; it and the spool are left as they were.
            OutageError: the store did not answer in time; what has arrived need not be sent again.
        """

    def drop(self, name: str) -> None:
        """Remove an object from the spool, and what of it has arrived; a missing one is no error."""


class Memory(Protocol):
    """Anonymous memory being filled with a model's plaintext; never a file on a disk (I1)."""

    @property
    def fd(self) -> int:
        """The descriptor to hand to a worker."""

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None: ...

    def seal(self) -> None:
        """Forbid every later write, growth and shrinkage (F_SEAL_*)."""

    def close(self) -> None: ...


class MemoryProvider(Protocol):
    def allocate(self, name: str, size_bytes: int) -> Memory: ...


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One published version as the catalog holds it; only an index: load trusts statement and log."""

    model: str
    owner: str
    format: str
    digest: str
    size_bytes: int
    state: State
    key_uri: KeyUri
    publisher: str
    published_at: datetime
    log_index: int
    statement_digest: str
    dependencies: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A person or service: its current certificate, and nothing secret."""

    name: str
    certificate_pem: str
    created_at: datetime
    revoked: bool
    log_index: int


class Records(Protocol):
    """The catalog: what `list` and `show` answer from. Each method is one transaction, durable on return."""

    def add_version(self, row: VersionRow) -> None:
        """Raises InvalidError if the version exists: published versions are immutable."""

    def find_version(self, model: str) -> VersionRow | None: ...

    def versions(self, family: str | None = None) -> Sequence[VersionRow]:
        """All, or those of one family, ordered by family and semantic version."""

    def set_state(self, model: str, expected: State, state: State) -> None:
        """Compare and swap. Raises InvalidError if there is no such version in state ``expected``."""

    def put_identity(self, row: IdentityRow) -> None:
        """Insert or replace by name."""

    def identities(self) -> Sequence[IdentityRow]: ...

    def rebuild(self, versions: Sequence[VersionRow], identities: Sequence[IdentityRow]) -> None:
        """Put these in the place of all rows there are. The head remembered stays."""

    def note_head(self, size: int, root: bytes) -> None:
        """Remember the largest log head seen; a smaller size is ignored."""

    def head(self) -> tuple[int, bytes] | None:
        """The largest log head ever noted: a log shorter than this was cut or rolled back."""


class LogGrewError(OutageError):
    """Others wrote to the log since it was read: read it again, and decide again."""

    def __init__(self) -> None:
        super().__init__("log: others wrote to it meanwhile", hint="try again")


class LogStore(Protocol):
    """An append-only sequence of byte strings under a Merkle tree (docs/formats/log.md)."""

    def append(self, leaves: Sequence[bytes], signer: Signer, *, after: int | None = None) -> int:
        """Append all or none; durable, with a new signed checkpoint, on return. Returns the first index.

        One writer at a time across processes; the current tree is checked against its checkpoint first.
        ``after``: only if the log has exactly so many records.

        Raises:
            LogGrewError: it has another number of records than ``after``; nothing was appended.
            RejectedError: the stored tree does not match its checkpoint.
            OutageError: the disk is full or read-only; nothing was appended.
        """

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, or None for a log never written."""

    def leaf(self, index: int) -> bytes: ...

    def leaves(self, start: int, end: int) -> Iterator[bytes]:
        """Stored leaves in order, unverified until `trust.log.verify_log` has seen them.

        May end early, or raise RejectedError on the way, where stored leaves are missing or torn.
        """

    def tile(self, level: int, index: int, width: int) -> Sequence[bytes]:
        """The first ``width`` hashes of a stored tile, unverified (see `trust.tiles`), for proofs.

        Raises:
            RejectedError: they are not there.
        """


class JournalFiles(Protocol):
    """The gateways' journals where their supervisor can read them; a name is the id in hexadecimal."""

    def open_names(self) -> Sequence[str]:
        """Journals that may still hold batches which are not folded, oldest first."""

    def names(self) -> Sequence[str]:
        """All journals, closed ones included."""

    def read(self, name: str, offset: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes from ``offset``; empty at the end.

        Raises:
            RejectedError: there is no such journal.
        """

    def is_held(self, name: str) -> bool:
        """Whether a gateway, of whichever supervisor, may still append to it. Once False, it stays so."""

    def close(self, name: str) -> None:
        """Set a journal aside whose gateway is gone and whose batches are all folded; once more is no error.

        Raises:
            RejectedError: there is no such journal, or another was closed under its name.
        """


class HomeFiles(Protocol):
    """The files of a home that a backup holds and no other port has: settings, anchors, journals."""

    def names(self) -> Sequence[str]:
        """Relative paths, sorted; only those that are known to belong to a home."""

    def read(self, name: str, offset: int, limit: int) -> bytes:
        """Return up to ``limit`` bytes from ``offset``; empty at the end.

        Raises:
            RejectedError: there is no such file, or it is no plain file.
        """

    def put(self, name: str, content: Iterable[bytes]) -> None:
        """Write a file, durable on return and whole or not at all; one that is there is replaced."""


class Locks(Protocol):
    """Mutual exclusion between processes; released when the holder dies."""

    def hold(self, name: str, timeout_s: float = 10.0) -> AbstractContextManager[None]:
        """Raises OutageError if another holds it for all of ``timeout_s``."""


class Vulnerabilities(Protocol):
    """Vulnerability databases that were imported, each under its digest. Which one counts, the log says."""

    def put(self, digest: Digest, data: bytes) -> None:
        """Keep a database, durable on return; once more is no error."""

    def read(self, digest: Digest, limit: int) -> bytes:
        """Return exactly the bytes of that digest.

        Raises:
            RejectedError: they are missing, more than ``limit``, or others.
        """

    def keep_only(self, digest: Digest) -> None:
        """Remove all others; what cannot be removed is no error."""


class AdvisorySource(Protocol):
    """Where a vulnerability database is imported from; read once, from beginning to end."""

    @property
    def name(self) -> str:
        """For people and the log: no user, password or query."""

    def records(self) -> Iterator[bytes]:
        """Yield each OSV record, one JSON object.

        Raises:
            RejectedError: it is larger than may be, ambiguous, or not what was expected.
        """

    @property
    def sha256(self) -> str:
        """Of all that was read, hexadecimal; known once all records were."""


class InstalledPackages(Protocol):
    """The Python packages of the environment in which this runs."""

    def versions(self) -> Mapping[str, str]:
        """Version of every one by its name, as PEP 503 spells it."""

    def closure(self, name: str) -> frozenset[str]:
        """The package and all that it needs here, as far as installed; empty if it is not."""

    def opsets(self) -> Mapping[str, int]:
        """Newest version of each ONNX operator set that the engine here knows; empty if it does not say."""


class BomFormat(Protocol):
    """Writes bills of materials, and judges those of others."""

    def build(self, bill: Bill, vulnerabilities: Sequence[Vulnerability] | None = None) -> bytes:
        """Return the document: the same bytes for the same bill. With ``vulnerabilities`` it names these.

        Raises:
            RejectedError: the document does not fit its own schema.
        """

    def require_valid(self, document: bytes) -> dict[str, Any]:
        """Return the JSON of a document that fits the schema of the version it claims.

        Raises:
            RejectedError: it does not, or is of no known version.
        """


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial in the sandbox showed."""

    loads: bool
    independent_rows: bool | None
    """Whether each row is answered as if it were alone; None: it could not be tried."""


class Trials(Protocol):
    """Loads a model where it can do no harm, and tries it."""

    def run(self, name: str, memories: dict[str, Memory], main: str, schema: Any) -> Trial:
        """``schema`` is the `guard.schema.Schema` that is meant for it, or None.

        Raises:
            RejectedError: the engine refuses the model.
            OutageError: this host has no sandbox to try it in.
        """


@dataclass(frozen=True, slots=True)
class ConversionWish:
    """What a conversion may cost, and how it is tried."""

    rows: int
    seed: int
    features: int | None
    """How many the original takes, where it does not say so itself."""
    max_error: float | None
    """None: the converter's own bounds."""
    memory_bytes: int
    timeout_s: float
    max_bytes: int
    """Of the converted model."""
    module: bytes | None = None
    """Source of the class that a state dictionary belongs to; runs in the sandbox only."""
    entry: str | None = None
    """Name of that class."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What came out of the sandbox; its facts are the sandbox's own word."""

    content: bytes
    facts: dict[str, Any]
    layers: dict[str, str]
    """Of the sandbox: ``on``, or why not."""


class Converter(Protocol):
    """Turns an original, which may be code, into an inert model where it can do no harm."""

    def convert(
        self, name: str, original: bytes, wish: ConversionWish, inputs: bytes | None = None
    ) -> Converted:
        """``inputs``: reference rows as .npy or .npz, instead of rows made up from what the model learned.

        Raises:
            RejectedError: the original is hostile, malformed or exceeds what it may cost, or the converted
                model answers otherwise.
            InvalidError: nothing here converts it.
            OutageError: this host has no sandbox for it.
        """


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    certificate_pem: bytes
    serial: int
    not_after: datetime


@dataclass(frozen=True, slots=True)
class RevokedSerial:
    """A certificate that ended before its time, and when."""

    serial: int
    at: datetime


class CertificateAuthority(Protocol):
    """Issues the certificates that are identities here (docs/architecture.md)."""

    @property
    def ca_pem(self) -> bytes: ...

    def issue_client(
        self, principal: str, public_pem: bytes, now: datetime, lifetime_s: int
    ) -> IssuedCertificate:
        """A leaf for that public key: URI SAN ``spiffe://<trust domain>/id/<principal>``, EKU clientAuth."""

    def issue_server(
        self, names: Sequence[str], public_pem: bytes, now: datetime, lifetime_s: int
    ) -> IssuedCertificate:
        """A leaf with DNS and IP SANs ``names``, EKU serverAuth."""

    def build_crl(
        self, revoked: Sequence[RevokedSerial], number: int, issued_at: datetime, next_update: datetime
    ) -> bytes:
        """Return a PEM X.509 CRL (RFC 5280 5) of these certificates; numbers only grow."""


class Engine(Protocol):
    """Loads and runs one inert model format inside the worker. Created before the locks, used after."""

    def load(self, entries: dict[str, int], main: str, threads: int = 1) -> "LoadedModel":
        """``entries`` maps entry path to a sealed memfd, the caller's to close; ``main`` is the one to open.

        One prediction uses up to ``threads`` threads.

        Raises:
            RejectedError: the engine refuses the bytes.
        """


class LoadedModel(Protocol):
    def describe(self) -> dict[str, Any]:
        """Inputs and outputs as the engine sees them (name, dtype, shape with -1 for free dimensions)."""

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Numpy arrays in, numpy arrays out. Raises InvalidError if the engine refuses the inputs."""
