"""Release: the one way from sealed objects to plaintext in memory (I1, I2, I4).

Also `verify`, which walks the same chain and keeps nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from strongroom.artifact.manifest import Entry, Manifest
from strongroom.artifact.stream import unseal, verify_root
from strongroom.errors import InvalidError, OutageError, RejectedError, StrongroomError, shorten
from strongroom.flows import layout
from strongroom.flows.revocations import require_unlisted
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
from strongroom.trust.authority import Authority, VersionRecord
from strongroom.trust.oms import require_signed
from strongroom.trust.statement import SealStatement
from strongroom.values import Action, Digest, ModelId

_Result = TypeVar("_Result")
UNDISTURBED_ATTEMPTS = 3
"""A version is encrypted anew at most so often while it is being read."""


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
        return _undisturbed(vault, model, lambda: _release(vault, actor, decision.rule, model, progress))


def _release(vault: Vault, actor: str, rule: str, model: ModelId, progress: Progress | None) -> Release:
    # (2) the signed statement, and nothing but what it names in the store
    authority = read_authority(vault)
    statement = require_statement_of(vault, authority, model)
    known = authority.versions[model]
    authority.require_approved(model, statement.manifest_digest, known.statement)
    _require_complete(vault, known, statement)
    _require_model_signature(vault, authority, model, statement)
    # (3) the record comes before the key
    record(
        vault,
        build_event(
            vault,
            moment(vault, authority),
            actor,
            Action.SERVE,
            str(model),
            rule=rule,
            reason="release",
            manifest=str(statement.manifest_digest),
        ),
    )
    # What was revoked while the statement was read must not be released after its revocation.
    after = read_authority(vault)
    require_permission(vault, after, actor, Action.SERVE, str(model))
    after.require_approved(model, statement.manifest_digest, after.versions[model].statement)
    # Nor what a newer log revoked than the one that was put in its place here.
    require_unlisted(vault, model)
    data_key = _unwrap(vault, model, statement)
    # (4) one pass: read, authenticate, decrypt, compare, into memory that is then sealed. A later seal was
    # not looked at by who approved: the digests that they stood for are compared (docs/decisions/0008).
    full = known.generation > 0
    memories = unseal_entries(vault, model, statement.entries, data_key, progress, full=full)
    return Release(model, statement, memories)


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
        return _undisturbed(vault, model, lambda: _verify(vault, actor, decision.rule, model, full, progress))


def _verify(
    vault: Vault, actor: str, rule: str, model: ModelId, full: bool, progress: Progress | None
) -> SealStatement:
    authority = read_authority(vault)
    if authority.is_doomed(model):
        raise InvalidError(f"{model}: is shredded", hint=f"what there was: strongroom show {model}")
    statement = require_statement_of(vault, authority, model)
    _require_complete(vault, authority.versions[model], statement)
    _require_model_signature(vault, authority, model, statement)
    record(
        vault,
        build_event(
            vault,
            moment(vault, authority),
            actor,
            Action.VERIFY,
            str(model),
            rule=rule,
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


def _undisturbed(vault: Vault, model: ModelId, act: Callable[[], _Result]) -> _Result:
    """Try again where a version was encrypted anew meanwhile; what it was sealed as before may be gone."""
    for _ in range(UNDISTURBED_ATTEMPTS):
        before = read_authority(vault).versions.get(model)
        try:
            return act()
        except RejectedError:
            if read_authority(vault).versions.get(model) == before:
                raise
    return act()


def _discard(offset: int, data: bytes | bytearray | memoryview) -> None:
    """A sink for verification: plaintext goes nowhere."""


def _require_complete(vault: Vault, known: VersionRecord, statement: SealStatement) -> None:
    """What is being made or removed by a re-encryption that the log knows of is not looked at, nor missed."""
    model = known.model
    expected = layout.expected_names(model, [entry.object for entry in statement.entries])
    passing = (
        () if known.beside is None else layout.generation_names(model, known.beside, len(statement.entries))
    )
    found = sorted(vault.blobs.list(layout.prefix(model)))
    for name in found:
        if name not in expected and name not in passing:
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
    name = layout.wrapped_key_beside(statement.entries[0].object)
    return unwrap_data_key(vault, model, statement.manifest_digest, name)


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
