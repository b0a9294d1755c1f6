"""Own: somebody else answers for a family from now on, for its earlier versions too."""

from strongroom.errors import DeniedError, InvalidError
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.values import Action, parse_family, parse_principal, require_reason


def own(vault: Vault, actor: str, family: str, owner: str, reason: str = "", *, dry_run: bool = False) -> int:
    """Give every version of ``family`` the owner ``owner``; returns the log index.

    What a version was published with still stands in its statement; who owns it now, the log says.

    Raises:
        DeniedError: the actor may not, or ``owner`` is revoked or long gone.
        InvalidError: ``owner`` is no identity, owns all of it already, or the family has no version.
    """
    parse_family(family)
    parse_principal(owner)
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.OWN, family)
        now = moment(vault, authority)
        owners = {known.owner for model, known in authority.versions.items() if model.family == family}
        if not owners:
            raise InvalidError(f"{family}: has no version", hint="see: strongroom list")
        if owner not in authority.identities:
            raise InvalidError(
                f"{owner}: no such identity", hint=f"an admin runs: strongroom identity add {owner}"
            )
        status = authority.owner_status(owner, now)
        if status.orphans:
            raise DeniedError(f"{owner}: cannot own {family}, is {status}")
        if owners == {owner}:
            raise InvalidError(f"{family}: is owned by {owner} already")
        if dry_run:
            return -1
        return record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.OWN,
                family,
                rule=decision.rule,
                reason=require_reason(reason) if reason else "",
                family=family,
                owner=owner,
            ),
        )
