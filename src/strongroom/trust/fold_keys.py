"""Steps of the fold that are about keys: which one a family has, which one signs, which one is lost."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from strongroom.errors import RejectedError, shorten
from strongroom.trust.events import Event
from strongroom.trust.fold_checks import Changes, fields, require_actor, require_key_admin
from strongroom.trust.keyring import KeyHistory, SigningKey
from strongroom.trust.standing import FamilyKey, Standing
from strongroom.values import parse_family, parse_key_uri, parse_time

MAX_EARLIER_KEYS = 8


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
    }


def _rotate_family_key(standing: Standing, value: dict[str, Any], at: datetime) -> Changes:
    match value:
        case {"family": str(name), "uri": str(text), "version": int(version), **rest} if (
            not rest and type(version) is int
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
    return {"family_keys": {**standing.family_keys, family: FamilyKey(uri, version, at, earlier)}}


def _settle_family_key(standing: Standing, value: dict[str, Any]) -> Changes:
    match value:
        case {"family": str(name), "uri": str(uri), "version": int(version), **rest} if (
            not rest and type(version) is int
        ):
            bound = standing.family_keys.get(name)
        case _:
            raise RejectedError("a settled key has a field missing or unknown")
    if bound is None or (bound.uri, bound.version) != (uri, version):
        raise RejectedError(f"{shorten(name)} has another key than was settled")
    return {"family_keys": {**standing.family_keys, name: replace(bound, earlier=())}}


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
