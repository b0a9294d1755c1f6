"""What there is: list and show. Each caller sees only what a role lets them see."""

from dataclasses import dataclass
from typing import Any

from strongroom.errors import InvalidError
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import Vault, judge, moment, read_authority, require_permission
from strongroom.ports import VersionRow
from strongroom.trust.authority import VersionRecord
from strongroom.trust.statement import SealStatement
from strongroom.values import Action, ModelId, parse_family


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of `list`. Format and size are the catalog's; all else the log's, which nobody can edit."""

    row: VersionRow
    record: VersionRecord


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about one version."""

    record: VersionRecord
    statement: SealStatement


def list_versions(vault: Vault, actor: str, family: str | None = None) -> list[Listed]:
    """Return the versions that ``actor`` may see, by family and semantic version.

    Raises InvalidError: ``family`` is not a family's name, or ``actor`` is nobody here.
    """
    if family is not None:
        parse_family(family)
    authority = sync_catalog(vault)
    if actor not in authority.identities:
        raise InvalidError(f"{actor}: no such identity", hint="see: strongroom identity list")
    now = moment(vault, authority)
    listed = []
    for row in vault.records.versions(family):
        record = authority.versions.get(ModelId.parse(row.model))
        if record is None:
            continue  # a row that the log knows nothing of; `doctor` names it
        if judge(authority, actor, Action.LIST, row.model, now).allowed:
            listed.append(Listed(row, record))
    return listed


def show_version(vault: Vault, actor: str, model: ModelId) -> Shown:
    """Return one version's verified statement and record.

    Raises:
        DeniedError: the actor may not list it; an unknown version looks the same to them.
        InvalidError: there is no such version.
        RejectedError: the stored statement is not the published one.
    """
    authority = read_authority(vault)
    require_permission(vault, authority, actor, Action.LIST, str(model))
    if model in authority.unmanaged:
        authority.require_version(model)
    if model not in authority.versions:
        known = [str(other) for other in authority.versions if other.family == model.family]
        hint = f"there is {', '.join(sorted(known)[-3:])}" if known else "see: strongroom list"
        raise InvalidError(f"{model}: no such version", hint=hint)
    return Shown(authority.versions[model], require_statement_of(vault, authority, model))


def shown_to_json(shown: Shown) -> dict[str, Any]:
    """The form that `show --json` prints."""
    record, statement = shown.record, shown.statement
    return {
        "model": str(record.model),
        "state": record.state.value,
        "owner": record.owner,
        "publisher": record.publisher,
        "published_at": record.published_at.isoformat(),
        "format": statement.format,
        "main": statement.main,
        "digest": str(record.manifest),
        "statement": str(record.statement),
        "log_index": record.log_index,
        "approvals": [
            {"approver": one.approver, "approved_at": one.approved_at.isoformat(), "log_index": one.log_index}
            for one in record.approvals
        ],
        "files": [
            {"path": entry.path, "size_bytes": entry.size_bytes, "sha256": entry.sha256.hex}
            for entry in statement.entries
        ],
        "schema": statement.schema,
        "inspection": statement.inspection,
        "dependencies": statement.dependencies,
        "provenance": statement.provenance.to_json() if statement.provenance else None,
    }
