"""Rotate keys of a home, and see which are due; each function takes the home that it is about."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from strongroom.flows import reencrypt as reencrypting
from strongroom.flows import rotate as rotating
from strongroom.flows.reencrypt import Reencrypted
from strongroom.flows.rotate import Rotated, Wish
from strongroom.flows.rotate_identity import RotatedIdentity
from strongroom.flows.rotate_identity import rotate_identity as rotate_person
from strongroom.flows.rotate_policy import record_overdue
from strongroom.flows.rotate_signing import RotatedSigning
from strongroom.flows.rotate_signing import rotate_signing as rotate_signer
from strongroom.flows.rotate_sweep import held_keys
from strongroom.flows.unsealing import Progress
from strongroom.flows.vault import moment, read_authority
from strongroom.sdk.home import Strongroom
from strongroom.trust.rotation import KeyAge, is_pending, key_ages, unfinished
from strongroom.values import parse_family, parse_key_uri, parse_principal
from strongroom.wiring import save_signing_keys


@dataclass(frozen=True, slots=True)
class RotatedFamily:
    """What rotating a family's key did, or would do."""

    key: Rotated
    reencrypted: Reencrypted | None
    """None where nothing was to be encrypted anew."""


def rotate_key(
    room: Strongroom,
    family: str,
    *,
    to: str | None = None,
    reopen: int | None = None,
    reencrypt: bool = False,
    dry_run: bool = False,
    count: Callable[[int], None] | None = None,
    progress: Progress | None = None,
) -> RotatedFamily:
    """Put a new version of the family's key in force, or the key ``to``; what was cut off goes on.

    ``reencrypt``: encrypt its versions anew too. ``reopen``: let an old version open until this is settled,
    for data keys that a restored store has under it. ``count`` hears of rewrapped keys, ``progress`` of
    bytes.
    """
    vault = room.unlock()
    wish = Wish(parse_family(family), parse_key_uri(to) if to is not None else None, reopen, reencrypt)
    if dry_run:
        return RotatedFamily(rotating.rotate_key(vault, room.acting, wish, dry_run=True), None)
    if is_pending(read_authority(vault), wish.family) and wish == Wish(family, reencrypt=True):
        bound = read_authority(vault).family_keys[family]
        keys = sum(1 for _ in held_keys(read_authority(vault), family))
        key = Rotated(family, bound.uri, bound.version, keys, 0, 0, True, -1)
    else:
        key = rotating.rotate_key(vault, room.acting, wish, count)
    if not unfinished(read_authority(vault), family):
        return RotatedFamily(key, None)
    return RotatedFamily(key, reencrypting.reencrypt(vault, room.acting, family, progress))


def rotate_signing(room: Strongroom, *, to: str | None = None, dry_run: bool = False) -> RotatedSigning:
    """Put a new signing key in force; ``trust.json``, which strangers check with, names it too."""
    vault = room.unlock()
    target = parse_key_uri(to) if to is not None else None
    template = room.settings.keys.signing
    done = rotate_signer(vault, room.acting, target, template=template, dry_run=dry_run)
    if not dry_run:
        save_signing_keys(room.home, vault, read_authority(vault).key_history)
    return done


def rotate_identity(
    room: Strongroom,
    name: str,
    *,
    days: int | None = None,
    overlap: timedelta = timedelta(0),
    dry_run: bool = False,
) -> RotatedIdentity:
    """Give a person or service a new key pair; the old certificates end ``overlap`` from now."""
    lifetime = days or room.settings.identities.certificate_days
    return rotate_person(
        room.unlock(), room.acting, parse_principal(name), lifetime, overlap, dry_run=dry_run
    )


def rotation_status(room: Strongroom) -> list[KeyAge]:
    """Return how old each key is; what is overdue is recorded, once per period, if the keystore is open.

    A ``trust.json`` that is behind the log, as when a rotation was cut off, is brought up to it.
    """
    vault = room._anchored()  # noqa: SLF001 - a function of the same room
    authority = read_authority(vault)
    policy = room.settings.keys.rotation.policy
    if vault.signers is not None:
        save_signing_keys(room.home, vault, authority.key_history)
        record_overdue(vault, room.acting, policy)
    return key_ages(authority, policy, moment(vault, authority))
