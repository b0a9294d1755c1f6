"""Every flow that changes something, as a table: how to call it, how to see in the log that it happened."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from strongroom.flows.approve import approve
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.grant import Wish, grant
from strongroom.flows.identity import add_identity, renew_identity
from strongroom.flows.journal import Folding, certify_journal
from strongroom.flows.publish import publish
from strongroom.flows.release import release, verify
from strongroom.flows.retire import retire
from strongroom.flows.revoke import revoke_grant, revoke_identity, revoke_key, revoke_model, revoke_version
from strongroom.flows.serving import Served, record_start
from strongroom.flows.vault import Vault, read_authority
from strongroom.trust.authority import Authority
from strongroom.trust.journal import JournalSigner
from strongroom.values import Role, State
from tests import models
from tests.flows.scene import (
    ADMIN,
    DEPLOYER,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    STRANGER,
    TWO,
    Scene,
    furnished,
)
from tests.unit.trust import chronicle

JOURNAL = bytes(range(16))
SIGNER = JournalSigner(b"J" * 32)
NEW = "nora"


@dataclass(frozen=True)
class Verb:
    name: str
    act: Callable[[Scene, Vault], Any]
    happened: Callable[[Authority], bool]
    """Whether the log says so."""
    prepare: Callable[[Scene], None] = lambda scene: None
    gives: str = ""
    """The action whose record must be there before anything is given out."""

    def scene(self) -> Scene:
        """A home in which it can be done."""
        return _prepared(self.name).copy()


@cache
def _prepared(name: str) -> Scene:
    made = furnished()
    next(verb for verb in VERBS if verb.name == name).prepare(made)
    read_authority(made.vault)
    return made


def _grant_of(authority: Authority, principal: str, role: Role) -> bool:
    return authority.is_role(principal, role, "*", authority.last_time)


def _state(state: State) -> Callable[[Authority], bool]:
    return lambda authority: authority.versions[ONE].state is state


def _end_grant(scene: Scene, vault: Vault) -> None:
    held = [g for g in read_authority(vault).grants.values() if g.grant.principal == REVIEWER]
    revoke_grant(vault, ADMIN, held[0].grant.id, "no longer needed")


def _release(scene: Scene, vault: Vault) -> None:
    release(vault, OPERATOR, ONE).close()


def _forget_catalog(scene: Scene) -> None:
    scene.records._versions.clear()
    scene.records._identities.clear()


def _open_journal(scene: Scene) -> None:
    certify_journal(scene.vault, OPERATOR, JOURNAL.hex(), SIGNER.public_pem.decode())
    batches = chronicle.batches(2, 3, journal=JOURNAL, signer=SIGNER)
    scene.journals.files[JOURNAL.hex()] = chronicle.journal_file(batches, JOURNAL)


def _fold(scene: Scene, vault: Vault) -> None:
    Folding(vault, OPERATOR).fold()


def _serve(scene: Scene, vault: Vault) -> None:
    authority = read_authority(vault)
    record_start(vault, OPERATOR, [Served.choose(vault, authority, "fraud")], [])


VERBS = [
    Verb(
        "add-identity",
        lambda scene, vault: add_identity(vault, ADMIN, NEW, 7),
        lambda authority: NEW in authority.identities,
    ),
    Verb(
        "renew-identity",
        lambda scene, vault: renew_identity(vault, ADMIN, REVIEWER, 7),
        lambda authority: len(authority.identities[REVIEWER].credentials) > 1,
    ),
    Verb(
        "revoke-identity",
        lambda scene, vault: revoke_identity(vault, ADMIN, REVIEWER, "left"),
        lambda authority: authority.identities[REVIEWER].revoked,
    ),
    Verb(
        "grant",
        lambda scene, vault: grant(
            vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", timedelta(days=1), "an audit")
        ),
        lambda authority: _grant_of(authority, STRANGER, Role.AUDITOR),
    ),
    Verb(
        "end-grant",
        _end_grant,
        lambda authority: not _grant_of(authority, REVIEWER, Role.REVIEWER),
    ),
    Verb(
        "publish",
        lambda scene, vault: publish(vault, scene.offer(TWO, models.external_data().entries)),
        lambda authority: TWO in authority.versions,
    ),
    Verb(
        "approve",
        lambda scene, vault: approve(vault, REVIEWER, TWO),
        lambda authority: authority.versions[TWO].state is State.APPROVED,
        lambda scene: scene.publish(TWO),
    ),
    Verb("retire", lambda scene, vault: retire(vault, OPERATOR, ONE, "old"), _state(State.RETIRED)),
    Verb("revoke", lambda scene, vault: revoke_version(vault, OWNER, ONE, "leaked"), _state(State.REVOKED)),
    Verb(
        "revoke-model",
        lambda scene, vault: revoke_model(vault, OWNER, "fraud", "all of it leaked"),
        lambda authority: "fraud" in authority.revoked_families,
    ),
    Verb(
        "revoke-key",
        lambda scene, vault: revoke_key(vault, ADMIN, "signing", "the laptop is gone"),
        lambda authority: authority.key_history.keys[0].revoked_at is not None,
    ),
    Verb("release", _release, lambda authority: True, gives="serve"),
    Verb("verify", lambda scene, vault: verify(vault, DEPLOYER, ONE), lambda authority: True, gives="verify"),
    Verb(
        "verify-full",
        lambda scene, vault: verify(vault, DEPLOYER, ONE, full=True),
        lambda authority: True,
        gives="verify",
    ),
    Verb("sync-catalog", lambda scene, vault: sync_catalog(vault), lambda authority: True, _forget_catalog),
    Verb(
        "certify-journal",
        lambda scene, vault: certify_journal(vault, OPERATOR, JOURNAL.hex(), SIGNER.public_pem.decode()),
        lambda authority: JOURNAL.hex() in authority.journals,
    ),
    Verb(
        "fold",
        _fold,
        lambda authority: authority.journals[JOURNAL.hex()].folded == 1,
        _open_journal,
    ),
    Verb("record-serving", _serve, lambda authority: True),
]
