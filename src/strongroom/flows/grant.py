"""Grants: who may be what, on what, until when. Every grant ends; ending it earlier is `flows.revoke`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strongroom.errors import InvalidError
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    judge,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust import dsse
from strongroom.trust.grants import (
    GRANT_TYPE,
    ID_ENTROPY_BYTES,
    MAX_DURATION,
    Grant,
    build_grant_id,
    parse_resource,
)
from strongroom.trust.policy import Decision
from strongroom.values import Action, Role, parse_principal, require_reason

SOMEBODY_ELSE = "somebody-else"


@dataclass(frozen=True, slots=True)
class Wish:
    """The grant that is asked for."""

    principal: str
    role: Role
    resource: str
    duration: timedelta
    reason: str
    start: datetime | None = None
    """None: now."""


def grant(vault: Vault, actor: str, wish: Wish, *, dry_run: bool = False) -> Grant:
    """Give a role with an end; returns the grant as recorded.

    Raises:
        DeniedError: the actor may not, or grants to themselves.
        InvalidError: no such identity or resource, or the duration is not allowed.
    """
    parse_principal(wish.principal)
    parse_resource(wish.resource)
    if wish.duration > MAX_DURATION:
        raise InvalidError(f"grant: longer than {MAX_DURATION.days} days", hint="grant less and renew")
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(
            vault,
            authority,
            actor,
            Action.GRANT,
            wish.resource,
            subject=wish.principal,
        )
        identity = authority.identities.get(wish.principal)
        if identity is None or identity.revoked:
            raise InvalidError(f"{wish.principal}: no such identity", hint="strongroom identity add")
        now = moment(vault, authority)
        start = wish.start or now
        made = Grant(
            id=build_grant_id(vault.entropy.bytes(ID_ENTROPY_BYTES)),
            principal=wish.principal,
            role=wish.role,
            resource=wish.resource,
            start=start,
            end=_end_of(start, wish.duration),
            reason=require_reason(wish.reason),
            granted_by=actor,
        )
        if dry_run:
            return made
        record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.GRANT,
                wish.principal,
                rule=decision.rule,
                reason=wish.reason,
                grant=made.to_json(),
                envelope=sign_grant(vault, made),
            ),
        )
    return made


def _end_of(start: datetime, duration: timedelta) -> datetime:
    try:
        return start + duration
    except OverflowError:
        raise InvalidError("grant: its end is beyond all calendars", hint="grant less and renew") from None


def sign_grant(vault: Vault, made: Grant) -> str:
    """Return the envelope in which the granting admin's own key signs the grant."""
    signer = vault.identity_signer(made.granted_by)
    return dsse.sign_envelope(GRANT_TYPE, made.to_bytes(), signer).to_bytes().decode()


def can(vault: Vault, principal: str, action: Action, resource: str) -> Decision:
    """Say whether ``principal`` may now, and which rule decides; changes and records nothing."""
    authority = read_authority(vault)
    known = next((v for model, v in authority.versions.items() if str(model) == resource), None)
    # Rules about whose upload or whose grant it is are answered for somebody else's.
    return judge(
        authority,
        principal,
        action,
        resource,
        moment(vault, authority),
        publisher=known.publisher if known else SOMEBODY_ELSE,
        subject=SOMEBODY_ELSE,
        exists=known is not None,
    )
