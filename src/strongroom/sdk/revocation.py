"""What is revoked in a home, for people and for TLS stacks; and destroying models for good."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from strongroom.errors import InvalidError
from strongroom.flows import layout
from strongroom.flows import revocations as listing
from strongroom.flows import shred as shredding
from strongroom.flows.revoke import find_signing_key, signed_by
from strongroom.flows.vault import moment, read_authority
from strongroom.sdk.home import Strongroom
from strongroom.trust.revocations import MAX_LIST_BYTES, RevocationList
from strongroom.trust.shreds import Target
from strongroom.values import ModelId

LIST_FILE = "revocations.json"
CRL_FILE = "revocations.crl"


@dataclass(frozen=True, slots=True)
class ListStatus:
    """The stored revocation list and how it stands to the log."""

    listed: RevocationList
    ends_at: datetime
    """From when on it counts for nothing."""
    fresh: bool
    current: bool
    """Whether it is the newest that the log knows of."""


def find_list(room: Strongroom) -> ListStatus | None:
    """Return the stored list, verified; None if there is none.

    Raises:
        RejectedError: it is not one that this home's log signed, or the log here was rolled back behind it.
    """
    authority = read_authority(room.vault)
    listed = listing.read_list(room.vault)
    if listed is None:
        return None
    listing.require_log_of(room.vault, listed)
    end = listed.issue.issued_at + timedelta(seconds=listed.issue.max_age_s)
    fresh = moment(room.vault, authority) < end
    return ListStatus(listed, end, fresh, listed.issue == authority.issue)


def refresh_list(room: Strongroom) -> RevocationList:
    """Issue the list anew and store it; while something serves, that happens by itself."""
    return listing.issue_list(room.unlock(), room.acting)


def export_list(room: Strongroom, folder: str | Path) -> list[Path]:
    """Write list and CRL as files, for hosts and TLS stacks elsewhere; files that are there are replaced.

    Raises:
        InvalidError: there is no list yet, or the folder cannot be written.
    """
    if find_list(room) is None:
        raise InvalidError("revocation list: there is none", hint="strongroom revocation refresh")
    target = Path(folder)
    written = []
    for name, source in ((LIST_FILE, layout.REVOCATIONS), (CRL_FILE, layout.CRL)):
        data = room.vault.blobs.read(source, MAX_LIST_BYTES)
        path, draft = target / name, target / f".{name}.{os.getpid()}"
        try:
            target.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(data)
            draft.replace(path)
        except OSError as error:
            raise InvalidError(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None
        written.append(path)
    return written


def versions_signed_by(room: Strongroom, key: str) -> list[ModelId]:
    """Return the versions that a revoked signing key takes along."""
    vault = room.unlock()
    authority = read_authority(vault)
    found = find_signing_key(vault, authority, key)
    if found.revoked_at is None:
        return []
    return signed_by(authority, found.public.key_id, found.revoked_at)


def request_shred(room: Strongroom, target: str, reason: str, *, dry_run: bool = False) -> int:
    """Ask for a version or family to be shredded; another person confirms it. Returns the log index."""
    return shredding.request_shred(room.unlock(), room.acting, Target.parse(target), reason, dry_run=dry_run)


def shred(room: Strongroom, target: str, *, dry_run: bool = False) -> shredding.Shredded:
    """Destroy what another person asked to shred, prove it, and remove what is left; see `flows.shred`."""
    return shredding.shred(room.unlock(), room.acting, Target.parse(target), dry_run=dry_run)
