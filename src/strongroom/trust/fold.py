"""What each allowed event changes, and what must hold for it to be believed.

Each step takes the standing before the event and returns the fields that change. It checks again what the
flow checked before it recorded: a log written by other code, or with a stolen key of one kind only, gives
nobody a right.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.trust.approvals import APPROVAL_TYPE, parse_approval
from strongroom.trust.certificates import parse_trust_domain, public_key_of, require_ca, require_client
from strongroom.trust.dsse import Envelope, verify
from strongroom.trust.events import Event
from strongroom.trust.grants import EVERYTHING, GRANT_TYPE, Grant
from strongroom.trust.keyring import KeyHistory, SigningKey
from strongroom.trust.signatures import Algorithm, PublicKey
from strongroom.trust.standing import (
    Approval,
    Credential,
    GrantRecord,
    Identity,
    Journal,
    QuarantineRecord,
    Standing,
    VersionRecord,
    WaiverRecord,
)
from strongroom.trust.waivers import WAIVER_TYPE, Waiver
from strongroom.values import Digest, ModelId, Role, State, format_time, parse_principal, parse_time

Changes = dict[str, Any]
Step = Callable[[Standing, Event, datetime], Changes]

INIT = "init"
SOLO_RULE = "solo-"
"""How the name of a rule begins that holds only while one person is alone (trust/roles.cedar)."""
MAX_ORIGIN_CHARS = 128
OSV_DATABASE = "osv-database"
SETTINGS = frozenset({OSV_DATABASE})
"""What ``configure`` may set."""
_JOURNAL = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TICKET = re.compile(r"[0-9a-f]{16}", re.ASCII)
_WATCHERS = frozenset({Role.REVIEWER, Role.ADMIN})
_OPTIONAL = frozenset({"origin"})
"""Every record may say where the request came from; that changes nothing."""


def _init(standing: Standing, event: Event, _at: datetime) -> Changes:
    detail = _fields(event, trust_domain=str, ca_pem=str, log_origin=str, log_public_pem=str, solo=bool)
    if standing.size:
        raise RejectedError("a log begins once")
    require_ca(detail["ca_pem"].encode())
    log_key = PublicKey.from_pem(detail["log_public_pem"])
    if log_key.algorithm is not Algorithm.ED25519:
        raise RejectedError("the log's key is not ed25519")
    if not 1 <= len(detail["log_origin"]) <= MAX_ORIGIN_CHARS:
        raise RejectedError("log origin is out of bounds")
    return {
        "trust_domain": parse_trust_domain(detail["trust_domain"]),
        "ca_pem": detail["ca_pem"].encode(),
        "log_origin": detail["log_origin"],
        "log_public_pem": log_key.pem,
        "insecure_solo": detail["solo"],
        "solo": detail["solo"],
    }


def _add_identity(standing: Standing, event: Event, at: datetime) -> Changes:
    _require_actor(standing, event)
    name, credential = _credential(standing, event, at)
    if name in standing.identities:
        raise RejectedError(f"{name} exists or existed; a name is given once")
    return {"identities": {**standing.identities, name: Identity(name, (credential,), at, standing.size)}}


def _renew_identity(standing: Standing, event: Event, at: datetime) -> Changes:
    _require_actor(standing, event)
    name, credential = _credential(standing, event, at)
    identity = _require_identity(standing, name)
    renewed = replace(identity, credentials=(*identity.credentials, credential))
    return {"identities": {**standing.identities, name: renewed}}


def _revoke_identity(standing: Standing, event: Event, at: datetime) -> Changes:
    """The whole identity ends; the serials are listed for those who read revocation lists."""
    _require_actor(standing, event)
    detail = _fields(event, name=str, serials=list)
    identity = _require_identity(standing, detail["name"])
    known = {one.serial for one in identity.credentials}
    listed = detail["serials"]
    if not all(isinstance(serial, str) and serial in known for serial in listed):
        raise RejectedError(f"{identity.name} has no such certificate")
    if not set(identity.valid_serials(at)) <= set(listed):
        raise RejectedError(f"{identity.name} has a valid certificate that is not listed")
    return {"identities": {**standing.identities, identity.name: replace(identity, revoked_at=at)}}


def _grant(standing: Standing, event: Event, at: datetime) -> Changes:
    _require_actor(standing, event)
    detail = _fields(event, grant=dict, envelope=str)
    grant = Grant.from_json(detail["grant"])
    if grant.id in standing.grants:
        raise RejectedError(f"{grant.id} is used twice")
    if grant.granted_by != event.actor:
        raise RejectedError(f"{grant.id} is granted by another than who recorded it")
    _require_identity(standing, grant.principal)
    _require_may_grant(standing, event, grant, at)
    _require_signed(standing, detail["envelope"], grant.granted_by, GRANT_TYPE, grant.to_bytes(), at)
    watched = grant.principal != grant.granted_by and grant.role in _WATCHERS
    return {
        "grants": {**standing.grants, grant.id: GrantRecord(grant, standing.size)},
        "solo": standing.solo and not watched,
    }


def _require_may_grant(standing: Standing, event: Event, grant: Grant, at: datetime) -> None:
    """The first identity grants itself its first roles while it is the only one; later only an admin may."""
    if len(standing.identities) == 1:
        return
    if grant.principal == grant.granted_by:
        _require_solo(standing, event, "nobody edits their own grants")
    if not standing.is_role(grant.granted_by, Role.ADMIN, grant.resource, at):
        raise RejectedError(f"{grant.granted_by} was not admin of {shorten(grant.resource)} then")


def _revoke_grant(standing: Standing, event: Event, at: datetime) -> Changes:
    _require_actor(standing, event)
    grant_id = _fields(event, id=str)["id"]
    record = standing.grants.get(grant_id)
    if record is None or record.revoked_at is not None:
        raise RejectedError(f"{shorten(grant_id)} is no grant, or revoked already")
    if record.grant.principal == event.actor:
        _require_solo(standing, event, "nobody edits their own grants")
    return {"grants": {**standing.grants, grant_id: replace(record, revoked_at=at)}}


def _rotate_key(standing: Standing, event: Event, at: datetime) -> Changes:
    """A new signing key takes over: the ones before it end. Other kinds of key are not believed by us."""
    _require_key_admin(standing, event, at)
    detail = _fields(event, kind=str, key=dict)
    if detail["kind"] != "signing":
        return {}
    key = SigningKey.parse({"revoked_at": None, **detail["key"]})
    if "revoked_at" in detail["key"]:
        raise RejectedError("a new signing key is not revoked yet")
    takes_over = max(at, key.not_before)
    if key.not_after is not None and key.not_after <= takes_over:
        raise RejectedError("the new signing key has ended already")
    earlier = tuple(_ended(old, takes_over) for old in standing.key_history.keys)
    return {"key_history": KeyHistory(earlier).with_key(key)}


def _ended(key: SigningKey, at: datetime) -> SigningKey:
    return key if key.not_after is not None and key.not_after <= at else replace(key, not_after=at)


def _revoke_key(standing: Standing, event: Event, at: datetime) -> Changes:
    """A key may be revoked from a past time on, when it was lost, but not from a future one."""
    _require_key_admin(standing, event, at)
    detail = _fields(event, key_id=str, at=str)
    since = parse_time(detail["at"])
    if since > at:
        raise RejectedError("a key is revoked from now or from a past time on")
    return {"key_history": standing.key_history.with_revoked(detail["key_id"], since)}


def _publish(standing: Standing, event: Event, at: datetime) -> Changes:
    _require_actor(standing, event)
    detail = _fields(event, model=str, manifest=str, statement=str, owner=str, publisher=str)
    model = ModelId.parse(detail["model"])
    if model in standing.versions:
        raise RejectedError(f"{model} exists; versions never change")
    if detail["publisher"] != event.actor:
        raise RejectedError(f"{model} is published by another than who recorded it")
    version = VersionRecord(
        model,
        Digest.parse(detail["manifest"]),
        Digest.parse(detail["statement"]),
        parse_principal(detail["owner"]),
        event.actor,
        at,
        standing.size,
    )
    return {"versions": {**standing.versions, model: version}}


def _approve(standing: Standing, event: Event, at: datetime) -> Changes:
    _require_actor(standing, event)
    detail = _fields(event, model=str, manifest=str, statement=str, envelope=str)
    version = standing.require_version(ModelId.parse(detail["model"]))
    model = version.model
    if version.state not in (State.PUBLISHED, State.APPROVED):
        raise RejectedError(f"{model} is {version.state} and cannot be approved")
    claimed = (Digest.parse(detail["manifest"]), Digest.parse(detail["statement"]))
    if claimed != (version.manifest, version.statement):
        raise RejectedError(f"{model} was published with other bytes than were approved")
    if event.actor == version.publisher:
        _require_solo(standing, event, "nobody approves what they published")
    if any(approval.approver == event.actor for approval in version.approvals):
        raise RejectedError(f"{model} has the approval of {event.actor} already")
    if not standing.is_role(event.actor, Role.REVIEWER, str(model), at):
        raise RejectedError(f"{event.actor} was not reviewer of {model} then")
    payload = _require_signed(standing, detail["envelope"], event.actor, APPROVAL_TYPE, None, at)
    *signed, signed_at = parse_approval(payload)
    if signed != [model, *claimed, event.actor] or not version.published_at <= signed_at <= at:
        raise RejectedError(f"{model} approval was signed for something else")
    approval = Approval(event.actor, *claimed, at, standing.size)
    approved = replace(version, state=State.APPROVED, approvals=(*version.approvals, approval))
    return {"versions": {**standing.versions, model: approved}}


def _retire(standing: Standing, event: Event, _at: datetime) -> Changes:
    return _withdraw(standing, event, State.RETIRED, (State.PUBLISHED, State.APPROVED))


def _revoke(standing: Standing, event: Event, _at: datetime) -> Changes:
    return _withdraw(standing, event, State.REVOKED, (State.PUBLISHED, State.APPROVED, State.RETIRED))


def _withdraw(standing: Standing, event: Event, state: State, before: tuple[State, ...]) -> Changes:
    _require_actor(standing, event)
    version = standing.require_version(ModelId.parse(_fields(event, model=str)["model"]))
    if version.state not in before:
        raise RejectedError(f"{version.model} is {version.state} and cannot become {state}")
    return {"versions": {**standing.versions, version.model: replace(version, state=state)}}


def _quarantine(standing: Standing, event: Event, at: datetime) -> Changes:
    """Kept by who handed it over; it gives nobody a right."""
    _require_actor(standing, event)
    detail = _fields(event, ticket=str, model=str, manifest=str, report=str)
    ticket = detail["ticket"]
    if _TICKET.fullmatch(ticket) is None or ticket in standing.quarantined:
        raise RejectedError(f"{shorten(ticket)} is no ticket, or taken")
    kept = QuarantineRecord(
        ticket,
        ModelId.parse(detail["model"]),
        Digest.parse(detail["manifest"]),
        Digest.parse(detail["report"]),
        event.actor,
        at,
        standing.size,
    )
    return {"quarantined": {**standing.quarantined, ticket: kept}}


def _waive(standing: Standing, event: Event, at: datetime) -> Changes:
    """A reviewer lets one finding pass in what somebody else handed over."""
    _require_actor(standing, event)
    detail = _fields(event, ticket=str, waiver=dict, envelope=str)
    kept = standing.quarantined.get(detail["ticket"])
    waiver = Waiver.from_json(detail["waiver"])
    if kept is None or (waiver.model, waiver.manifest) != (kept.model, kept.manifest):
        raise RejectedError(f"{shorten(detail['ticket'])} is no ticket, or of other bytes")
    if waiver.by != event.actor:
        raise RejectedError("a finding is waived by another than who recorded it")
    if event.actor == kept.publisher:
        _require_solo(standing, event, "nobody waives a finding in what they handed over")
    if not standing.is_role(event.actor, Role.REVIEWER, str(kept.model), at):
        raise RejectedError(f"{event.actor} was not reviewer of {kept.model} then")
    if not waiver.is_active(at):
        raise RejectedError("the waiver does not hold yet, or no longer")
    _require_signed(standing, detail["envelope"], event.actor, WAIVER_TYPE, waiver.to_bytes(), at)
    return {"waivers": (*standing.waivers, WaiverRecord(waiver, standing.size))}


def _journal_open(standing: Standing, event: Event, at: datetime) -> Changes:
    detail = _fields(event, journal=str, public_pem=str)
    name = detail["journal"]
    if _JOURNAL.fullmatch(name) is None or name in standing.journals:
        raise RejectedError(f"{shorten(name)} is no journal name, or taken")
    public = PublicKey.from_pem(detail["public_pem"])
    if public.algorithm is not Algorithm.ED25519:
        raise RejectedError(f"journal {name} has a key that is not ed25519")
    return {"journals": {**standing.journals, name: Journal(name, public, at, standing.size)}}


def _fold(standing: Standing, event: Event, _at: datetime) -> Changes:
    """Batches are folded once each and without a gap."""
    detail = _fields(event, journal=str, first=int, last=int, root=str, size=int)
    journal = standing.journals.get(detail["journal"])
    if journal is None:
        raise RejectedError(f"{shorten(detail['journal'])} is no journal that was opened")
    first, last = detail["first"], detail["last"]
    follows = first in (0, 1) if journal.folded is None else first == journal.folded + 1
    if not follows or last < first or detail["size"] < 1:
        raise RejectedError(f"journal {journal.name} is folded with a gap or twice, at batch {first}")
    return {"journals": {**standing.journals, journal.name: replace(journal, folded=last)}}


def _configure(standing: Standing, event: Event, at: datetime) -> Changes:
    """What an admin of everything set for the whole home; what each value means is its reader's business."""
    _require_key_admin(standing, event, at)
    detail = _fields(event, setting=str, value=dict)
    if detail["setting"] not in SETTINGS:
        raise RejectedError(f"{shorten(detail['setting'])} is no setting that is recorded")
    return {"settings": {**standing.settings, detail["setting"]: detail["value"]}}


STEPS: Mapping[str, Step] = {
    INIT: _init,
    "add-identity": _add_identity,
    "renew-identity": _renew_identity,
    "revoke-identity": _revoke_identity,
    "grant": _grant,
    "revoke-grant": _revoke_grant,
    "rotate-key": _rotate_key,
    "revoke-key": _revoke_key,
    "publish": _publish,
    "approve": _approve,
    "retire": _retire,
    "revoke": _revoke,
    "quarantine": _quarantine,
    "waive": _waive,
    "configure": _configure,
    "journal-open": _journal_open,
    "fold": _fold,
}


def _fields(event: Event, **kinds: type) -> dict[str, Any]:
    """Return the detail of ``event`` if it has exactly these fields, each of exactly that type."""
    detail = event.detail or {}
    if detail.keys() - _OPTIONAL != kinds.keys():
        raise RejectedError("fields are missing or unknown")
    for name, kind in kinds.items():
        if type(detail[name]) is not kind:
            raise RejectedError(f"{name} is not of type {kind.__name__}")
    return dict(detail)


def _require_actor(standing: Standing, event: Event) -> None:
    """Only a known identity that was not revoked acts; before there is any, the home is being made."""
    if standing.identities:
        _require_identity(standing, event.actor)


def _require_key_admin(standing: Standing, event: Event, at: datetime) -> None:
    """Signing keys are changed by an admin of everything; the first one comes before any identity."""
    _require_actor(standing, event)
    if standing.identities and not standing.is_role(event.actor, Role.ADMIN, EVERYTHING, at):
        raise RejectedError(f"{event.actor} was not admin of everything then")


def _require_identity(standing: Standing, name: str) -> Identity:
    identity = standing.identities.get(name)
    if identity is None or identity.revoked:
        raise RejectedError(f"{shorten(name)} is no identity, or revoked")
    return identity


def _require_solo(standing: Standing, event: Event, otherwise: str) -> None:
    if not standing.solo or not event.rule.startswith(SOLO_RULE):
        raise RejectedError(otherwise)


def _credential(standing: Standing, event: Event, at: datetime) -> tuple[str, Credential]:
    """Return the certificate in ``event`` if our CA made it for that name and it is valid now."""
    detail = _fields(event, name=str, certificate_pem=str, serial=str, not_after=str)
    pem = detail["certificate_pem"].encode()
    peer = require_client((pem,), standing.ca_pem, standing.trust_domain, at)
    claimed = (detail["name"], detail["serial"], detail["not_after"])
    if claimed != (peer.principal, peer.serial, format_time(peer.not_after)):
        raise RejectedError("the certificate is another than the record says")
    if any(one.serial == peer.serial for known in standing.identities.values() for one in known.credentials):
        raise RejectedError(f"certificate {shorten(peer.serial)} is used twice")
    credential = Credential(detail["certificate_pem"], peer.serial, public_key_of(pem), at, peer.not_after)
    return peer.principal, credential


def _require_signed(
    standing: Standing, envelope: str, signer: str, payload_type: str, payload: bytes | None, at: datetime
) -> bytes:
    """Return the payload if ``signer`` signed it with a key that was theirs then, and it is ``payload``."""
    keys = _require_identity(standing, signer).keys(at)
    signed = verify(Envelope.parse(envelope.encode()), keys, payload_type)
    if payload is not None and signed != payload:
        raise RejectedError(f"{signer} signed something else than is recorded")
    return signed
