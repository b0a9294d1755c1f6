"""Establish: the first records of a new home, from which every later right descends."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from strongroom.flows.grant import sign_grant
from strongroom.flows.vault import SIGNING_KEY, Vault, build_event, identity_key, record
from strongroom.trust.certificates import serial_text
from strongroom.trust.grants import ID_ENTROPY_BYTES, Grant, build_grant_id
from strongroom.trust.keyring import SigningKey
from strongroom.trust.signatures import PublicKey
from strongroom.values import Action, Role, format_time, parse_principal

FOUNDER_ROLES = (Role.ADMIN, Role.OWNER, Role.DEPLOYER, Role.OPERATOR, Role.CONSUMER, Role.AUDITOR)
FOUNDER_DAYS = 365


@dataclass(frozen=True, slots=True)
class Founder:
    name: str
    certificate_days: int
    solo: bool = False
    """The founder may approve their own uploads until a second person exists; spelled ``--insecure-solo``."""


def establish(vault: Vault, founder: Founder) -> None:
    """Write the first records: trust anchors, signing key, first identity, its grants.

    The founder is admin and everything else but reviewer: a second person approves, unless ``solo``.
    """
    name = parse_principal(founder.name)
    now = vault.clock.now()
    signers = vault.require_signers()
    root = vault.trust_root
    signing = signers.signer(SIGNING_KEY)
    key = signers.create_signer(identity_key(name), "ecdsa-p256")
    certificate = vault.require_ca().issue_client(
        name, key.public_pem, now, int(timedelta(days=founder.certificate_days).total_seconds())
    )
    roles = (*FOUNDER_ROLES, Role.REVIEWER) if founder.solo else FOUNDER_ROLES
    rule = "solo" if founder.solo else "init"
    events = [
        build_event(
            vault,
            now,
            name,
            "init",
            "*",
            rule=rule,
            trust_domain=root.trust_domain,
            ca_pem=root.ca_pem.decode(),
            log_origin=root.log_origin,
            log_public_pem=root.log_public_key.pem.decode(),
            solo=founder.solo,
        ),
        build_event(
            vault,
            now,
            name,
            Action.ROTATE_KEY,
            SIGNING_KEY,
            rule=rule,
            kind="signing",
            key=_new_key(SigningKey(PublicKey.from_pem(signing.public_pem), now)),
        ),
        build_event(
            vault,
            now,
            name,
            Action.ADD_IDENTITY,
            name,
            rule=rule,
            name=name,
            certificate_pem=certificate.certificate_pem.decode(),
            serial=serial_text(certificate.serial),
            not_after=format_time(certificate.not_after),
        ),
    ]
    for role in roles:
        grant = Grant(
            id=build_grant_id(vault.entropy.bytes(ID_ENTROPY_BYTES)),
            principal=name,
            role=role,
            resource="*",
            start=now,
            end=now + timedelta(days=FOUNDER_DAYS),
            reason="first identity",
            granted_by=name,
        )
        events.append(
            build_event(
                vault,
                now,
                name,
                Action.GRANT,
                name,
                rule=rule,
                grant=grant.to_json(),
                envelope=sign_grant(vault, grant),
            )
        )
    record(vault, *events)


def _new_key(key: SigningKey) -> dict[str, Any]:
    """The record of a key that begins; a revocation has a record of its own."""
    return {name: value for name, value in key.to_value().items() if name != "revoked_at"}
