"""What each allowed event changes, and what must hold for it to be believed.

Each step takes the standing before the event and returns the fields that change. It checks again what the
flow checked before it recorded: a log written by other code, or with a stolen key of one kind only, gives
nobody a right.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from strongroom.errors import RejectedError, shorten
from strongroom.trust.approvals import APPROVAL_TYPE, parse_approval
from strongroom.trust.certificates import parse_trust_domain, require_ca
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import (
    Changes,
    credential_of,
    fields,
    require_actor,
    require_identity,
    require_key_admin,
    require_signed,
    require_solo,
)
from strongroom.trust.fold_holds import hold, lift
from strongroom.trust.fold_inventory import own, register, unregister
from strongroom.trust.fold_keys import bind_key, revoke_key, rotate_key
from strongroom.trust.fold_reseal import note_overdue, reseal
from strongroom.trust.fold_revocations import issue_list, request_shred, revoke_model, shred, shredded
from strongroom.trust.grants import GRANT_TYPE, Grant
from strongroom.trust.signatures import Algorithm, PublicKey
from strongroom.trust.standing import (
    Approval,
    GrantRecord,
    Identity,
    Journal,
    QuarantineRecord,
    Standing,
    VersionRecord,
    WaiverRecord,
)
from strongroom.trust.waivers import WAIVER_TYPE, Waiver
from strongroom.values import (
    Digest,
    ModelId,
    Role,
    State,
    parse_principal,
)

Step = Callable[[Standing, Event, datetime], Changes]

INIT = "init"
MAX_ORIGIN_CHARS = 128
OSV_DATABASE = "osv-database"
SETTINGS = frozenset({OSV_DATABASE})
"""What ``configure`` may set."""
_JOURNAL = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TICKET = re.compile(r"[0-9a-f]{16}", re.ASCII)
_WATCHERS = frozenset({Role.REVIEWER, Role.ADMIN})


def _init(standing: Standing, event: Event, _at: datetime) -> Changes:
    detail = fields(event, trust_domain=str, ca_pem=str, log_origin=str, log_public_pem=str, solo=bool)
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
    require_actor(standing, event)
    name, credential = credential_of(standing, event, at)
    if name in standing.identities:
        raise RejectedError(f"{name} exists or existed; a name is given once")
    return {"identities": {**standing.identities, name: Identity(name, (credential,), at, standing.size)}}


def _renew_identity(standing: Standing, event: Event, at: datetime) -> Changes:
    require_actor(standing, event)
    name, credential = credential_of(standing, event, at)
    identity = require_identity(standing, name)
    renewed = replace(identity, credentials=(*identity.credentials, credential))
    return {"identities": {**standing.identities, name: renewed}}


def _revoke_identity(standing: Standing, event: Event, at: datetime) -> Changes:
    """The whole identity ends; the serials are listed for those who read revocation lists."""
    require_actor(standing, event)
    detail = fields(event, name=str, serials=list)
    identity = require_identity(standing, detail["name"])
    known = {one.serial for one in identity.credentials}
    listed = detail["serials"]
    if not all(isinstance(serial, str) and serial in known for serial in listed):
        raise RejectedError(f"{identity.name} has no such certificate")
    if not set(identity.valid_serials(at)) <= set(listed):
        raise RejectedError(f"{identity.name} has a valid certificate that is not listed")
    return {"identities": {**standing.identities, identity.name: replace(identity, revoked_at=at)}}


def _grant(standing: Standing, event: Event, at: datetime) -> Changes:
    require_actor(standing, event)
    detail = fields(event, grant=dict, envelope=str)
    grant = Grant.from_json(detail["grant"])
    if grant.id in standing.grants:
        raise RejectedError(f"{grant.id} is used twice")
    if grant.granted_by != event.actor:
        raise RejectedError(f"{grant.id} is granted by another than who recorded it")
    require_identity(standing, grant.principal)
    _require_may_grant(standing, event, grant, at)
    require_signed(standing, detail["envelope"], grant.granted_by, GRANT_TYPE, grant.to_bytes(), at)
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
        require_solo(standing, event, "nobody edits their own grants")
    if not standing.is_role(grant.granted_by, Role.ADMIN, grant.resource, at):
        raise RejectedError(f"{grant.granted_by} was not admin of {shorten(grant.resource)} then")


def _revoke_grant(standing: Standing, event: Event, at: datetime) -> Changes:
    require_actor(standing, event)
    grant_id = fields(event, id=str)["id"]
    record = standing.grants.get(grant_id)
    if record is None or record.revoked_at is not None:
        raise RejectedError(f"{shorten(grant_id)} is no grant, or revoked already")
    if record.grant.principal == event.actor:
        require_solo(standing, event, "nobody edits their own grants")
    return {"grants": {**standing.grants, grant_id: replace(record, revoked_at=at)}}


def _publish(standing: Standing, event: Event, at: datetime) -> Changes:
    require_actor(standing, event)
    detail = fields(event, model=str, manifest=str, statement=str, owner=str, publisher=str)
    model = ModelId.parse(detail["model"])
    if model in standing.versions:
        raise RejectedError(f"{model} exists; versions never change")
    if detail["publisher"] != event.actor:
        raise RejectedError(f"{model} is published by another than who recorded it")
    if model.family in standing.revoked_families:
        raise RejectedError(f"{model.family} is revoked")
    standing.require_owner(model, detail["owner"], at)
    version = VersionRecord(
        model,
        Digest.parse(detail["manifest"]),
        Digest.parse(detail["statement"]),
        parse_principal(detail["owner"]),
        event.actor,
        at,
        standing.size,
    )
    unmanaged = {other: known for other, known in standing.unmanaged.items() if other != model}
    return {"versions": {**standing.versions, model: version}, "unmanaged": unmanaged}


def _approve(standing: Standing, event: Event, at: datetime) -> Changes:
    require_actor(standing, event)
    detail = fields(event, model=str, manifest=str, statement=str, envelope=str)
    version = standing.require_version(ModelId.parse(detail["model"]))
    model = version.model
    if version.state not in (State.PUBLISHED, State.APPROVED):
        raise RejectedError(f"{model} is {version.state} and cannot be approved")
    claimed = (Digest.parse(detail["manifest"]), Digest.parse(detail["statement"]))
    if claimed != (version.manifest, version.statement):
        raise RejectedError(f"{model} was published with other bytes than were approved")
    standing.require_owner(model, version.owner, at)
    if event.actor == version.publisher:
        require_solo(standing, event, "nobody approves what they published")
    if any(approval.approver == event.actor for approval in version.approvals):
        raise RejectedError(f"{model} has the approval of {event.actor} already")
    if not standing.is_role(event.actor, Role.REVIEWER, str(model), at):
        raise RejectedError(f"{event.actor} was not reviewer of {model} then")
    payload = require_signed(standing, detail["envelope"], event.actor, APPROVAL_TYPE, None, at)
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
    require_actor(standing, event)
    version = standing.require_version(ModelId.parse(fields(event, model=str)["model"]))
    if version.state not in before:
        raise RejectedError(f"{version.model} is {version.state} and cannot become {state}")
    return {"versions": {**standing.versions, version.model: replace(version, state=state)}}


def _quarantine(standing: Standing, event: Event, at: datetime) -> Changes:
    """Kept by who handed it over; it gives nobody a right."""
    require_actor(standing, event)
    detail = fields(event, ticket=str, model=str, manifest=str, report=str)
    ticket = detail["ticket"]
    if _TICKET.fullmatch(ticket) is None or ticket in standing.quarantined:
        raise RejectedError(f"{shorten(ticket)} is no ticket, or taken")
    if ModelId.parse(detail["model"]).family in standing.revoked_families:
        raise RejectedError(f"{shorten(detail['model'])} is of a family that is revoked")
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
    require_actor(standing, event)
    detail = fields(event, ticket=str, waiver=dict, envelope=str)
    kept = standing.quarantined.get(detail["ticket"])
    waiver = Waiver.from_json(detail["waiver"])
    if kept is None or (waiver.model, waiver.manifest) != (kept.model, kept.manifest):
        raise RejectedError(f"{shorten(detail['ticket'])} is no ticket, or of other bytes")
    if waiver.by != event.actor:
        raise RejectedError("a finding is waived by another than who recorded it")
    if event.actor == kept.publisher:
        require_solo(standing, event, "nobody waives a finding in what they handed over")
    if not standing.is_role(event.actor, Role.REVIEWER, str(kept.model), at):
        raise RejectedError(f"{event.actor} was not reviewer of {kept.model} then")
    if not waiver.is_active(at):
        raise RejectedError("the waiver does not hold yet, or no longer")
    require_signed(standing, detail["envelope"], event.actor, WAIVER_TYPE, waiver.to_bytes(), at)
    return {"waivers": (*standing.waivers, WaiverRecord(waiver, standing.size))}


def _journal_open(standing: Standing, event: Event, at: datetime) -> Changes:
    detail = fields(event, journal=str, public_pem=str)
    name = detail["journal"]
    if _JOURNAL.fullmatch(name) is None or name in standing.journals:
        raise RejectedError(f"{shorten(name)} is no journal name, or taken")
    public = PublicKey.from_pem(detail["public_pem"])
    if public.algorithm is not Algorithm.ED25519:
        raise RejectedError(f"journal {name} has a key that is not ed25519")
    return {"journals": {**standing.journals, name: Journal(name, public, at, standing.size)}}


def _fold(standing: Standing, event: Event, _at: datetime) -> Changes:
    """Batches are folded once each and without a gap."""
    detail = fields(event, journal=str, first=int, last=int, root=str, size=int)
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
    require_key_admin(standing, event, at)
    detail = fields(event, setting=str, value=dict)
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
    "bind-key": bind_key,
    "rotate-key": rotate_key,
    "revoke-key": revoke_key,
    "rotation-overdue": note_overdue,
    "publish": _publish,
    "reseal": reseal,
    "own": own,
    "register": register,
    "unregister": unregister,
    "approve": _approve,
    "hold": hold,
    "lift": lift,
    "retire": _retire,
    "revoke": _revoke,
    "revoke-model": revoke_model,
    "issue-revocations": issue_list,
    "request-shred": request_shred,
    "shred": shred,
    "shredded": shredded,
    "quarantine": _quarantine,
    "waive": _waive,
    "configure": _configure,
    "journal-open": _journal_open,
    "fold": _fold,
}
