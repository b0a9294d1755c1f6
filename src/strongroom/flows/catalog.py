"""The catalog follows the log: rows are rebuilt from signed statements, so editing them gives nothing."""

from contextlib import suppress

from strongroom.errors import RejectedError
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import Vault, read_authority, remember_head
from strongroom.ports import IdentityRow, VersionRow
from strongroom.trust.authority import Authority, Identity, VersionRecord
from strongroom.values import ModelId

CATALOG_LOCK = "catalog"


def sync_catalog(vault: Vault) -> Authority:
    """Bring the catalog up to the log, after a change or a crash between the two; returns the authority.

    A version whose stored statement does not hold gets no row: that must not stop work on the others, and
    `doctor` and `verify` name it.
    """
    authority = read_authority(vault)
    if _is_behind(vault, authority):
        with vault.locks.hold(CATALOG_LOCK):
            # Read again: another process may have brought it up, and older than the catalog is no news.
            authority = read_authority(vault)
            _bring_up_versions(vault, authority)
            _bring_up_identities(vault, authority)
    remember_head(vault)
    return authority


def rebuild_catalog(vault: Vault, *, dry_run: bool = False) -> tuple[list[str], list[str]]:
    """Write every row anew from the log and the signed statements, whatever the catalog said.

    Returns the names of rows that were wrong, missing or of nothing, and those of versions that get no row
    because their statement does not hold.
    """
    with vault.locks.hold(CATALOG_LOCK):
        authority = read_authority(vault)
        rows: dict[str, VersionRow] = {}
        lost = []
        for model, known in authority.versions.items():
            try:
                rows[str(model)] = _row(vault, authority, model, known)
            except RejectedError:
                lost.append(str(model))
        people = {name: _identity_row(name, each) for name, each in authority.identities.items()}
        had = {row.model: row for row in vault.records.versions()}
        knew = {row.name: row for row in vault.records.identities()}
        wrong = [name for name in sorted({*rows, *had}) if rows.get(name) != had.get(name)]
        wrong += [name for name in sorted({*people, *knew}) if people.get(name) != knew.get(name)]
        if wrong and not dry_run:
            vault.records.rebuild(list(rows.values()), list(people.values()))
    return wrong, lost


def _is_behind(vault: Vault, authority: Authority) -> bool:
    states = {row.model: row.state for row in vault.records.versions()}
    rows = {row.name: row for row in vault.records.identities()}
    return any(
        states.get(str(model)) is not known.state for model, known in authority.versions.items()
    ) or any(not _is_row_of(rows.get(name), identity) for name, identity in authority.identities.items())


def _bring_up_versions(vault: Vault, authority: Authority) -> None:
    rows = {row.model: row for row in vault.records.versions()}
    for model, known in authority.versions.items():
        row = rows.get(str(model))
        if row is None:
            with suppress(RejectedError):
                vault.records.add_version(_row(vault, authority, model, known))
        elif row.state is not known.state:
            vault.records.set_state(str(model), row.state, known.state)


def _bring_up_identities(vault: Vault, authority: Authority) -> None:
    rows = {row.name: row for row in vault.records.identities()}
    for name, identity in authority.identities.items():
        if not _is_row_of(rows.get(name), identity):
            vault.records.put_identity(_identity_row(name, identity))


def _identity_row(name: str, identity: Identity) -> IdentityRow:
    return IdentityRow(
        name, identity.certificate_pem, identity.added_at, identity.revoked, identity.log_index
    )


def _is_row_of(row: IdentityRow | None, identity: Identity) -> bool:
    return row is not None and (row.certificate_pem, row.revoked) == (
        identity.certificate_pem,
        identity.revoked,
    )


def _row(vault: Vault, authority: Authority, model: ModelId, known: VersionRecord) -> VersionRow:
    statement = require_statement_of(vault, authority, model)
    return VersionRow(
        model=str(model),
        owner=statement.owner,
        format=statement.format,
        digest=str(known.manifest),
        size_bytes=sum(entry.size_bytes for entry in statement.entries),
        state=known.state,
        key_uri=authority.family_key(model.family),
        publisher=known.publisher,
        published_at=known.published_at,
        log_index=known.log_index,
        statement_digest=str(known.statement),
        dependencies=statement.dependencies,
    )
