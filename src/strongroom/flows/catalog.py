"""The catalog follows the log: rows are rebuilt from signed statements, so editing them gives nothing."""

from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import Vault, family_key, read_authority, remember_head
from strongroom.ports import IdentityRow, VersionRow
from strongroom.trust.authority import Authority, VersionRecord
from strongroom.values import ModelId


def sync_catalog(vault: Vault) -> Authority:
    """Bring the catalog up to the log, after a change or a crash between the two; returns the authority."""
    authority = read_authority(vault)
    rows = {row.model: row for row in vault.records.versions()}
    for model, known in authority.versions.items():
        row = rows.get(str(model))
        if row is None:
            vault.records.add_version(_row(vault, authority, model, known))
        elif row.state is not known.state:
            vault.records.set_state(str(model), row.state, known.state)
    names = {row.name: row for row in vault.records.identities()}
    for name, identity in authority.identities.items():
        present = names.get(name)
        if present is None or (present.certificate_pem, present.revoked) != (
            identity.certificate_pem,
            identity.revoked,
        ):
            vault.records.put_identity(
                IdentityRow(
                    name, identity.certificate_pem, identity.added_at, identity.revoked, identity.log_index
                )
            )
    remember_head(vault)
    return authority


def _row(vault: Vault, authority: Authority, model: ModelId, known: VersionRecord) -> VersionRow:
    statement = require_statement_of(vault, authority, model)
    return VersionRow(
        model=str(model),
        owner=statement.owner,
        format=statement.format,
        digest=str(known.manifest),
        size_bytes=sum(entry.size_bytes for entry in statement.entries),
        state=known.state,
        key_uri=family_key(model.family),
        publisher=known.publisher,
        published_at=known.published_at,
        log_index=known.log_index,
        statement_digest=str(known.statement),
        dependencies=statement.dependencies,
    )
