"""Revoke: take away for good a version, a model, a signing key, a person or service, or a grant.

Each is one record, and with it a new revocation list; gateways follow within seconds. What was revoked
already is an InvalidError, after the stored list was put right.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any

from strongroom.errors import InvalidError, OutageError, shorten
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.revocations import issue_event, store_list
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.trust.authority import Authority
from strongroom.trust.keyring import SigningKey
from strongroom.trust.policy import Decision
from strongroom.trust.standing import SIGNING
from strongroom.values import Action, ModelId, State, format_time, parse_family, require_reason

MIN_KEY_ID_CHARS = 8
SOMEBODY_ELSE = "somebody-else"


def revoke_version(vault: Vault, actor: str, model: ModelId, reason: str, *, dry_run: bool = False) -> int:
    """End one version for good; returns the log index, -1 with ``dry_run``.

    Raises:
        DeniedError: the actor may not.
        InvalidError: there is no such version, or it is revoked already.
        OutageError: it is not recorded; or it is, and the list could not be stored, which the message says.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.REVOKE, str(model))
        known = authority.versions.get(model)
        if known is None:
            raise InvalidError(f"{model}: no such version", hint="see: strongroom list")
        if known.state is State.REVOKED:
            raise _already(vault, str(model))
        if dry_run:
            return -1
        index = _record(vault, actor, "revoke", str(model), decision, reason, model=str(model))
    return _published(vault, str(model), index)


def revoke_model(vault: Vault, actor: str, family: str, reason: str, *, dry_run: bool = False) -> int:
    """End every version of a family, and its name: nothing is published under it again.

    Raises as `revoke_version` does.
    """
    parse_family(family)
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.REVOKE, family)
        if not authority.has_family(family):
            raise InvalidError(f"{family}: no such model", hint="see: strongroom list")
        if family in authority.revoked_families:
            raise _already(vault, family)
        if dry_run:
            return -1
        index = _record(vault, actor, "revoke-model", family, decision, reason, family=family)
    return _published(vault, family, index)


def revoke_identity(vault: Vault, actor: str, name: str, reason: str, *, dry_run: bool = False) -> int:
    """End an identity for good: every certificate it ever had is refused from now on."""
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.REVOKE_IDENTITY, "*", subject=name)
        identity = authority.identities.get(name)
        if identity is None:
            raise InvalidError(f"{shorten(name)}: no such identity", hint="see: strongroom identity list")
        if identity.revoked:
            raise _already(vault, name)
        if dry_run:
            return -1
        serials = [one.serial for one in identity.credentials]
        index = _record(
            vault, actor, Action.REVOKE_IDENTITY, name, decision, reason, name=name, serials=serials
        )
    return _published(vault, name, index)


def revoke_grant(vault: Vault, actor: str, grant_id: str, reason: str, *, dry_run: bool = False) -> int:
    """End a grant now."""
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        held = authority.grants.get(grant_id)
        resource, subject = (held.grant.resource, held.grant.principal) if held else ("*", SOMEBODY_ELSE)
        decision = require_permission(vault, authority, actor, Action.REVOKE_GRANT, resource, subject=subject)
        if held is None:
            raise InvalidError(f"{shorten(grant_id)}: no such grant", hint="see: strongroom grant list")
        if held.revoked_at is not None:
            raise _already(vault, grant_id)
        if dry_run:
            return -1
        index = _record(
            vault, actor, Action.REVOKE_GRANT, held.grant.principal, decision, reason, id=grant_id
        )
    return _published(vault, grant_id, index)


def revoke_key(
    vault: Vault,
    actor: str,
    key: str,
    reason: str,
    *,
    compromised: bool = False,
    since: datetime | None = None,
    dry_run: bool = False,
) -> int:
    """End a signing key: by default it signs nothing from now on, and what it signed stands.

    ``compromised``: what it signed does not stand either, from ``since`` on or, without that, at all. What
    counts is when the log recorded a version, never a date that the thief could write.
    """
    if since is not None and not compromised:
        raise InvalidError("key: a past time is for one that is compromised", hint="add --compromised")
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.REVOKE_KEY, "*")
        found = find_signing_key(vault, authority, key)
        now = moment(vault, authority)
        at = now if not compromised else found.not_before if since is None else since
        if at > now:
            raise InvalidError("key: is revoked from now or from a past time on")
        if found.revoked_at is not None and found.revoked_at <= at:
            raise _already(vault, f"signing key {found.public.key_id[:16]}")
        if dry_run:
            return -1
        name = found.public.key_id
        detail = {"key_id": name, "at": format_time(at)}
        index = _record(vault, actor, Action.REVOKE_KEY, name, decision, reason, **detail)
    return _published(vault, f"signing key {name[:16]}", index)


def find_signing_key(vault: Vault, authority: Authority, key: str) -> SigningKey:
    """Return the signing key of that id, or of its first characters, or the one in force at that URI.

    Raises:
        InvalidError: there is none, or the characters fit several.
    """
    if key in (authority.signing_key, SIGNING.partition(" ")[0]):
        key = vault.require_signers().signer(authority.signing_key).key_id
    history = authority.key_history.keys
    found = [one for one in history if one.public.key_id.startswith(key)]
    if len(key) < MIN_KEY_ID_CHARS or len(found) != 1:
        ids = ", ".join(one.public.key_id[:16] for one in history[-3:])
        raise InvalidError(
            f"{shorten(key)}: {'several signing keys begin so' if len(found) > 1 else 'no such signing key'}",
            hint=f"give at least {MIN_KEY_ID_CHARS} characters of its id; the newest are {ids}",
        )
    return found[0]


def signed_by(authority: Authority, key_id: str, since: datetime) -> list[ModelId]:
    """Return the versions that the log recorded from ``since`` on while that key was in force."""
    key = authority.key_history.find(key_id)
    if key is None:
        return []
    return [
        model
        for model, known in authority.versions.items()
        if known.published_at >= max(since, key.not_before)
        and (key.not_after is None or known.published_at < key.not_after)
    ]


def _record(
    vault: Vault, actor: str, action: str, subject: str, decision: Decision, reason: str, **detail: Any
) -> int:
    """The decision and the list that says so, all or none."""
    now = moment(vault, read_authority(vault))
    event = build_event(
        vault, now, actor, action, subject, rule=decision.rule, reason=require_reason(reason), **detail
    )
    return record(vault, event, issue_event(vault, actor))


def _published(vault: Vault, what: str, index: int) -> int:
    """The record is there and stands, so an outage from here on must not read as if nothing had happened."""
    try:
        store_list(vault)
    except OutageError as error:
        raise OutageError(
            f"{what}: is revoked, log record {index}, but the list could not be stored: {error.message}",
            hint="hosts that read the log follow all the same; for the others: strongroom revocation refresh",
        ) from None
    sync_catalog(vault)
    return index


def _already(vault: Vault, what: str) -> InvalidError:
    """Whoever was cut off before the list was stored comes by here."""
    with suppress(InvalidError):
        store_list(vault)
    return InvalidError(f"{what}: is revoked already")
