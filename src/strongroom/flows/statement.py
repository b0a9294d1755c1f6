"""The statement of a published version, believed only as far as it is signed and logged."""

from strongroom.errors import RejectedError
from strongroom.flows import layout
from strongroom.flows.vault import Vault
from strongroom.trust.authority import Authority
from strongroom.trust.statement import SealStatement, require_statement
from strongroom.values import Digest, ModelId


def require_statement_of(vault: Vault, authority: Authority, model: ModelId) -> SealStatement:
    """Return the statement that the log says was published for ``model``.

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
    return statement
