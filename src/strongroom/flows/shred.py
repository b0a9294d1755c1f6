"""Shred: the keys of a version, or of a family, are destroyed, so that no copy of its bytes opens ever again.

Deleting a file would leave its copies in backups and on old disks. So what goes is the key that every copy of
the data key is wrapped under, after all others of the family were wrapped anew; then the old wrapped keys are
tried, the outcome is recorded, and only then are the objects removed. Two people decide (docs/revocation.md).
"""

import time
from dataclasses import dataclass
from hashlib import sha256

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.revocations import issue_event, store_list
from strongroom.flows.rotate import Wish, find_key, rotate_key
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
from strongroom.trust.shreds import Shred, Target
from strongroom.values import Action, Digest, KeyUri, ModelId, require_reason

PUBLISH_WAIT_S = 600.0
"""How long it waits for a publication of the family that is under way."""
SHRED_WAIT_S = 60.0
PROOF_DEADLINE_S = 60.0
"""A custody of many machines may take seconds until a version is gone everywhere."""
MAX_ROTATIONS = 3
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Shredded:
    """What was destroyed, or would be."""

    target: str
    keys: int
    """Wrapped data keys that were tried, and refused."""
    objects: int
    """Removed from the store."""
    log_index: int


@dataclass(frozen=True, slots=True)
class _Doomed:
    """One version or upload whose keys go, and where it lies."""

    model: ModelId
    manifest: Digest
    prefix: str
    kept: frozenset[str]
    """What stays, for it says only what there was: digests, names and signatures."""


def request_shred(vault: Vault, actor: str, target: Target, reason: str, *, dry_run: bool = False) -> int:
    """Ask for something to be shredded; somebody else confirms it within a week. Returns the log index.

    Raises:
        DeniedError: the actor is neither owner nor admin of it.
        InvalidError: there is no such thing, its key is another family's too, or it was asked for already.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        decision = require_permission(vault, authority, actor, Action.REQUEST_SHRED, str(target))
        _require_there(authority, target)
        now = moment(vault, authority)
        known = authority.shreds.get(str(target))
        if known is not None and (known.confirmed or known.is_open(now)):
            raise InvalidError(f"{target}: {_state(known)}", hint=f"strongroom shred {target} --confirm")
        require_reason(reason)
        if dry_run:
            return -1
        return record(
            vault,
            build_event(
                vault,
                now,
                actor,
                Action.REQUEST_SHRED,
                str(target),
                rule=decision.rule,
                reason=reason,
                target=str(target),
            ),
        )


def shred(vault: Vault, actor: str, target: Target, *, dry_run: bool = False) -> Shredded:
    """Confirm what somebody else asked for, and carry it out; cut off anywhere, the same call goes on.

    Raises:
        DeniedError: the actor is not admin of everything, or asked for it themselves.
        InvalidError: nobody asked for it lately, or it is done already.
        RejectedError: a key of another version does not open, so that it would be lost; or what is to be gone
            still opens.
        OutageError: custody, store or log did not answer; run it again.
    """
    authority = read_authority(vault)
    known = authority.shreds.get(str(target))
    # (1) permission: to go on with what two people decided, any admin will do
    require_permission(vault, authority, actor, Action.SHRED, "*", subject=_somebody_else(known, actor))
    if known is None or not (known.confirmed or known.is_open(moment(vault, authority))):
        raise InvalidError(
            f"{target}: nobody asked to shred it lately", hint=f"strongroom shred {target} --reason WHY"
        )
    if dry_run:
        return Shredded(str(target), sum(1 for _ in _wrapped(vault, authority, known)), 0, -1)
    with vault.locks.hold(f"shred-{target.family}", SHRED_WAIT_S):
        # (2) the decision, and with it the end of what it names
        _confirm(vault, actor, target)
        # (3) what stays moves to a key that is not doomed
        if target.model is not None and not _current(vault, target).done_at:
            _move_others(vault, actor, target)
        with vault.locks.hold(f"publish-{target.family}", PUBLISH_WAIT_S):
            known = _current(vault, target)
            # (4) the keys go, and that is tried and recorded
            index, tried = known.log_index, 0
            if known.pending:
                _destroy(vault, known)
                index, tried = _prove(vault, actor, known)
            # (5) the objects, which nothing opens any more
            removed = _remove(vault, read_authority(vault), known)
    sync_catalog(vault)
    if known.done_at is not None and not removed:
        raise InvalidError(f"{target}: {_state(known)}")
    return Shredded(str(target), tried, removed, index)


def _somebody_else(known: Shred | None, actor: str) -> str | None:
    """Whom the rule compares the actor with: who asked, or, once confirmed, whoever of the two is another."""
    if known is None:
        return "nobody"
    return known.confirmed_by if known.confirmed and known.requested_by == actor else known.requested_by


def _state(known: Shred) -> str:
    if known.done_at is not None:
        return "is shredded already"
    return "is being shredded already" if known.confirmed else "is to be shredded already, and not confirmed"


def _current(vault: Vault, target: Target) -> Shred:
    return read_authority(vault).shreds[str(target)]


def _require_there(authority: Authority, target: Target) -> None:
    if target.model is not None:
        authority.require_version(target.model)
    elif not authority.has_family(target.family):
        raise InvalidError(f"{target}: no such model", hint="see: strongroom list")
    keys = set(authority.opening_keys(target.family))
    for other in authority.families():
        if other != target.family and keys & set(authority.opening_keys(other)):
            raise InvalidError(
                f"{target}: its key is also that of {other}, which would be lost",
                hint=f"strongroom rotate key {other} --to KEY",
            )


def _confirm(vault: Vault, actor: str, target: Target) -> None:
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        known = authority.shreds[str(target)]
        if known.confirmed:
            return
        decision = require_permission(vault, authority, actor, Action.SHRED, "*", subject=known.requested_by)
        _require_there(authority, target)
        doomed = [
            {"uri": uri, "version": found.newest.version if (found := find_key(vault, uri)) else 1}
            for uri in authority.opening_keys(target.family)
        ]
        event = build_event(
            vault,
            moment(vault, authority),
            actor,
            Action.SHRED,
            str(target),
            rule=decision.rule,
            reason=known.reason,
            target=str(target),
            doomed=doomed,
        )
        record(vault, event, issue_event(vault, actor))
    store_list(vault)


def _move_others(vault: Vault, actor: str, target: Target) -> None:
    """Rotate until nothing but what is doomed stands wrapped under a doomed key."""
    for _ in range(MAX_ROTATIONS):
        authority = read_authority(vault)
        doomed = dict(authority.shreds[str(target)].doomed)
        uri = authority.family_key(target.family)
        bound = authority.family_keys.get(target.family)
        newest = vault.require_keys().describe(uri).newest.version
        if bound is not None and bound.settled and newest > doomed.get(uri, 0):
            return
        rotate_key(vault, actor, Wish(target.family))
    raise RejectedError(f"{target}: the family's key is rotated again and again by others")


def _destroy(vault: Vault, known: Shred) -> None:
    """Destroy each doomed version; of a key that is not in force any more, and of a doomed family, all."""
    authority = read_authority(vault)
    keys = vault.require_keys()
    in_force = authority.family_key(known.target.family) if known.target.model is not None else None
    for text, newest in known.doomed:
        uri = KeyUri(text)
        found = find_key(vault, uri)
        for one in found.versions if found is not None else ():
            if uri != in_force or one.version <= newest:
                keys.destroy(uri, one.version)


def _prove(vault: Vault, actor: str, known: Shred) -> tuple[int, int]:
    """Try every wrapped data key there still is, and record that each was refused."""
    authority = read_authority(vault)
    digest, tried = sha256(), 0
    _require_gone(vault, known)
    for name, stored, context in _wrapped(vault, authority, known):
        _require_closed(vault, name, stored, context)
        digest.update(sha256(stored.wrapped).digest())
        tried += 1
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        event = build_event(
            vault,
            moment(vault, authority),
            actor,
            "shredded",
            str(known.target),
            reason=known.reason,
            target=str(known.target),
            attempts=tried,
            refused=tried,
            wrapped=f"sha256:{digest.hexdigest()}",
        )
        return record(vault, event), tried


def _require_gone(vault: Vault, known: Shred) -> None:
    """The custody must say, too, that no doomed version is there, or that it is disabled until it is gone."""
    in_force = read_authority(vault).family_key(known.target.family)
    for text, newest in known.doomed:
        found = find_key(vault, KeyUri(text))
        for one in found.versions if found is not None else ():
            whole = known.target.model is None or text != in_force
            if one.enabled and (whole or one.version <= newest):
                raise OutageError(
                    f"{text}: version {one.version} is not destroyed",
                    hint="ask its custody why, and run it again",
                )


def _require_closed(vault: Vault, name: str, stored: WrappedKey, context: bytes) -> None:
    keys = vault.require_keys()
    end = time.monotonic() + PROOF_DEADLINE_S
    while True:
        try:
            keys.unwrap(stored.key, stored.wrapped, context)
        except (DeniedError, InvalidError, RejectedError):
            return
        if time.monotonic() > end:
            raise RejectedError(
                f"{name}: still opens under {stored.key}", hint="ask its custody why, and run it again"
            )
        time.sleep(_POLL_S)


def _remove(vault: Vault, authority: Authority, known: Shred) -> int:
    removed = 0
    for doomed in _doomed(authority, known.target):
        for name in list(vault.blobs.list(doomed.prefix)):
            if name not in doomed.kept:
                vault.blobs.delete(name)
                removed += 1
    return removed


def _doomed(authority: Authority, target: Target) -> list[_Doomed]:
    """Versions, and uploads in quarantine: what was refused as this version may be the same model."""
    found = [
        _Doomed(
            model,
            known.manifest,
            layout.prefix(model),
            frozenset(layout.remaining_names(model, known.generation)),
        )
        for model, known in authority.versions.items()
        if target.includes(model)
    ]
    for kept in authority.quarantined.values():
        if target.includes(kept.model):
            report = layout.quarantine_report_name(kept.model, kept.ticket)
            prefix = layout.quarantine_prefix(kept.model, kept.ticket)
            found.append(_Doomed(kept.model, kept.manifest, prefix, frozenset({report})))
    return found


def _wrapped(vault: Vault, authority: Authority, known: Shred) -> list[tuple[str, WrappedKey, bytes]]:
    """Every wrapped data key of what is doomed, of whatever generation, that still stands in the store."""
    found = []
    for doomed in _doomed(authority, known.target):
        for name in vault.blobs.list(doomed.prefix):
            if not name.endswith(f"/{layout.WRAPPED_KEY}"):
                continue
            try:
                stored = WrappedKey.parse(vault.blobs.read(name, layout.MAX_WRAPPED_KEY_BYTES))
            except RejectedError:
                continue  # no wrapped key: nothing in it opens
            found.append((name, stored, data_key_context(doomed.model, doomed.manifest)))
    return found
