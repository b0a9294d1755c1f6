"""Rotate the key of a family: a new version wraps every data key, and the old ones are shown to open none.

No byte of a model is touched, and what is served goes on being served. Cut off anywhere, the same call goes
on from there: what is under way stands in the log.
"""

from dataclasses import dataclass
from typing import Any

from strongroom.errors import InvalidError, RejectedError
from strongroom.flows.rotate_probe import make_probe, prove_closed
from strongroom.flows.rotate_sweep import Count, held_keys, sweep
from strongroom.flows.vault import (
    CONTROL_LOCK,
    Vault,
    build_event,
    moment,
    read_authority,
    record,
    require_permission,
)
from strongroom.ports import KeyInfo
from strongroom.trust.authority import Authority
from strongroom.trust.fold_keys import require_own_key
from strongroom.trust.standing import FamilyKey, Probe
from strongroom.values import Action, KeyUri, parse_family, parse_key_uri

PUBLISH_WAIT_S = 600.0
"""How long the last sweep waits for a publication of the family that is under way."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be rotated, and how."""

    family: str
    to: KeyUri | None = None
    """Move to this key; None: the next version of the one in force."""
    reopen: int | None = None
    """A version that is let open once more, for data keys that a restored store has under it."""
    reencrypt: bool = False
    """Versions published until now are to be encrypted anew afterwards, by `flows.reencrypt`."""

    def __post_init__(self) -> None:
        parse_family(self.family)
        if self.to is not None:
            parse_key_uri(self.to)
            if self.reopen is not None:
                raise InvalidError(
                    "rotate: a move to another key lets no old version open", hint="do one by one"
                )

    def is_met_by(self, bound: FamilyKey) -> bool:
        """Whether the rotation that is under way is this one."""
        return not bound.settled and self.to in (None, bound.uri) and (bound.reencrypt or not self.reencrypt)


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did, or would do."""

    family: str
    key: KeyUri
    version: int
    keys: int
    """Wrapped data keys that were looked at."""
    rewrapped: int
    damaged: int
    """Of revoked versions and of uploads in quarantine: left as they are."""
    resumed: bool
    log_index: int
    """Of the record that it is settled; -1 where nothing was done."""


def rotate_key(
    vault: Vault, actor: str, wish: Wish, count: Count | None = None, *, dry_run: bool = False
) -> Rotated:
    """Rotate the key of a family; on return nothing is wrapped under the old one, which opens nothing more.

    Raises:
        DeniedError: the actor is not admin of everything.
        InvalidError: there is no such family, or the key to move to is another family's.
        RejectedError: a wrapped data key does not open, or a custody is not where the log says.
        OutageError: custody, store or log did not answer, or a publication did not end; run it again.
    """
    authority = read_authority(vault)
    # (1) permission, before any custody hears of the request
    require_permission(vault, authority, actor, Action.ROTATE_KEY, "*")
    if wish.family not in authority.families():
        raise InvalidError(f"{wish.family}: has no key", hint="it gets one when it is first published")
    if dry_run:
        return _plan(vault, authority, wish)
    with vault.locks.hold(f"rotate-{wish.family}"):
        if wish.reopen is not None:
            _require_version(vault, authority.family_key(wish.family), wish.reopen)
        # (2) what was cut off is finished first
        bound = read_authority(vault).family_keys.get(wish.family)
        resumed = bound is not None and wish.is_met_by(bound)
        if not resumed:
            if bound is not None and not bound.settled and wish.to is None and wish.reopen is None:
                _finish(vault, actor, wish.family, None, resumed=True)
            # (3) a new version, recorded before it exists
            _begin(vault, actor, wish)
        if wish.reopen is not None:
            _reopen(vault, actor, wish.family, wish.reopen)
        return _finish(vault, actor, wish.family, count, resumed=resumed)


def _plan(vault: Vault, authority: Authority, wish: Wish) -> Rotated:
    keys = sum(1 for _ in held_keys(authority, wish.family))
    bound = authority.family_keys.get(wish.family)
    uri = wish.to or authority.family_key(wish.family)
    _require_unshared(authority, wish.family, uri)
    if bound is not None and wish.is_met_by(bound):
        return Rotated(wish.family, bound.uri, bound.version, keys, 0, 0, True, -1)
    known = find_key(vault, uri)
    return Rotated(wish.family, uri, known.newest.version + 1 if known else 1, keys, 0, 0, False, -1)


def _begin(vault: Vault, actor: str, wish: Wish) -> None:
    authority = read_authority(vault)
    current = authority.family_key(wish.family)
    uri = wish.to or current
    _require_unshared(authority, wish.family, uri)
    _require_not_rolled_back(vault, authority.family_keys.get(wish.family))
    probe = make_probe(vault, wish.family, current)
    known = find_key(vault, uri)
    if known is None:
        _create(vault, actor, uri)
        version = 1
    else:
        version = known.newest.version + 1
    key: dict[str, Any] = {"family": wish.family, "uri": uri, "version": version, "probes": [_told(probe)]}
    if wish.reencrypt:
        key["reencrypt"] = True
    _record(vault, actor, uri, "family", key)
    _advance(vault, wish.family)


def _told(probe: Probe) -> dict[str, Any]:
    return {"uri": probe.uri, "version": probe.version, "wrapped": probe.wrapped}


def _reopen(vault: Vault, actor: str, family: str, version: int) -> None:
    """Let an old version open until this rotation is settled."""
    _advance(vault, family)
    uri = read_authority(vault).family_keys[family].uri
    _record_decision(vault, actor, "reopen-key", uri, version=version)
    vault.require_keys().set_enabled(uri, version, True)


def _require_version(vault: Vault, uri: KeyUri, version: int) -> None:
    if version not in {one.version for one in vault.require_keys().describe(uri).versions}:
        raise InvalidError(f"{uri}: has no version {version}", hint="it was destroyed, or never was")


def _create(vault: Vault, actor: str, uri: KeyUri) -> None:
    """Make the key to move to, and see that it works before anything depends on it."""
    _record_decision(vault, actor, "create-key", uri)
    vault.require_keys().create(uri)
    make_probe(vault, "strongroom", uri)


def _finish(vault: Vault, actor: str, family: str, count: Count | None, *, resumed: bool) -> Rotated:
    _advance(vault, family)
    # (4) most of the work, while models are published, loaded and served
    first = sweep(vault, read_authority(vault), family, count)
    with vault.locks.hold(f"publish-{family}", PUBLISH_WAIT_S):
        # (5) the last sweep: nobody can leave a data key under the old version behind it
        authority = read_authority(vault)
        last = sweep(vault, authority, family)
        bound = authority.family_keys[family]
        # (6) old versions are disabled, and shown not to open
        disabled = _disable(vault, authority, family)
        proof = prove_closed(vault, family, _to_prove(bound))
        # (7) settled
        key = {
            "family": family,
            "uri": bound.uri,
            "version": bound.version,
            "disabled": disabled,
            "proof": proof,
        }
        index = _record(vault, actor, bound.uri, "settled", key)
    rewrapped = first.rewrapped + last.rewrapped
    return Rotated(family, bound.uri, bound.version, last.seen, rewrapped, last.damaged, resumed, index)


def _to_prove(bound: FamilyKey) -> list[Probe]:
    """Probes not proven yet, and those of custodies in use, where a version can be let open again."""
    in_use = (bound.uri, *bound.earlier)
    return [probe for probe in bound.probes if not probe.proven or probe.uri in in_use]


def _advance(vault: Vault, family: str) -> None:
    """Bring the custody to where the log says that it is."""
    bound = read_authority(vault).family_keys[family]
    keys = vault.require_keys()
    _require_not_rolled_back(vault, bound)
    if keys.describe(bound.uri).newest.version < bound.version:
        keys.rotate(bound.uri)


def _require_not_rolled_back(vault: Vault, bound: FamilyKey | None) -> None:
    """Only the version of a rotation that is under way may not be there yet."""
    if bound is None:
        return
    behind = bound.version - vault.require_keys().describe(bound.uri).newest.version
    if behind > (0 if bound.settled else 1):
        raise RejectedError(
            f"{bound.uri}: its custody is {behind} versions behind the log: it was rolled back",
            hint="put back the newest copy of the keystore",
        )


def _disable(vault: Vault, authority: Authority, family: str) -> list[dict[str, Any]]:
    """Disable all that is not the newest version of the key in force; returns what is disabled now."""
    keys = vault.require_keys()
    bound = authority.family_keys[family]
    disabled = []
    for uri in (bound.uri, *bound.earlier):
        known = find_key(vault, uri)
        if known is None:
            continue  # destroyed as a whole: opens nothing
        old = known.versions if uri != bound.uri else known.versions[:-1]
        for one in old:
            if one.enabled:
                keys.set_enabled(uri, one.version, False)
        disabled.append({"uri": uri, "versions": [one.version for one in old]})
    return disabled


def find_key(vault: Vault, uri: KeyUri) -> KeyInfo | None:
    """Return what the custody says of a key; None if it has none of that name."""
    try:
        return vault.require_keys().describe(uri)
    except InvalidError:
        return None


def _require_unshared(authority: Authority, family: str, uri: KeyUri) -> None:
    try:
        require_own_key(authority, family, uri)
    except RejectedError as error:
        raise InvalidError(error.message, hint="one key protects one family; choose another") from None


def _record(vault: Vault, actor: str, uri: KeyUri, kind: str, key: dict[str, Any]) -> int:
    return _record_decision(vault, actor, Action.ROTATE_KEY, uri, kind=kind, key=key)


def _record_decision(vault: Vault, actor: str, action: str, uri: KeyUri, **detail: Any) -> int:
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.ROTATE_KEY, "*")
        now = moment(vault, authority)
        return record(vault, build_event(vault, now, actor, action, uri, rule=decision.rule, **detail))
