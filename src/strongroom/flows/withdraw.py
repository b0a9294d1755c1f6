"""Retire and revoke, which only take away: a retired version still verifies, neither loads again."""

from strongroom.errors import InvalidError
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.values import Action, ModelId, State, require_reason


def retire(vault: Vault, actor: str, model: ModelId, reason: str, *, dry_run: bool = False) -> int:
    """Take a version out of service; returns the log index. See `_withdraw` for what is raised."""
    return _withdraw(vault, actor, Action.RETIRE, model, reason, dry_run=dry_run)


def revoke(vault: Vault, actor: str, model: ModelId, reason: str, *, dry_run: bool = False) -> int:
    """Withdraw a version for good; running gateways stop serving it within their snapshot's age."""
    return _withdraw(vault, actor, Action.REVOKE, model, reason, dry_run=dry_run)


def _withdraw(vault: Vault, actor: str, action: Action, model: ModelId, reason: str, *, dry_run: bool) -> int:
    """Raises DeniedError, or InvalidError when there is no such version or it is withdrawn already."""
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, action, str(model))
        known = authority.versions.get(model)
        if known is None:
            raise InvalidError(f"{model}: no such version", hint="see: strongroom list")
        if known.state is State.REVOKED or (known.state is State.RETIRED and action is Action.RETIRE):
            raise InvalidError(f"{model}: is {known.state} already")
        if dry_run:
            return -1
        index = record(
            vault,
            build_event(
                vault,
                moment(vault, authority),
                actor,
                action,
                str(model),
                rule=decision.rule,
                reason=require_reason(reason),
                model=str(model),
            ),
        )
    sync_catalog(vault)
    return index
