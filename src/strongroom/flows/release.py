"""Release: the one way from sealed objects to plaintext in memory (I1, I2, I4).

Also `verify`, which walks the same chain and keeps nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from strongroom.artifact.manifest import Entry, Manifest
from strongroom.artifact.stream import unseal, verify_root
from strongroom.errors import OutageError, RejectedError, StrongroomError, shorten
from strongroom.flows import layout
from strongroom.flows.statement import require_statement_of
from strongroom.flows.unsealing import Progress, opened, unseal_entries, unwrap_data_key
from strongroom.flows.vault import (
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.ports import Memory
from strongroom.trust.authority import Authority
from strongroom.trust.oms import require_signed
from strongroom.trust.statement import SealStatement
from strongroom.values import Action, Digest, ModelId


@dataclass(frozen=True, slots=True)
class Release:
    """Verified plaintext of one version, in sealed memory, for one worker."""

    model: ModelId
    statement: SealStatement
    memories: dict[str, Memory]

    def close(self) -> None:
        for memory in self.memories.values():
            memory.close()


def release(vault: Vault, actor: str, model: ModelId, progress: Progress | None = None) -> Release:
    """Return the model's bytes as approved; the caller closes them.

    Raises:
        DeniedError: ``actor`` may not serve this model.
        RejectedError: not approved, revoked, or any byte, file, key or signature is not as signed.
        OutageError: the store, the key provider or the log did not answer.
    """
    # (1) permission and approval, from the log
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.SERVE, str(model))
    with _recording_refusal(vault, actor, Action.SERVE, model):
        # (2) the signed statement, and nothing but what it names in the store
        statement = require_statement_of(vault, authority, model)
        authority.require_approved(model, statement.manifest_digest, authority.versions[model].statement)
        _require_complete(vault, model, statement)
        _require_model_signature(vault, authority, model, statement)
        # (3) the record comes before the key
        now = moment(vault, authority)
        record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.SERVE,
                str(model),
                rule=decision.rule,
                reason="release",
                manifest=str(statement.manifest_digest),
            ),
        )
        # What was revoked while the statement was read must not be released after its revocation.
        after = read_authority(vault)
        require_permission(vault, after, actor, Action.SERVE, str(model))
        after.require_approved(model, statement.manifest_digest, after.versions[model].statement)
        data_key = _unwrap(vault, model, statement)
        # (4) one pass: read, authenticate, decrypt, compare, into memory that is then sealed
        return Release(model, statement, unseal_entries(vault, model, statement.entries, data_key, progress))


def verify(
    vault: Vault, actor: str, model: ModelId, *, full: bool = False, progress: Progress | None = None
) -> SealStatement:
    """Check a version as a load would; ``full`` also decrypts and compares every SHA-256.

    Raises:
        RejectedError: what differs, named; recorded before it is raised.
    """
    authority = read_authority(vault)
    decision = require_permission(vault, authority, actor, Action.VERIFY, str(model))
    with _recording_refusal(vault, actor, Action.VERIFY, model):
        statement = require_statement_of(vault, authority, model)
        _require_complete(vault, model, statement)
        _require_model_signature(vault, authority, model, statement)
        record(
            vault,
            build_event(
                vault,
                moment(vault, authority),
                actor,
                Action.VERIFY,
                str(model),
                rule=decision.rule,
                reason="full" if full else "ciphertext",
            ),
        )
        data_key = _unwrap(vault, model, statement) if full else b""
        for entry in statement.entries:
            with opened(vault, entry) as blob:
                if full:
                    unseal(
                        blob.read_into,
                        _discard,
                        dek=data_key,
                        entry=entry,
                        model=model,
                        full=True,
                        progress=progress,
                    )
                else:
                    verify_root(blob.read_into, entry, blob.size, progress=progress)
    return statement


def _discard(offset: int, data: bytes | bytearray | memoryview) -> None:
    """A sink for verification: plaintext goes nowhere."""


def _require_complete(vault: Vault, model: ModelId, statement: SealStatement) -> None:
    expected = layout.expected_names(model, [entry.object for entry in statement.entries])
    found = sorted(vault.blobs.list(layout.prefix(model)))
    for name in found:
        if name not in expected:
            raise RejectedError(f"{model}: unsigned file {shorten(name)} beside the model")
    for name in expected:
        if name not in found:
            raise RejectedError(f"{model}: {shorten(name)} is missing from the store")


def _require_model_signature(
    vault: Vault, authority: Authority, model: ModelId, statement: SealStatement
) -> None:
    bundle = vault.blobs.read(layout.signature_name(model), layout.MAX_SIGNATURE_BYTES)
    if Digest.of(bundle) != statement.oms_digest:
        raise RejectedError(f"{model}: model signature is not the one in the statement")
    entries = [(entry.path, entry.sha256) for entry in statement.entries]
    published_at = authority.versions[model].published_at
    require_signed(bundle, entries, authority.key_history.valid_keys(published_at))
    manifest = Manifest(tuple(Entry(e.path, e.size_bytes, e.sha256) for e in statement.entries))
    if manifest.digest != statement.manifest_digest:
        raise RejectedError(f"{model}: statement lists files of another manifest")


def _unwrap(vault: Vault, model: ModelId, statement: SealStatement) -> bytes:
    return unwrap_data_key(vault, model, statement.manifest_digest, layout.wrapped_key_name(model))


@contextmanager
def _recording_refusal(vault: Vault, actor: str, action: Action, model: ModelId) -> Iterator[None]:
    """A check that fails is recorded with its reason before the caller hears of it.

    An outage while saying so must not hide the refusal itself: tampering is not told as something to retry.
    """
    try:
        yield
    except StrongroomError as error:
        verdict = "outage" if isinstance(error, OutageError) else "reject"
        with suppress(OutageError):
            now = moment(vault, read_authority(vault))
            reason = error.message[:500]
            record(vault, build_event(vault, now, actor, action, str(model), verdict=verdict, reason=reason))
        raise
