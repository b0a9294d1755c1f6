"""What the steps of the fold ask of every record: its fields, who acted, what they signed."""

from datetime import datetime
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.trust.certificates import public_key_of, require_client
from strongroom.trust.dsse import Envelope, verify
from strongroom.trust.events import Event
from strongroom.trust.grants import EVERYTHING
from strongroom.trust.standing import Credential, Identity, Standing
from strongroom.values import Role, format_time

Changes = dict[str, Any]
"""Fields of the `Standing` that a step replaces."""
SOLO_RULE = "solo-"
"""How the name of a rule begins that holds only while one person is alone (trust/roles.cedar)."""
_OPTIONAL = frozenset({"origin"})
"""Every record may say where the request came from; that changes nothing."""


def fields(event: Event, **kinds: type) -> dict[str, Any]:
    """Return the detail of ``event`` if it has exactly these fields, each of exactly that type."""
    detail = event.detail or {}
    if detail.keys() - _OPTIONAL != kinds.keys():
        raise RejectedError("fields are missing or unknown")
    for name, kind in kinds.items():
        if type(detail[name]) is not kind:
            raise RejectedError(f"{name} is not of type {kind.__name__}")
    return dict(detail)


def require_actor(standing: Standing, event: Event) -> None:
    """Only a known identity that was not revoked acts; before there is any, the home is being made."""
    if standing.identities:
        require_identity(standing, event.actor)


def require_key_admin(standing: Standing, event: Event, at: datetime) -> None:
    """Signing keys are changed by an admin of everything; the first one comes before any identity."""
    require_actor(standing, event)
    if standing.identities and not standing.is_role(event.actor, Role.ADMIN, EVERYTHING, at):
        raise RejectedError(f"{event.actor} was not admin of everything then")


def require_identity(standing: Standing, name: str) -> Identity:
    identity = standing.identities.get(name)
    if identity is None or identity.revoked:
        raise RejectedError(f"{shorten(name)} is no identity, or revoked")
    return identity


def require_solo(standing: Standing, event: Event, otherwise: str) -> None:
    if not standing.solo or not event.rule.startswith(SOLO_RULE):
        raise RejectedError(otherwise)


def credential_of(standing: Standing, event: Event, at: datetime) -> tuple[str, Credential]:
    """Return the certificate in ``event`` if our CA made it for that name and it is valid now."""
    detail = fields(event, name=str, certificate_pem=str, serial=str, not_after=str)
    pem = detail["certificate_pem"].encode()
    peer = require_client((pem,), standing.ca_pem, standing.trust_domain, at)
    claimed = (detail["name"], detail["serial"], detail["not_after"])
    if claimed != (peer.principal, peer.serial, format_time(peer.not_after)):
        raise RejectedError("the certificate is another than the record says")
    if any(one.serial == peer.serial for known in standing.identities.values() for one in known.credentials):
        raise RejectedError(f"certificate {shorten(peer.serial)} is used twice")
    credential = Credential(detail["certificate_pem"], peer.serial, public_key_of(pem), at, peer.not_after)
    return peer.principal, credential


def require_signed(
    standing: Standing, envelope: str, signer: str, payload_type: str, payload: bytes | None, at: datetime
) -> bytes:
    """Return the payload if ``signer`` signed it with a key that was theirs then, and it is ``payload``."""
    keys = require_identity(standing, signer).keys(at)
    signed = verify(Envelope.parse(envelope.encode()), keys, payload_type)
    if payload is not None and signed != payload:
        raise RejectedError(f"{signer} signed something else than is recorded")
    return signed
