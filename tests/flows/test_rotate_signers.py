"""Rotation of the signing key and of people's key pairs: what goes on holding, and what ends."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.errors import DeniedError, InvalidError, RejectedError
from strongroom.flows.approve import approve
from strongroom.flows.doctor import Verdict, _rotation
from strongroom.flows.grant import Wish, grant
from strongroom.flows.identity import add_identity, export_identity, renew_identity
from strongroom.flows.publish import publish
from strongroom.flows.release import release
from strongroom.flows.rotate_identity import rotate_identity
from strongroom.flows.rotate_signing import is_enabled, rotate_signing
from strongroom.flows.vault import identity_key, read_authority, record, signing_signer
from strongroom.trust.authority import Authority
from strongroom.trust.rotation import RotationPolicy
from strongroom.trust.statement import require_statement, sign_statement
from strongroom.values import KeyUri, Role
from tests.flows.rotating import THREE, family
from tests.flows.scene import (
    ADMIN,
    DEPLOYER,
    MONTH,
    ONE,
    OPERATOR,
    REVIEWER,
    STRANGER,
    Scene,
    furnished,
    require_sound,
)
from tests.flows.test_rotate import FOUR

FIRST, SECOND = KeyUri("file:sign/1"), KeyUri("file:sign/2")


def test_what_the_old_key_signed_verifies_and_the_new_one_signs_what_comes() -> None:
    scene = family()
    done = rotate_signing(scene.vault, ADMIN)
    assert (done.before, done.key) == (FIRST, SECOND)
    scene.publish_approved(FOUR)
    authority = require_sound(scene)
    signed_by = {key.public.key_id for key in authority.key_history.keys}
    assert len(signed_by) == 2
    assert signing_signer(scene.vault, authority).key_id == done.key_id
    release(scene.vault, OPERATOR, ONE).close()
    release(scene.vault, OPERATOR, FOUR).close()


def test_the_old_key_is_disabled_in_its_custody() -> None:
    scene = furnished()
    rotate_signing(scene.vault, ADMIN)
    assert not is_enabled(scene.vault, FIRST)
    with pytest.raises(DeniedError):
        scene.keys.signer(FIRST)


def test_what_the_old_key_signs_afterwards_is_believed_by_nobody() -> None:
    """A thief who copied the old key while it was in force."""
    scene = family()
    stolen = scene.keys.signer(FIRST)
    statement_of = scene.blobs.objects[f"{THREE.family}/{THREE.version}/statement.json"]
    before = scene.authority
    known = before.versions[THREE]
    statement = require_statement(statement_of, before.key_history, known.published_at)
    rotate_signing(scene.vault, ADMIN)
    scene.clock.advance(timedelta(minutes=1))
    after = scene.authority
    forged = sign_statement(statement, stolen)
    with pytest.raises(RejectedError, match="valid until"):
        require_statement(forged, after.key_history, after.moment(scene.clock.now()))


def test_a_publication_in_flight_is_signed_by_the_key_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = family()
    rotator, plain, turned = scene.reopened(), scene.blobs.replace, []

    def replacing(name: str, data: bytes) -> None:
        plain(name, data)
        if not turned:
            turned.append(name)
            rotate_signing(rotator, ADMIN)

    monkeypatch.setattr(scene.blobs, "replace", replacing)
    publish(scene.vault, scene.offer(FOUR))
    assert turned
    approve(scene.vault, REVIEWER, FOUR)
    require_sound(scene)


def test_with_a_clock_that_stands_still_everything_goes_on_verifying() -> None:
    """Set back, it gives every record the time of the newest; the old key must cover those before it."""
    scene = furnished()
    scene.clock.advance(timedelta(days=-1))
    for model in (FOUR, THREE):
        publish(scene.vault, replace(scene.offer(model), allow_older=True))
        approve(scene.vault, REVIEWER, model)
        rotate_signing(scene.vault, ADMIN)
    require_sound(scene)


def test_a_key_that_was_rotated_away_never_returns() -> None:
    scene = furnished()
    rotate_signing(scene.vault, ADMIN)
    for uri in (FIRST, SECOND):
        with pytest.raises(InvalidError, match="signed here before"):
            rotate_signing(scene.vault, ADMIN, uri)
    begun = scene.events[-1]
    with pytest.raises(RejectedError):
        record(scene.vault, replace(begun, subject="file:sign/9"))


def test_a_key_that_cannot_sign_models_is_not_put_in_force() -> None:
    scene = furnished()
    elsewhere = KeyUri("file:sign/other")
    scene.keys.create_signer(elsewhere, "ed25519")
    with pytest.raises(RejectedError, match="ed25519"):
        rotate_signing(scene.vault, ADMIN, elsewhere)
    assert scene.authority.signing_key == FIRST
    scene.publish_approved(FOUR)


def test_signing_keys_and_key_pairs_are_rotated_by_admins_only() -> None:
    scene = furnished()
    for actor in (DEPLOYER, REVIEWER, STRANGER):
        with pytest.raises(DeniedError):
            rotate_signing(scene.vault, actor)
        with pytest.raises(DeniedError):
            rotate_identity(scene.vault, actor, actor, 7)
        assert scene.events[-1].decision == "deny"
    assert scene.authority.signing_key == FIRST


def test_a_new_key_pair_signs_and_the_old_one_ends() -> None:
    scene = family()
    before = scene.authority.identities[REVIEWER].credentials[-1]
    done = rotate_identity(scene.vault, ADMIN, REVIEWER, 7)
    scene.clock.advance(timedelta(seconds=1))
    identity = scene.authority.identities[REVIEWER]
    assert done.key == identity_key(REVIEWER, 2) == KeyUri("file:id/rita.2")
    assert [one.serial for one in identity.valid_credentials(scene.clock.now())] == [
        identity.credentials[-1].serial
    ]
    assert before.public.key_id not in {key.key_id for key in identity.keys(scene.clock.now())}
    approve(scene.vault, REVIEWER, THREE)
    require_sound(scene)
    with pytest.raises(DeniedError):
        scene.keys.signer(identity_key(REVIEWER))


def test_what_an_old_key_pair_signs_afterwards_is_no_approval() -> None:
    scene = family()
    stolen = scene.keys.signer(identity_key(REVIEWER))
    rotate_identity(scene.vault, ADMIN, REVIEWER, 7)
    scene.clock.advance(timedelta(seconds=1))
    vault = scene.reopened()
    plain = vault.require_signers().signer

    class Thief:
        def signer(self, key: KeyUri) -> Any:
            return stolen if key.startswith("file:id/rita") else plain(key)

    vault.signers = Thief()  # type: ignore[assignment]
    with pytest.raises(RejectedError):
        approve(vault, REVIEWER, THREE)
    assert not scene.authority.versions[THREE].approvals


def test_earlier_certificates_may_go_on_for_a_while_and_no_longer() -> None:
    scene = furnished()
    rotate_identity(scene.vault, ADMIN, OPERATOR, 30, timedelta(hours=1))
    now = scene.clock.now()
    identity = scene.authority.identities[OPERATOR]
    assert len(identity.valid_serials(now + timedelta(minutes=59))) == 2
    assert len(identity.valid_serials(now + timedelta(hours=1))) == 1
    with pytest.raises(InvalidError, match="overlap"):
        rotate_identity(scene.vault, ADMIN, OPERATOR, 30, timedelta(days=8))


def test_a_renewal_keeps_the_new_key_pair_and_an_export_hands_it_out() -> None:
    scene = furnished()
    rotate_identity(scene.vault, ADMIN, OPERATOR, 7)
    renew_identity(scene.vault, ADMIN, OPERATOR, 7)
    identity = scene.authority.identities[OPERATOR]
    assert identity.key_number == 2
    assert len({one.public.key_id for one in identity.credentials}) == 2
    given = export_identity(scene.vault, ADMIN, OPERATOR)
    assert given.key_pem == scene.keys.private_pem(identity_key(OPERATOR, 2))
    with pytest.raises(DeniedError):
        scene.keys.private_pem(identity_key(OPERATOR))


def test_who_rotated_their_own_goes_on_granting() -> None:
    scene = furnished()
    for number in (2, 3):
        done = rotate_identity(scene.vault, ADMIN, ADMIN, 7)
        assert done.key == identity_key(ADMIN, number)
        scene.clock.advance(timedelta(seconds=1))
    grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", MONTH, "to see that it holds"))
    require_sound(scene)
    assert read_authority(scene.reopened(afresh=True)).identities[ADMIN].key_number == 3


def _replayed(scene: Scene, **changes: Any) -> Authority:
    event = scene.events[-1]
    detail = dict(event.detail or {})
    forged = {name: value for name, value in {**detail["key"], **changes}.items() if value is not None}
    return Authority.replay([*scene.events[:-1], replace(event, detail={**detail, "key": forged})])


def test_a_forged_rotation_of_a_key_pair_stops_the_replay() -> None:
    scene = furnished()
    rotate_identity(scene.vault, ADMIN, OPERATOR, 7)
    _replayed(scene)
    other = scene.authority.identities[DEPLOYER].credentials[-1]
    late = (scene.clock.now() + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for changes in (
        {"name": DEPLOYER},
        {"until": late},
        {"until": "2020-01-01T00:00:00.000000Z"},
        {"until": None},
        {"certificate_pem": other.certificate_pem, "serial": other.serial},
        {"extra": "x"},
    ):
        with pytest.raises(RejectedError):
            _replayed(scene, **changes)


def test_a_key_pair_that_somebody_had_is_not_new() -> None:
    """An admin who gives one person the key pair of another, or the old one again."""
    for uri in (identity_key(OPERATOR), identity_key(DEPLOYER)):
        scene = furnished()
        taken = scene.keys.signer(uri)
        vault = scene.reopened()
        plain = vault.require_signers()

        class Giver:
            def signer(self, key: KeyUri, taken: Any = taken, plain: Any = plain) -> Any:
                return taken if key == identity_key(OPERATOR, 2) else plain.signer(key)

        vault.signers = Giver()  # type: ignore[assignment]
        with pytest.raises(RejectedError, match="not new"):
            rotate_identity(vault, ADMIN, OPERATOR, 7)


def test_dry_runs_change_nothing() -> None:
    scene = furnished()
    before = (list(scene.log._leaves), dict(scene.keys._held))
    assert rotate_signing(scene.vault, ADMIN, dry_run=True).key == SECOND
    assert rotate_identity(scene.vault, ADMIN, OPERATOR, 7, dry_run=True).key == identity_key(OPERATOR, 2)
    assert before == (scene.log._leaves, scene.keys._held)


def test_an_identity_of_the_longest_name_can_be_rotated() -> None:
    scene = furnished()
    name = "n" * 63
    add_identity(scene.vault, ADMIN, name, 7)
    assert rotate_identity(scene.vault, ADMIN, name, 7).key == identity_key(name, 2)


def test_a_trust_root_that_is_behind_the_log_is_found_by_the_doctor() -> None:
    scene = furnished()
    policy = RotationPolicy(timedelta(days=365), timedelta(days=365))
    assert [each.verdict for each in _rotation(scene.vault, policy)] == [Verdict.OK]
    rotate_signing(scene.vault, ADMIN)
    assert any("trust.json" in each.evidence for each in _rotation(scene.vault, policy))
