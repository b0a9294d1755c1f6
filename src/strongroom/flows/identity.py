"""Identities: add, renew and export the key pairs with certificates that people and services are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strongroom.errors import InvalidError
from strongroom.flows.catalog import sync_catalog
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
from strongroom.ports import IssuedCertificate
from strongroom.trust.authority import Authority, Identity
from strongroom.trust.certificates import serial_text
from strongroom.values import Action, KeyUri, format_time, parse_principal


def add_identity(vault: Vault, actor: str, name: str, days: int, *, dry_run: bool = False) -> int:
    """Create a key pair and its certificate; it may do nothing until granted a role. Returns the log index.

    Raises:
        DeniedError: the actor may not.
        InvalidError: the name exists, or did: names are never used again.
    """
    parse_principal(name)
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.ADD_IDENTITY, "*", subject=name)
        if name in authority.identities:
            raise InvalidError(f"{name}: exists already", hint="names of identities are never used again")
        if dry_run:
            return -1
        now = moment(vault, authority)
        certificate = issue(vault, name, identity_key(name), now, days)
        index = record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.ADD_IDENTITY,
                name,
                rule=decision.rule,
                **certificate_detail(name, certificate),
            ),
        )
    sync_catalog(vault)
    return index


def renew_identity(vault: Vault, actor: str, name: str, days: int, *, dry_run: bool = False) -> int:
    """Issue the next certificate for the same key pair. Admins may, their own and expired ones too."""
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(
            vault,
            authority,
            actor,
            Action.RENEW_IDENTITY,
            "*",
            subject=name,
        )
        identity = require_identity(authority, name)
        if dry_run:
            return -1
        now = moment(vault, authority)
        certificate = issue(vault, name, identity_key(name, identity.key_number), now, days)
        index = record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.RENEW_IDENTITY,
                name,
                rule=decision.rule,
                **certificate_detail(name, certificate),
            ),
        )
    sync_catalog(vault)
    return index


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a stock client needs to be an identity; ``key_pem`` is secret."""

    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes


def export_identity(vault: Vault, actor: str, name: str) -> Credentials:
    """Hand out an identity's certificate and private key, recorded before it happens; one's own, or as admin.

    Raises:
        DeniedError: the actor may not.
        InvalidError: no such identity.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.EXPORT_IDENTITY, "*", subject=name)
        identity = require_identity(authority, name)
        event = build_event(
            vault, moment(vault, authority), actor, Action.EXPORT_IDENTITY, name, rule=decision.rule
        )
        record(vault, event)
    return Credentials(
        identity.certificate_pem.encode(),
        vault.require_tls_keys().private_pem(identity_key(name, identity.key_number)),
        vault.trust_root.ca_pem,
    )


def require_identity(authority: Authority, name: str) -> Identity:
    identity = authority.identities.get(name)
    if identity is None:
        raise InvalidError(f"{name}: no such identity", hint="see: strongroom identity list")
    if identity.revoked:
        raise InvalidError(f"{name}: is revoked", hint="add an identity under another name")
    return identity


def issue(vault: Vault, name: str, key: KeyUri, now: datetime, days: int) -> IssuedCertificate:
    """Return a certificate for the key pair at ``key``, which is made if it is not there."""
    signers = vault.require_signers()
    # A key pair left by an attempt that was cut off before its record is used: nobody else has it.
    try:
        signer = signers.signer(key)
    except InvalidError:
        signer = signers.create_signer(key, "ecdsa-p256")
    lifetime_s = int(timedelta(days=days).total_seconds())
    return vault.require_ca().issue_client(name, signer.public_pem, now, lifetime_s)


def certificate_detail(name: str, certificate: IssuedCertificate) -> dict[str, str]:
    return {
        "name": name,
        "certificate_pem": certificate.certificate_pem.decode(),
        "serial": serial_text(certificate.serial),
        "not_after": format_time(certificate.not_after),
    }
