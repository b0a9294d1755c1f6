"""Steps of the fold that are about keys: which one a family has, which one signs, which one is lost."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import (
    Changes,
    credential_of,
    fields,
    require_actor,
    require_identity,
    require_key_admin,
)
from strongroom.trust.keyring import KeyHistory, SigningKey
from strongroom.trust.standing import FamilyKey, Probe, Standing, default_family_key
from strongroom.values import KeyUri, is_family, parse_family, parse_key_uri, parse_time

MAX_EARLIER_KEYS = 8
MAX_PROBES = 16
"""Of a family: the oldest are forgotten, as they are of versions that were long shown to be out of use."""
MAX_PROBE_CHARS = 2048
MAX_OVERLAP = timedelta(days=7)
"""How long the earlier certificates of an identity that gets a new key pair may go on."""


def bind_key(standing: Standing, event: Event, at: datetime) -> Changes:
    """Where the key of a new family is kept, before anything is wrapped under it."""
    require_actor(standing, event)
    detail = fields(event, family=str, uri=str)
    family = parse_family(detail["family"])
    if family in standing.family_keys or standing.has_family(family):
        raise RejectedError(f"{family} has a key; it is changed by a rotation")
    bound = FamilyKey(parse_key_uri(detail["uri"]), 1, at)
    return {"family_keys": {**standing.family_keys, family: bound}}


def rotate_key(standing: Standing, event: Event, at: datetime) -> Changes:
    """A new key takes over. ``settled``: nothing is wrapped under the family's earlier keys any more."""
    require_key_admin(standing, event, at)
    detail = fields(event, kind=str, key=dict)
    match detail["kind"]:
        case "signing":
            return _rotate_signing_key(standing, event, detail["key"], at)
        case "family":
            return _rotate_family_key(standing, detail["key"], at)
        case "settled":
            return _settle_family_key(standing, detail["key"])
        case "identity":
            return _rotate_identity_key(standing, event, detail["key"], at)
        case _:
            raise RejectedError(f"{shorten(detail['kind'])} is no kind of key that is rotated")


def _rotate_signing_key(standing: Standing, event: Event, value: dict[str, Any], at: datetime) -> Changes:
    """The signing keys before it end."""
    key = SigningKey.parse({"revoked_at": None, **value})
    if "revoked_at" in value:
        raise RejectedError("a new signing key is not revoked yet")
    takes_over = max(at, key.not_before)
    if key.not_after is not None and key.not_after <= takes_over:
        raise RejectedError("the new signing key has ended already")
    earlier = tuple(_ended(old, takes_over) for old in standing.key_history.keys)
    return {
        "key_history": KeyHistory(earlier).with_key(key),
        "signing_key": parse_key_uri(event.subject),
        "earlier_signing": (*standing.earlier_signing, standing.signing_key) if standing.signing_key else (),
    }


def _rotate_family_key(standing: Standing, value: dict[str, Any], at: datetime) -> Changes:
    match value:
        case {"family": str(name), "uri": str(text), "version": int(version), **rest} if (
            rest.keys() <= {"probes", "reencrypt"} and type(version) is int
        ):
            family, uri = parse_family(name), parse_key_uri(text)
        case _:
            raise RejectedError("the new key of a family has a field missing or unknown")
    earlier = tuple(key for key in standing.opening_keys(family) if key != uri)
    bound = standing.family_keys.get(family)
    if version < 1 or (bound is not None and bound.uri == uri and version <= bound.version):
        raise RejectedError(f"{family} has version {version} of its key already")
    if len(earlier) > MAX_EARLIER_KEYS:
        raise RejectedError(f"{family} has more than {MAX_EARLIER_KEYS} keys that were not settled")
    require_own_key(standing, family, uri)
    earlier_probes = bound.probes if bound is not None else ()
    probes = (*earlier_probes, *_parse_probes(rest.get("probes", [])))[-MAX_PROBES:]
    reencrypt = rest.get("reencrypt", False)
    if type(reencrypt) is not bool:
        raise RejectedError("whether to encrypt anew is neither true nor false")
    key = FamilyKey(
        uri,
        version,
        at,
        earlier,
        settled=False,
        probes=probes,
        reencrypt=reencrypt,
        log_index=standing.size,
    )
    return {"family_keys": {**standing.family_keys, family: key}}


def require_own_key(standing: Standing, family: str, uri: KeyUri) -> None:
    """One key protects one family: whoever has that of another cannot read this one.

    Raises:
        RejectedError: it is another family's, or would be that of one that is not there yet.
    """
    shared = [
        other for other in standing.families() if other != family and uri in standing.opening_keys(other)
    ]
    default = uri.removeprefix(default_family_key(""))
    if default not in (uri, family) and is_family(default):
        shared.append(default)
    if shared:
        raise RejectedError(f"{uri}: is the key of {shared[0]}")


def _parse_probes(value: object) -> tuple[Probe, ...]:
    if not isinstance(value, list) or len(value) > MAX_PROBES:
        raise RejectedError("probes are no list, or too many")
    probes = []
    for one in value:
        match one:
            case {"uri": str(uri), "version": int(version), "wrapped": str(wrapped), **rest} if (
                not rest and type(version) is int and 1 <= len(wrapped) <= MAX_PROBE_CHARS
            ):
                probes.append(Probe(parse_key_uri(uri), version, wrapped))
            case _:
                raise RejectedError("a probe has a field missing or unknown")
    return tuple(probes)


def _settle_family_key(standing: Standing, value: dict[str, Any]) -> Changes:
    """What stood wrapped under earlier versions does not any more, and each of these was tried in vain."""
    match value:
        case {"family": str(name), "uri": str(uri), "version": int(version), **rest} if (
            rest.keys() <= {"proof", "disabled"} and type(version) is int
        ):
            bound = standing.family_keys.get(name)
        case _:
            raise RejectedError("a settled key has a field missing or unknown")
    if bound is None or (bound.uri, bound.version) != (uri, version):
        raise RejectedError(f"{shorten(name)} has another key than was settled")
    proven = {(uri, number) for uri, number, _ in _parse_proof(rest.get("proof", []))}
    if any((probe.uri, probe.version) not in proven for probe in bound.probes if not probe.proven):
        raise RejectedError(f"{name} has a key that was not shown to be out of use")
    probes = tuple(replace(probe, proven=True) for probe in bound.probes)
    settled = replace(bound, earlier=(), settled=True, probes=probes)
    return {"family_keys": {**standing.family_keys, name: settled}}


def _parse_proof(value: object) -> list[tuple[str, int, str]]:
    proof = []
    for one in value if isinstance(value, list) else [value]:
        match one:
            case {
                "uri": str(uri),
                "version": int(version),
                "outcome": "denied" | "rejected" as outcome,
                **rest,
            } if not rest and type(version) is int:
                proof.append((uri, version, outcome))
            case _:
                raise RejectedError("a proof has a field missing or unknown")
    return proof


def _rotate_identity_key(standing: Standing, event: Event, value: dict[str, Any], at: datetime) -> Changes:
    """A certificate for a key pair that nobody had; those before it end, at the latest after MAX_OVERLAP."""
    match value:
        case {"until": str(until), **certificate}:
            end = parse_time(until)
        case _:
            raise RejectedError("the new key of an identity has a field missing")
    if not at <= end <= at + MAX_OVERLAP:
        raise RejectedError("the earlier certificates end at a time that is out of bounds")
    name, credential = credential_of(standing, replace(event, detail=certificate), at)
    identity = require_identity(standing, name)
    known = (one for other in standing.identities.values() for one in other.credentials)
    if any(one.public.key_id == credential.public.key_id for one in known):
        raise RejectedError(f"{name} is given a key pair that is not new")
    earlier = tuple(replace(one, not_after=min(one.not_after, end)) for one in identity.credentials)
    rotated = replace(identity, credentials=(*earlier, credential))
    return {"identities": {**standing.identities, name: rotated}}


def _ended(key: SigningKey, at: datetime) -> SigningKey:
    return key if key.not_after is not None and key.not_after <= at else replace(key, not_after=at)


def revoke_key(standing: Standing, event: Event, at: datetime) -> Changes:
    """A key may be revoked from a past time on, when it was lost, but not from a future one."""
    require_key_admin(standing, event, at)
    detail = fields(event, key_id=str, at=str)
    since = parse_time(detail["at"])
    if since > at:
        raise RejectedError("a key is revoked from now or from a past time on")
    return {"key_history": standing.key_history.with_revoked(detail["key_id"], since)}
