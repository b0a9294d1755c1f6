"""Encrypt versions anew, each under a data key of its own that nobody has ever seen (docs/decisions/0008).

The new generation is made beside the one in force, record by record: it is begun, it is in force, the old
one is gone. What was published, signed and approved stays as it is; only ciphertext, key and seal are new.
Cut off anywhere, the version loads as before or as after, and the same call goes on from there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from strongroom.artifact.stream import seal, unseal
from strongroom.errors import OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.statement import require_statement_of
from strongroom.flows.unsealing import Progress, opened, readable, unwrap_data_key
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
    signing_signer,
)
from strongroom.scan.scan import Source
from strongroom.trust.authority import VersionRecord
from strongroom.trust.reseal import Reseal
from strongroom.trust.rotation import unfinished
from strongroom.trust.statement import SealStatement
from strongroom.values import Action, Digest, ModelId, SealedEntry

DATA_KEY_BYTES = 32
SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """What was encrypted anew."""

    versions: int
    size_bytes: int


def reencrypt(vault: Vault, actor: str, family: str, progress: Progress | None = None) -> Reencrypted:
    """Encrypt anew what the newest rotation of the family's key asked for and is not done yet.

    Extra memory: at most 32 MiB, however large a version is. Uploads in quarantine are left as they are.

    Raises:
        DeniedError: the actor is not admin of everything.
        RejectedError: a stored version is not what was published; it is left as it was.
        OutageError: custody, store or log did not answer; run it again.
    """
    require_permission(vault, read_authority(vault), actor, Action.ROTATE_KEY, "*")
    done = Reencrypted(0, 0)
    with vault.locks.hold(f"rotate-{family}"):
        for model in unfinished(read_authority(vault), family):
            size_bytes = _reencrypt_version(vault, actor, model, progress)
            done = Reencrypted(done.versions + 1, done.size_bytes + size_bytes)
    return done


def _reencrypt_version(vault: Vault, actor: str, model: ModelId, progress: Progress | None) -> int:
    known = read_authority(vault).versions[model]
    size_bytes = 0
    if known.beside is None or known.beside > known.generation:
        # (1) recorded, so that what lies beside the version meanwhile is known for what it is
        generation = known.generation + 1
        statement = require_statement_of(vault, read_authority(vault), model)
        _record(vault, actor, known, "begin", generation)
        _remove(vault, known, generation)
        # (2) new ciphertext and key, beside those in force; (3) read back, as the old ones go for good
        try:
            sealed = _make(vault, known, statement, generation, progress)
            _require_readable(vault, known, sealed, generation)
        except (OutageError, RejectedError):
            _remove(vault, known, generation)
            raise
        # (4) signed, and in force
        _put_in_force(vault, actor, known, sealed, generation)
        size_bytes = sum(entry.size_bytes for entry in statement.entries)
        known = read_authority(vault).versions[model]
    # (5) the old generation goes: who has its key cannot read the new one, and finds nothing else
    _remove(vault, known, known.generation - 1)
    _record(vault, actor, known, "settled", known.generation)
    return size_bytes


def _make(
    vault: Vault, known: VersionRecord, statement: SealStatement, generation: int, progress: Progress | None
) -> tuple[SealedEntry, ...]:
    """Write objects and wrapped key of a generation; returns its entries."""
    model = known.model
    name = layout.wrapped_key_beside(statement.entries[0].object)
    old_key = unwrap_data_key(vault, model, known.manifest, name)
    # Never one that was used before: an attempt that was cut off has left ciphertext under its own.
    new_key = vault.entropy.bytes(DATA_KEY_BYTES)
    with readable(vault, model, statement.entries, old_key) as sources:
        sealed = tuple(_seal_all(vault, known, statement, generation, sources, new_key, progress))
    uri = read_authority(vault).family_key(model.family)
    wrapped = vault.require_keys().wrap(uri, new_key, data_key_context(model, known.manifest))
    vault.blobs.put_new(layout.wrapped_key_name(model, generation), WrappedKey(uri, wrapped).to_bytes())
    return sealed


def _seal_all(
    vault: Vault,
    known: VersionRecord,
    statement: SealStatement,
    generation: int,
    sources: dict[str, Source],
    data_key: bytes,
    progress: Progress | None,
) -> Iterator[SealedEntry]:
    for index, entry in enumerate(statement.entries):
        name = layout.object_name(known.model, index, generation)
        writer = vault.blobs.create(name, entry.size_bytes)
        try:
            made = seal(
                _reader(sources[entry.path]),
                writer.write_at,
                size=entry.size_bytes,
                model=known.model,
                path=entry.path,
                object=name,
                salt=vault.entropy.bytes(SALT_BYTES),
                dek=data_key,
                progress=progress,
            )
            # Whoever has the old data key can forge what authenticates under it, but not what was signed.
            if made.sha256 != entry.sha256:
                raise RejectedError(f"{known.model}: {entry.path} in the store is not what was published")
            writer.commit()
        finally:
            writer.discard()
        yield made


def _reader(source: Source) -> Callable[[int, memoryview], int]:
    read_at, _ = source

    def read_into(offset: int, buffer: memoryview) -> int:
        data = read_at(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    return read_into


def _require_readable(
    vault: Vault, known: VersionRecord, sealed: Sequence[SealedEntry], generation: int
) -> None:
    """See that the new generation opens with its key as stored and is what was published."""
    name = layout.wrapped_key_name(known.model, generation)
    data_key = unwrap_data_key(vault, known.model, known.manifest, name)
    for entry in sealed:
        with opened(vault, entry) as blob:
            unseal(blob.read_into, _discard, dek=data_key, entry=entry, model=known.model, full=True)


def _discard(offset: int, data: bytes | bytearray | memoryview) -> None:
    """A sink: plaintext goes nowhere."""


def _remove(vault: Vault, known: VersionRecord, generation: int) -> None:
    """Remove one generation that is not in force."""
    kept = {layout.statement_name(known.model), layout.signature_name(known.model)}
    folder = layout.folder(known.model, generation)
    for name in list(vault.blobs.list(folder)):
        if name.rpartition("/")[0] == folder and name not in kept:
            vault.blobs.delete(name)


def _put_in_force(
    vault: Vault, actor: str, known: VersionRecord, sealed: Sequence[SealedEntry], generation: int
) -> None:
    """Sign the seal and record it while no key can be rotated: it is judged by the keys of that moment."""
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        made = Reseal.of(
            known.model, generation, known.manifest, known.statement, sealed, moment(vault, authority)
        )
        envelope = made.sign(signing_signer(vault, authority))
        vault.blobs.put_new(layout.seal_name(known.model, generation), envelope)
        _append(vault, actor, known, "done", generation, str(Digest.of(envelope)))


def _record(vault: Vault, actor: str, known: VersionRecord, step: str, generation: int) -> None:
    with vault.locks.hold(CONTROL_LOCK):
        _append(vault, actor, known, step, generation)


def _append(
    vault: Vault, actor: str, known: VersionRecord, step: str, generation: int, seal_digest: str = ""
) -> None:
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.ROTATE_KEY, "*")
    event = build_event(
        vault,
        moment(vault, authority),
        actor,
        "reseal",
        str(known.model),
        rule=decision.rule,
        model=str(known.model),
        step=step,
        generation=generation,
        manifest=str(known.manifest),
        statement=str(known.statement),
        seal=seal_digest,
    )
    record(vault, event)
