"""Rotate the key pair of a person or service: a new key, a new certificate, and the old ones end."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strongroom.errors import InvalidError
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.identity import certificate_detail, issue, require_identity
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    identity_key,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust.fold_keys import MAX_OVERLAP
from strongroom.values import Action, KeyUri, format_time

_FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class RotatedIdentity:
    """The new key pair of somebody, and when what they had before ends."""

    name: str
    key: KeyUri
    until: datetime
    log_index: int
    """-1 where nothing was done."""


def rotate_identity(
    vault: Vault,
    actor: str,
    name: str,
    days: int,
    overlap: timedelta = timedelta(0),
    *,
    dry_run: bool = False,
) -> RotatedIdentity:
    """Give ``name`` a new key pair; gateways refuse the old certificates ``overlap`` after now.

    The old private key leaves this home no more and signs nothing here, whatever the overlap.

    Raises:
        DeniedError: the actor is not admin of everything.
        InvalidError: no such identity, it is revoked, or the overlap is longer than MAX_OVERLAP.
    """
    if not timedelta(0) <= overlap <= MAX_OVERLAP:
        raise InvalidError(f"overlap: must be 0 to {MAX_OVERLAP.days} days")
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.ROTATE_KEY, "*", subject=name)
        identity = require_identity(authority, name)
        now = moment(vault, authority)
        number = len({one.public.key_id for one in identity.credentials}) + 1
        key, until = identity_key(name, number), now + overlap
        if dry_run:
            return RotatedIdentity(name, key, until, -1)
        certificate = issue(vault, name, key, now, days)
        detail = {**certificate_detail(name, certificate), "until": format_time(until)}
        event = build_event(
            vault, now, actor, Action.ROTATE_KEY, name, rule=decision.rule, kind="identity", key=detail
        )
        index = record(vault, event)
        for earlier in range(1, number):
            vault.require_keys().set_enabled(identity_key(name, earlier), _FIRST_VERSION, False)
    sync_catalog(vault)
    return RotatedIdentity(name, key, until, index)
