"""Rotate the key that signs statements: what it signed stays good, and it signs nothing new."""

from dataclasses import dataclass
from datetime import timedelta

from strongroom.errors import DeniedError, InvalidError, RejectedError
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
from strongroom.trust.keyring import SigningKey
from strongroom.trust.signatures import PublicKey
from strongroom.values import Action, KeyUri, parse_key_uri

ALGORITHM = "ecdsa-p256"
"""Of OpenSSF model signatures, which have no other that we write."""
TEMPLATE = "file:sign/{number}"
"""Where the next signing key is kept, unless said otherwise; the home is made with number 1."""
_FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class RotatedSigning:
    """Which key signs now."""

    key: KeyUri
    key_id: str
    before: KeyUri
    log_index: int
    """-1 where nothing was done."""


def rotate_signing(
    vault: Vault,
    actor: str,
    to: KeyUri | None = None,
    *,
    template: str = TEMPLATE,
    dry_run: bool = False,
) -> RotatedSigning:
    """Put a new signing key in force and disable the one before it.

    ``to``: where the new key is kept; a key that is there and never signed here is used as it is. Signatures
    are judged at the time when the log recorded them, so that what the old key signed goes on verifying.

    Raises:
        DeniedError: the actor is not admin of everything.
        InvalidError: the key to be put in force signed here before.
    """
    with vault.locks.hold(CONTROL_LOCK):
        authority = read_authority(vault)
        # (1) permission, before any custody hears of the request
        decision = require_permission(vault, authority, actor, Action.ROTATE_KEY, "*")
        uri = parse_key_uri(to) if to is not None else _next(authority, template)
        if uri in (authority.signing_key, *authority.earlier_signing):
            raise InvalidError(f"{uri}: signed here before; a key that was rotated away never returns")
        if dry_run:
            return RotatedSigning(uri, "", authority.signing_key, -1)
        # (2) what an earlier rotation left enabled when it was cut off
        retire_earlier(vault, authority)
        # (3) a key that nobody believes yet, recorded before it is made; then it is put in force
        now = moment(vault, authority)
        record(vault, build_event(vault, now, actor, "create-key", uri, rule=decision.rule))
        public = _create(vault, uri)
        # What the old key signed may be recorded as of this very moment: it ends after that.
        now = max(vault.clock.now(), read_authority(vault).last_time + timedelta(microseconds=1))
        value = SigningKey(public, now).to_value()
        del value["revoked_at"]
        event = build_event(
            vault, now, actor, Action.ROTATE_KEY, uri, rule=decision.rule, kind="signing", key=value
        )
        index = record(vault, event)
        # (4) the old one is disabled in its custody too, where the custody can do that
        retire_earlier(vault, read_authority(vault))
    return RotatedSigning(uri, public.key_id, authority.signing_key, index)


def retire_earlier(vault: Vault, authority: Authority) -> None:
    """Disable signing keys that are not in force any more; the log refuses what they sign in any case."""
    for uri in authority.earlier_signing:
        if is_enabled(vault, uri):
            vault.require_keys().set_enabled(uri, _FIRST_VERSION, False)


def is_enabled(vault: Vault, uri: KeyUri) -> bool:
    """Whether the custody would still sign with it."""
    try:
        vault.require_signers().signer(uri)
    except (DeniedError, InvalidError):
        return False
    return True


def _next(authority: Authority, template: str) -> KeyUri:
    return parse_key_uri(template.format(number=len(authority.earlier_signing) + 2))


def _create(vault: Vault, uri: KeyUri) -> PublicKey:
    """Return the new key; one left by an attempt that was cut off before its record is used."""
    signers = vault.require_signers()
    try:
        signer = signers.signer(uri)
    except InvalidError:
        signer = signers.create_signer(uri, ALGORITHM)
    public = PublicKey.from_pem(signer.public_pem)
    if str(public.algorithm) != ALGORITHM:
        raise RejectedError(f"{uri}: is an {public.algorithm} key; statements are signed with {ALGORITHM}")
    return public
