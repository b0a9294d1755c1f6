"""Retire: a version is taken out of service. It still verifies; it never loads again."""

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
    """Take a version out of service; returns the log index, -1 with ``dry_run``.

    Raises:
        DeniedError: the actor may not.
        InvalidError: there is no such version, or it is out of service already.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.RETIRE, str(model))
        known = authority.versions.get(model)
        if known is None:
            raise InvalidError(f"{model}: no such version", hint="see: strongroom list")
        if known.state in (State.REVOKED, State.RETIRED):
            raise InvalidError(f"{model}: is {known.state} already")
        if dry_run:
            return -1
        event = build_event(
            vault,
            moment(vault, authority),
            actor,
            Action.RETIRE,
            str(model),
            rule=decision.rule,
            reason=require_reason(reason),
            model=str(model),
        )
        index = record(vault, event)
    sync_catalog(vault)
    return index
