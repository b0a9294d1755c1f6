"""Who alters store, catalog, log or clock, and what it gives them: nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError, StrongroomError
from strongroom.flows import layout
from strongroom.flows.approve import approve
from strongroom.flows.audit import verify_whole_log
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.grant import Wish, grant
from strongroom.flows.identity import add_identity, renew_identity
from strongroom.flows.inventory import list_versions, show_version
from strongroom.flows.keyfile import WrappedKey, data_key_context
from strongroom.flows.release import release, verify
from strongroom.flows.serving import Served
from strongroom.flows.statement import require_statement_of
from strongroom.flows.vault import SIGNING_KEY, read_authority
from strongroom.trust.standing import default_family_key
from strongroom.trust.statement import sign_statement
from strongroom.values import ModelId, Role, State
from tests import models
from tests.flows.scene import (
    ADMIN,
    DEPLOYER,
    ONE,
    OPERATOR,
    OWNER,
    REVIEWER,
    SECOND_ADMIN,
    STRANGER,
    TWO,
    Scene,
    furnished,
    peopled,
    require_sound,
)

OTHER = ModelId.parse("churn@1.0.0")


@pytest.fixture
def scene() -> Scene:
    return furnished()


def _refused(scene: Scene, model: ModelId, match: str | None = None) -> None:
    """Neither a release nor a verification passes, nothing is unsealed, and both refusals are recorded."""
    before = len(scene.events)
    vault = scene.reopened()
    with pytest.raises(StrongroomError, match=match) as refusal:
        release(vault, OPERATOR, model)
    assert isinstance(refusal.value, RejectedError)
    with pytest.raises(RejectedError, match=match):
        verify(vault, DEPLOYER, model, full=True)
    assert all(memory.is_closed for memory in scene.memory.allocated.values())  # type: ignore[attr-defined]
    fresh = scene.events[before:]
    refusals = [event for event in fresh if event.decision == "reject"]
    assert {event.action for event in refusals} == {"serve", "verify"}
    assert all(event.reason == str(refusal.value) for event in refusals)


# The store


@pytest.mark.parametrize("name", ["0.sealed", "statement.json", "model.sig", "keys.json"])
def test_missing_object(scene: Scene, name: str) -> None:
    scene.blobs.delete(f"{layout.prefix(ONE)}/{name}")
    _refused(scene, ONE, "missing|no such object|not there")


@pytest.mark.parametrize("name", ["0.sealed", "statement.json", "model.sig", "keys.json"])
@pytest.mark.parametrize("how", ["flip", "cut", "grow", "empty"])
def test_altered_object(scene: Scene, name: str, how: str) -> None:
    full = f"{layout.prefix(ONE)}/{name}"
    data = scene.blobs.objects[full]
    middle = len(data) // 2
    scene.blobs.objects[full] = {
        "flip": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "cut": data[:-1],
        "grow": data + b"\0",
        "empty": b"",
    }[how]
    _refused(scene, ONE)


@pytest.mark.parametrize("name", ["1.sealed", "weights.bin", "sub/0.sealed", ".hidden", "model.sig.bak"])
def test_extra_unsigned_file(scene: Scene, name: str) -> None:
    scene.blobs.objects[f"{layout.prefix(ONE)}/{name}"] = b"x"
    _refused(scene, ONE, "unsigned file")


def test_older_versions_objects_under_a_newer_name(scene: Scene) -> None:
    scene.publish_approved(TWO)
    for name in scene.objects_of(ONE):
        target = name.replace(layout.prefix(ONE), layout.prefix(TWO))
        scene.blobs.objects[target] = scene.blobs.objects[name]
    _refused(scene, TWO, "statement is not the one that was published")


@pytest.mark.parametrize("name", ["0.sealed", "model.sig", "keys.json"])
def test_one_object_of_an_older_version(scene: Scene, name: str) -> None:
    scene.publish_approved(TWO)
    old, new = f"{layout.prefix(ONE)}/{name}", f"{layout.prefix(TWO)}/{name}"
    scene.blobs.objects[new] = scene.blobs.objects[old]
    _refused(scene, TWO)


def test_entries_swapped_within_a_model(scene: Scene) -> None:
    scene.publish_approved(TWO, models.external_data().entries)
    first, second = f"{layout.prefix(TWO)}/0.sealed", f"{layout.prefix(TWO)}/1.sealed"
    objects = scene.blobs.objects
    objects[first], objects[second] = objects[second], objects[first]
    _refused(scene, TWO)


def test_wrapped_key_of_another_family(scene: Scene) -> None:
    scene.publish_approved(OTHER)
    scene.blobs.objects[layout.wrapped_key_name(ONE)] = scene.blobs.objects[layout.wrapped_key_name(OTHER)]
    _refused(scene, ONE, "another family")


def test_wrapped_key_that_names_our_family_but_was_wrapped_by_another(scene: Scene) -> None:
    scene.publish_approved(OTHER)
    foreign = WrappedKey.parse(scene.blobs.objects[layout.wrapped_key_name(OTHER)])
    forged = replace(foreign, key=default_family_key(ONE.family))
    scene.blobs.objects[layout.wrapped_key_name(ONE)] = forged.to_bytes()
    _refused(scene, ONE, "does not open")


def test_foreign_data_key_wrapped_for_us(scene: Scene) -> None:
    """Whoever may wrap at the key service still cannot make us accept a key of their own."""
    manifest = scene.authority.versions[ONE].manifest
    wrapped = scene.keys.wrap(default_family_key("fraud"), b"k" * 32, data_key_context(ONE, manifest))
    scene.keys.data_keys.pop()
    scene.blobs.objects[layout.wrapped_key_name(ONE)] = WrappedKey(
        default_family_key("fraud"), wrapped
    ).to_bytes()
    _refused(scene, ONE)


def test_foreign_statement_with_a_valid_signature(scene: Scene) -> None:
    scene.publish_approved(OTHER)
    scene.blobs.objects[layout.statement_name(ONE)] = scene.blobs.objects[layout.statement_name(OTHER)]
    _refused(scene, ONE, "statement is not the one that was published")


def test_statement_signed_again_with_our_own_key(scene: Scene) -> None:
    """A stolen signing key alone does not change what was published: the log holds the statement's digest."""
    statement = require_statement_of(scene.vault, scene.authority, ONE)
    forged = sign_statement(replace(statement, owner="mallory"), scene.keys.signer(SIGNING_KEY))
    scene.blobs.objects[layout.statement_name(ONE)] = forged
    _refused(scene, ONE, "statement is not the one that was published")


def test_approve_then_swap(scene: Scene) -> None:
    """Bytes exchanged after the approval, all of them consistent with one another."""
    twin = furnished()
    twin.keys._held = scene.keys._held
    twin.entropy._drawn += 1000
    twin.publish(TWO, models.linear(seed=99).entries)
    scene.publish_approved(TWO)
    for name in twin.objects_of(TWO):
        scene.blobs.objects[name] = twin.blobs.objects[name]
    _refused(scene, TWO, "statement is not the one that was published")


def test_swap_then_approve(scene: Scene) -> None:
    scene.publish(TWO)
    scene.blobs.objects[layout.statement_name(TWO)] = scene.blobs.objects[layout.statement_name(ONE)]
    with pytest.raises(RejectedError, match="not the one that was published"):
        approve(scene.vault, REVIEWER, TWO)
    assert scene.authority.versions[TWO].state is State.PUBLISHED


def test_one_broken_version_does_not_stop_work_on_others(scene: Scene) -> None:
    scene.publish(TWO)
    scene.blobs.delete(layout.statement_name(ONE))
    scene.records._versions.clear()
    approve(scene.vault, REVIEWER, TWO)
    assert scene.authority.versions[TWO].state is State.APPROVED
    assert [one.row.model for one in list_versions(scene.vault, OWNER)] == [str(TWO)]
    assert scene.plaintext(TWO) == scene.published[TWO]


# The catalog (docs/decisions/0002: only an index)


def test_row_added(scene: Scene) -> None:
    row = scene.records.versions()[0]
    scene.records.add_version(replace(row, model=str(TWO), state=State.APPROVED))
    vault = scene.reopened()
    with pytest.raises((InvalidError, RejectedError)):
        release(vault, OPERATOR, TWO)
    assert [str(one.record.model) for one in list_versions(vault, OWNER)] == [str(ONE)]
    with pytest.raises(InvalidError):
        show_version(vault, OWNER, TWO)


def test_row_removed(scene: Scene) -> None:
    before = scene.records.versions()
    scene.records._versions.clear()
    assert scene.plaintext(ONE) == scene.published[ONE]
    sync_catalog(scene.vault)
    assert scene.records.versions() == before


def test_state_flipped_to_approved(scene: Scene) -> None:
    scene.publish(TWO)
    scene.records.set_state(str(TWO), State.PUBLISHED, State.APPROVED)
    with pytest.raises(StrongroomError, match="not approved"):
        release(scene.reopened(), OPERATOR, TWO)
    assert [one.record.state for one in list_versions(scene.vault, OWNER)] == [
        State.APPROVED,
        State.PUBLISHED,
    ]
    require_sound(scene)


def test_state_flipped_back_from_revoked(scene: Scene) -> None:
    from strongroom.flows.revoke import revoke_version

    revoke_version(scene.vault, OWNER, ONE, "leaked")
    scene.records.set_state(str(ONE), State.REVOKED, State.APPROVED)
    with pytest.raises(RejectedError, match="is revoked"):
        release(scene.reopened(), OPERATOR, ONE)


def test_identity_row_added_or_un_revoked(scene: Scene) -> None:
    rows = {row.name: row for row in scene.records.identities()}
    scene.records.put_identity(replace(rows[REVIEWER], name="mallory"))
    with pytest.raises(DeniedError, match="unknown-identity"):
        release(scene.reopened(), "mallory", ONE)


def test_catalog_row_with_another_digest_is_not_what_is_listed(scene: Scene) -> None:
    row = scene.records.versions()[0]
    forged = replace(row, digest="sha256:" + "0" * 64, publisher="mallory", state=State.APPROVED)
    scene.records._versions[row.model] = forged
    listed = list_versions(scene.vault, OWNER)[0]
    assert str(listed.record.manifest) == row.digest
    assert listed.record.publisher == DEPLOYER


# The log


def _roll_back(scene: Scene, older: Scene) -> None:
    scene.log._leaves, scene.log._checkpoint = list(older.log._leaves), older.log._checkpoint


def test_log_rolled_back_to_an_older_checkpoint(scene: Scene) -> None:
    older = scene.copy()
    revoked = grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", timedelta(days=1), "an audit"))
    assert revoked.id in scene.authority.grants
    _roll_back(scene, older)
    for read in (read_authority, verify_whole_log):
        with pytest.raises(RejectedError, match=r"cut|rolled back|seen before|remembered|shorter|extend"):
            read(scene.reopened(afresh=True))


def test_log_rolled_back_before_a_release(scene: Scene) -> None:
    """Hiding that a model was released is noticed too, though a release changes no right."""
    older = scene.copy()
    scene.plaintext(ONE)
    _roll_back(scene, older)
    with pytest.raises(RejectedError, match="cut or rolled back"):
        read_authority(scene.reopened(afresh=True))


def test_log_rolled_back_before_a_denial(scene: Scene) -> None:
    older = scene.copy()
    with pytest.raises(DeniedError):
        release(scene.vault, STRANGER, ONE)
    _roll_back(scene, older)
    with pytest.raises(RejectedError, match="cut or rolled back"):
        read_authority(scene.reopened(afresh=True))


def test_log_rolled_back_and_continued(scene: Scene) -> None:
    """As long as the true one again, signed with the true key, but with other records."""
    older = scene.copy()
    grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", timedelta(days=1), "an audit"))
    grant(older.vault, ADMIN, Wish(STRANGER, Role.OPERATOR, "*", timedelta(days=1), "a forgery"))
    grant(older.vault, ADMIN, Wish(STRANGER, Role.DEPLOYER, "*", timedelta(days=1), "a forgery"))
    _roll_back(scene, older)
    with pytest.raises(RejectedError, match="not those seen before"):
        read_authority(scene.reopened(afresh=True))


def test_record_altered_under_a_true_checkpoint(scene: Scene) -> None:
    scene.log._leaves[-1] = scene.log._leaves[-1].replace(b"rita", b"dora")
    with pytest.raises(RejectedError):
        read_authority(scene.reopened(afresh=True))
    with pytest.raises(RejectedError):
        verify_whole_log(scene.reopened(afresh=True))


def test_checkpoint_of_another_log(scene: Scene) -> None:
    from tests.flows.scene import build_bare

    stranger = build_bare()
    from strongroom.flows.establish import Founder, establish

    establish(stranger.vault, Founder(ADMIN, 7))
    _roll_back(scene, stranger)
    with pytest.raises(RejectedError):
        read_authority(scene.reopened(afresh=True))


def test_log_deleted(scene: Scene) -> None:
    scene.log._leaves, scene.log._checkpoint = [], None
    with pytest.raises(RejectedError, match="no checkpoint"):
        read_authority(scene.reopened(afresh=True))


# The clock (I8)


def test_grant_ends_to_the_microsecond(scene: Scene) -> None:
    made = grant(scene.vault, ADMIN, Wish(STRANGER, Role.OPERATOR, "fraud", timedelta(hours=1), "deploy"))
    scene.clock.at = made.end - timedelta(microseconds=1)
    release(scene.vault, STRANGER, ONE).close()
    scene.clock.at = made.end
    with pytest.raises(DeniedError):
        release(scene.vault, STRANGER, ONE)


def test_clock_set_back_does_not_revive_a_grant(scene: Scene) -> None:
    made = grant(scene.vault, ADMIN, Wish(STRANGER, Role.OPERATOR, "fraud", timedelta(hours=1), "deploy"))
    scene.clock.at = made.end
    with pytest.raises(DeniedError):
        release(scene.vault, STRANGER, ONE)
    scene.clock.advance(timedelta(minutes=-30))
    for vault in (scene.vault, scene.reopened(afresh=True)):
        with pytest.raises(DeniedError):
            release(vault, STRANGER, ONE)


def test_grant_made_with_the_clock_set_back_is_not_longer(scene: Scene) -> None:
    scene.clock.advance(timedelta(days=-7))
    made = grant(scene.vault, ADMIN, Wish(STRANGER, Role.OPERATOR, "fraud", timedelta(hours=1), "deploy"))
    assert made.start == scene.authority.last_time


def test_grant_that_starts_later_is_not_there_yet(scene: Scene) -> None:
    later = scene.clock.at + timedelta(hours=1)
    wish = Wish(STRANGER, Role.OPERATOR, "fraud", timedelta(hours=1), "deploy", start=later)
    grant(scene.vault, ADMIN, wish)
    with pytest.raises(DeniedError):
        release(scene.vault, STRANGER, ONE)
    scene.clock.at = later
    release(scene.vault, STRANGER, ONE).close()


def test_expired_certificate_of_the_acting_admin() -> None:
    scene = peopled(certificate_days=2)
    scene.clock.advance(timedelta(days=3))
    size = scene.authority.size
    for act in (
        lambda: grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", timedelta(days=1), "an audit")),
        lambda: add_identity(scene.vault, ADMIN, "nora", 7),
    ):
        with pytest.raises(DeniedError, match="certificate"):
            act()
    assert {str(event.decision) for event in scene.events[size:]} == {"deny"}
    renew_identity(scene.vault, ADMIN, ADMIN, 7)
    grant(scene.vault, ADMIN, Wish(STRANGER, Role.AUDITOR, "*", timedelta(days=1), "an audit"))


def test_expired_certificate_of_the_approving_reviewer() -> None:
    scene = peopled(certificate_days=2)
    scene.publish(ONE)
    scene.clock.advance(timedelta(days=3))
    with pytest.raises(DeniedError, match="certificate"):
        approve(scene.vault, REVIEWER, ONE)
    renew_identity(scene.vault, ADMIN, ADMIN, 7)
    renew_identity(scene.vault, ADMIN, REVIEWER, 7)
    approve(scene.vault, REVIEWER, ONE)


def test_everybodys_grants_ended(scene: Scene) -> None:
    scene.clock.advance(timedelta(days=365))
    for who in (ADMIN, SECOND_ADMIN, OPERATOR):
        with pytest.raises(DeniedError):
            release(scene.vault, who, ONE)


def test_clock_far_ahead_ends_no_grant_for_good(scene: Scene) -> None:
    """One record with a time of next decade would end every grant there is: refused, and nothing written."""
    size = len(scene.events)
    scene.clock.advance(timedelta(days=4000))
    with pytest.raises(OutageError, match="clock"):
        release(scene.vault, STRANGER, ONE)
    assert len(scene.events) == size
    scene.clock.advance(timedelta(days=-4000))
    release(scene.vault, OPERATOR, ONE).close()


# The reader


def test_refusal_survives_a_log_that_cannot_say_so(scene: Scene) -> None:
    """Tampering is not told as an outage, or somebody would try again."""
    from tests.flows.trip import Failure, Trip

    scene.blobs.objects[f"{layout.prefix(ONE)}/1.sealed"] = b"x"
    vault = Trip(0, Failure.FOR_GOOD).arm(scene.reopened())
    vault.blobs = scene.blobs
    with pytest.raises(RejectedError, match="unsigned file"):
        release(vault, OPERATOR, ONE)


def test_served_is_the_highest_approved_release_not_a_newer_one(scene: Scene) -> None:
    scene.publish(TWO)
    vault = scene.reopened()
    assert Served.choose(vault, read_authority(vault), "fraud").model == ONE
    approve(vault, REVIEWER, TWO)
    assert Served.choose(vault, read_authority(vault), "fraud").model == TWO
    scene.publish_approved(ModelId.parse("fraud@2.0.0-rc.1"))
    vault = scene.reopened()
    assert Served.choose(vault, read_authority(vault), "fraud").model == TWO
