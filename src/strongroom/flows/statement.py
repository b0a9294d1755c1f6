"""The statement of a published version, believed only as far as it is signed and logged."""

from datetime import datetime

from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.vault import Vault
from strongroom.trust.authority import Authority, VersionRecord
from strongroom.trust.dsse import Envelope
from strongroom.trust.reseal import require_reseal
from strongroom.trust.statement import SealStatement, require_statement
from strongroom.values import Digest, ModelId


def signers_of(vault: Vault, known: VersionRecord) -> tuple[tuple[str, datetime], ...]:
    """Return the signing keys that vouch for a version, and when the log recorded what each signed.

    Raises:
        RejectedError: a stored envelope is not the one that was recorded.
    """
    envelopes = [(layout.statement_name(known.model), known.statement, known.published_at)]
    if known.seal is not None and known.sealed_at is not None:
        envelopes.append((layout.seal_name(known.model, known.generation), known.seal, known.sealed_at))
    found = []
    for name, digest, at in envelopes:
        data = vault.blobs.read(name, layout.MAX_STATEMENT_BYTES)
        if Digest.of(data) != digest:
            raise RejectedError(f"{known.model}: {name} is not the one that was recorded")
        found += [(one.key_id, at) for one in Envelope.parse(data).signatures]
    return tuple(found)


def require_statement_of(vault: Vault, authority: Authority, model: ModelId) -> SealStatement:
    """Return the statement that the log says was published for ``model``.

    Where the version was encrypted anew since, its entries are those of the generation in force.

    Raises:
        InvalidError: the log knows no such version.
        RejectedError: the stored statement is another one, or its signature or signing key does not hold.
    """
    known = authority.require_version(model)
    envelope = vault.blobs.read(layout.statement_name(model), layout.MAX_STATEMENT_BYTES)
    if Digest.of(envelope) != known.statement:
        raise RejectedError(f"{model}: statement is not the one that was published")
    statement = require_statement(envelope, authority.key_history, known.published_at, model=model)
    if statement.manifest_digest != known.manifest:
        raise RejectedError(f"{model}: statement is about {statement.manifest_digest}")
    return statement if known.seal is None else _sealed_anew(vault, authority, known, statement)


def _sealed_anew(
    vault: Vault, authority: Authority, known: VersionRecord, statement: SealStatement
) -> SealStatement:
    """Return the statement with its entries as the generation in force has them, otherwise as it was."""
    model, generation = known.model, known.generation
    envelope = vault.blobs.read(layout.seal_name(model, generation), layout.MAX_STATEMENT_BYTES)
    if Digest.of(envelope) != known.seal or known.sealed_at is None:
        raise RejectedError(f"{model}: seal is not the one that was recorded")
    seal = require_reseal(envelope, authority.key_history, known.sealed_at)
    named = (seal.model, seal.generation, seal.manifest, seal.statement)
    if named != (model, generation, known.manifest, known.statement):
        raise RejectedError(f"{model}: seal is of another version or generation")
    objects = [layout.object_name(model, index, generation) for index in range(len(statement.entries))]
    return seal.apply(statement, objects)
