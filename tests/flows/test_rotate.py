"""Rotation of a family's key: what it does, who may, and what an attacker does around it."""

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.flows import layout, rotate_probe
from strongroom.flows.catalog import sync_catalog
from strongroom.flows.doctor import Verdict, _rotation
from strongroom.flows.keyfile import WrappedKey
from strongroom.flows.publish import publish
from strongroom.flows.release import release
from strongroom.flows.rotate import Wish, rotate_key
from strongroom.flows.rotate_policy import record_overdue
from strongroom.flows.vault import read_authority, record
from strongroom.trust.authority import Authority
from strongroom.trust.rotation import RotationPolicy
from strongroom.values import KeyUri, ModelId
from tests import models
from tests.flows.rotating import (
    ELSEWHERE,
    FAMILY,
    KEY,
    THREE,
    all_else,
    family,
    opens,
    require_served,
    rotate,
    wrapped_keys,
)
from tests.flows.scene import ADMIN, DEPLOYER, ONE, OPERATOR, STRANGER, TWO, Scene, peopled, require_sound

FOUR = ModelId.parse("fraud@1.3.0")
OTHER = ModelId.parse("tumour@1.0.0")
POLICY = RotationPolicy(timedelta(days=30), timedelta(days=365), {"tumour": timedelta(days=7)})


def test_every_data_key_is_rewrapped_and_no_byte_of_a_model_touched() -> None:
    scene = family()
    before, untouched = wrapped_keys(scene), all_else(scene)
    done: Any = rotate(scene)
    assert (done.version, done.keys, done.rewrapped) == (2, 4, 4)
    assert all_else(scene) == untouched
    after = wrapped_keys(scene)
    assert after.keys() == before.keys()
    assert all(scene.keys.version_of(KEY, WrappedKey.parse(data).wrapped) == 2 for data in after.values())
    require_sound(scene)


def test_the_old_version_is_disabled_and_what_was_wrapped_under_it_opens_no_more() -> None:
    scene = family()
    kept = wrapped_keys(scene)[layout.wrapped_key_name(ONE)]
    assert opens(scene, kept, ONE)
    rotate(scene)
    assert not opens(scene, kept, ONE)
    assert [one.enabled for one in scene.keys.describe(KEY).versions] == [False, True]


def test_the_proof_stands_in_the_log_and_can_be_made_again_by_whoever_reads_it() -> None:
    scene = family()
    rotate(scene)
    begun, settled = (event.detail["key"] for event in scene.events[-2:])  # type: ignore[index]
    (probe,) = begun["probes"]
    assert settled["proof"] == [{"uri": KEY, "version": 1, "outcome": "denied"}]
    assert settled["disabled"] == [{"uri": KEY, "versions": [1]}]
    context = rotate_probe._context(FAMILY)
    with pytest.raises(DeniedError):
        scene.keys.unwrap(KeyUri(probe["uri"]), base64.b64decode(probe["wrapped"]), context)
    assert read_authority(scene.reopened(afresh=True)).family_keys[FAMILY].settled


def test_a_version_that_goes_on_opening_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A custody that says that it disabled a version, and did not."""
    scene = family()
    monkeypatch.setattr(scene.keys, "set_enabled", lambda *arguments: None)
    monkeypatch.setattr(rotate_probe, "PROOF_DEADLINE_S", 0.0)
    monkeypatch.setattr(rotate_probe, "_POLL_S", 0.0)
    with pytest.raises(OutageError, match="still opens"):
        rotate(scene)
    assert not scene.authority.family_keys[FAMILY].settled
    require_served(scene)


def test_settled_without_a_proof_is_no_record() -> None:
    scene = family()
    rotate(scene)
    settled = scene.events[-1]
    authority = Authority.replay(scene.events[:-1])
    assert not authority.family_keys[FAMILY].settled
    detail = dict(settled.detail or {})
    for proof in ([], [{"uri": KEY, "version": 2, "outcome": "denied"}]):
        forged = replace(settled, detail={**detail, "key": {**detail["key"], "proof": proof}})
        with pytest.raises(RejectedError, match="not shown to be out of use"):
            authority.extend([forged])
    opened = [{"uri": KEY, "version": 1, "outcome": "opened"}]
    with pytest.raises(RejectedError, match="proof"):
        authority.extend([replace(settled, detail={**detail, "key": {**detail["key"], "proof": opened}})])


def test_an_old_wrapped_key_put_back_is_named_and_refused() -> None:
    scene = family()
    kept = wrapped_keys(scene)
    rotate(scene)
    scene.blobs.objects[layout.wrapped_key_name(ONE)] = kept[layout.wrapped_key_name(ONE)]
    with pytest.raises(RejectedError, match="rotated away"):
        release(scene.vault, OPERATOR, ONE)
    assert scene.events[-1].decision == "reject"
    scene.keys.set_enabled(KEY, 1, True)
    with pytest.raises(RejectedError, match="rotated away"):
        release(scene.vault, OPERATOR, ONE)


def test_an_old_wrapped_key_put_back_while_rotating_is_rewrapped_or_stops_it() -> None:
    """Before the old version is disabled it is only rewrapped; afterwards the rotation is not settled."""
    scene = family()
    kept = wrapped_keys(scene)[layout.wrapped_key_name(ONE)]
    rotate(scene)
    scene.blobs.objects[layout.wrapped_key_name(ONE)] = kept
    with pytest.raises(RejectedError, match="not settled"):
        rotate(scene)
    assert not scene.authority.family_keys[FAMILY].settled
    done: Any = rotate(scene, reopen=1)
    assert done.resumed
    assert not opens(scene, kept, ONE)
    require_sound(scene)


def test_a_version_let_open_once_more_must_be_one_that_there_is() -> None:
    scene = family()
    with pytest.raises(InvalidError, match="no version 7"):
        rotate(scene, reopen=7)


def test_rotation_without_the_right_is_refused_and_recorded() -> None:
    scene = family()
    before = wrapped_keys(scene)
    for actor in (DEPLOYER, STRANGER, "nobody"):
        with pytest.raises(DeniedError):
            rotate_key(scene.vault, actor, Wish(FAMILY))
        assert (scene.events[-1].actor, scene.events[-1].decision) == (actor, "deny")
    assert wrapped_keys(scene) == before
    assert scene.keys.describe(KEY).newest.version == 1


def test_a_rotation_recorded_by_who_may_not_stops_the_replay() -> None:
    scene = family()
    rotate(scene)
    begun = scene.events[-2]
    with pytest.raises(RejectedError, match="not admin of everything"):
        Authority.replay([*scene.events[:-2], replace(begun, actor=DEPLOYER)])


def test_moving_to_another_key_leaves_nothing_that_the_old_one_opens() -> None:
    scene = family()
    kept = wrapped_keys(scene)
    done: Any = rotate(scene, to=ELSEWHERE)
    assert (done.key, done.version) == (ELSEWHERE, 1)
    assert scene.authority.opening_keys(FAMILY) == (ELSEWHERE,)
    assert not any(opens(scene, kept[layout.wrapped_key_name(model)], model) for model in (ONE, TWO, THREE))
    require_sound(scene)
    back: Any = rotate(scene, to=KEY)
    assert (back.key, back.version) == (KEY, 2)
    assert not opens(scene, kept[layout.wrapped_key_name(ONE)], ONE)
    require_sound(scene)


@pytest.mark.parametrize("uri", ["file:kek/tumour", "file:kek/not-there-yet"])
def test_one_key_never_protects_two_families(uri: str) -> None:
    scene = family()
    scene.publish(OTHER)
    with pytest.raises(InvalidError, match="is the key of"):
        rotate(scene, to=KeyUri(uri))
    forged = replace(
        scene.events[0],
        actor=ADMIN,
        action="rotate-key",
        subject=uri,
        time=scene.clock.at,
        detail={"kind": "family", "key": {"family": FAMILY, "uri": uri, "version": 1}},
    )
    with pytest.raises(RejectedError, match="is the key of"):
        record(scene.vault, forged)


def test_a_custody_that_does_not_open_what_it_wraps_gets_no_family(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = family()
    plain = scene.keys.unwrap

    def unwrap(key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        return b"0" * 32 if key == ELSEWHERE else plain(key, wrapped, context)

    monkeypatch.setattr(scene.keys, "unwrap", unwrap)
    with pytest.raises(RejectedError, match="something else"):
        rotate(scene, to=ELSEWHERE)
    assert scene.authority.family_key(FAMILY) == KEY
    require_served(scene)


@pytest.mark.parametrize("harm", ["cut", "foreign", "missing"])
def test_a_damaged_wrapped_key_is_named_and_all_others_are_done(harm: str) -> None:
    scene = family()
    name = layout.wrapped_key_name(TWO)
    if harm == "cut":
        scene.blobs.objects[name] = scene.blobs.objects[name][:-9]
    elif harm == "foreign":
        scene.blobs.objects[name] = scene.blobs.objects[layout.wrapped_key_name(ONE)]
    else:
        del scene.blobs.objects[name]
    with pytest.raises(RejectedError, match=name):
        rotate(scene)
    others = {each: data for each, data in wrapped_keys(scene).items() if each != name}
    assert all(scene.keys.version_of(KEY, WrappedKey.parse(data).wrapped) == 2 for data in others.values())
    assert scene.keys.describe(KEY).versions[0].enabled


def test_a_rotation_finishes_what_was_cut_off_before_it_begins_anew() -> None:
    scene = family()
    name = layout.wrapped_key_name(ONE)
    kept = scene.blobs.objects.pop(name)
    with pytest.raises(RejectedError):
        rotate(scene)
    scene.blobs.objects[name] = kept
    done: Any = rotate(scene)
    assert (done.resumed, done.version, done.rewrapped) == (True, 2, 1)
    assert scene.keys.describe(KEY).newest.version == 2
    require_sound(scene)


def test_the_last_sweep_waits_for_a_publication_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data key wrapped under the old version behind the first sweep is found by the last."""
    scene = family()
    vault = scene.vault
    plain, seen = vault.locks.hold, []

    def hold(name: str, timeout_s: float = 10.0) -> Any:
        if name == f"publish-{FAMILY}" and not seen:
            seen.append(name)
            publish(vault, scene.offer(FOUR))
            newest = WrappedKey.parse(scene.blobs.objects[layout.wrapped_key_name(ONE)])
            old = scene.keys.describe(KEY).versions[0]
            assert old.enabled
            assert scene.keys.version_of(KEY, newest.wrapped) == 2
            _put_under(scene, FOUR, version=1)
        return plain(name, timeout_s)

    monkeypatch.setattr(vault.locks, "hold", hold)
    rotate(scene)
    assert seen
    stored = WrappedKey.parse(scene.blobs.objects[layout.wrapped_key_name(FOUR)])
    assert scene.keys.version_of(KEY, stored.wrapped) == 2
    require_sound(scene)


def _put_under(scene: Scene, model: ModelId, version: int) -> None:
    """Wrap a version's data key as somebody does who read the key's newest version a moment ago."""
    from strongroom.adapters.keys.wrapping import wrap_data_key
    from strongroom.flows.keyfile import data_key_context

    name = layout.wrapped_key_name(model)
    stored = WrappedKey.parse(scene.blobs.objects[name])
    context = data_key_context(model, scene.authority.versions[model].manifest)
    data_key = scene.keys.unwrap(KEY, stored.wrapped, context)
    (old,) = [one for one in scene.keys._held["kek/fraud"] if one.version == version]
    wrapped = wrap_data_key(old.material, version, data_key, context)
    scene.blobs.objects[name] = WrappedKey(KEY, wrapped).to_bytes()


@pytest.mark.parametrize("target", [None, ELSEWHERE])
def test_a_load_that_read_the_key_just_before_it_was_rewrapped_succeeds(
    target: KeyUri | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = family()
    loader, rotator = scene.reopened(), scene.reopened()
    plain, turned = scene.keys.unwrap, []

    def unwrap(key: KeyUri, wrapped: bytes, context: bytes) -> bytes:
        if not turned:
            turned.append(key)
            rotate(scene, rotator, to=target)
        return plain(key, wrapped, context)

    monkeypatch.setattr(scene.keys, "unwrap", unwrap)
    release(loader, OPERATOR, ONE).close()
    assert turned
    assert all(event.decision == "allow" for event in scene.events[-3:])


def test_a_keystore_that_was_rolled_back_is_noticed() -> None:
    scene = family()
    old = dict(scene.keys._held)
    rotate(scene)
    scene.keys._held = old
    with pytest.raises(RejectedError, match="rolled back"):
        rotate(scene)
    with pytest.raises(RejectedError):
        release(scene.vault, OPERATOR, ONE)


def test_a_catalog_rolled_back_after_a_rotation_changes_nothing() -> None:
    scene = family()
    rows, head = dict(scene.records._versions), scene.records._head
    rotate(scene, to=ELSEWHERE)
    scene.records._versions, scene.records._head = rows, head
    vault = scene.reopened()
    assert sync_catalog(vault).family_key(FAMILY) == ELSEWHERE
    release(vault, OPERATOR, ONE).close()
    require_sound(scene)


def test_a_log_rolled_back_before_the_rotation_is_refused() -> None:
    scene = family()
    before, checkpoint = list(scene.log._leaves), scene.log._checkpoint
    rotate(scene)
    scene.log._leaves, scene.log._checkpoint = before, checkpoint
    with pytest.raises(RejectedError, match="cut or rolled back"):
        release(scene.reopened(afresh=True), OPERATOR, ONE)


def test_a_dry_run_changes_nothing() -> None:
    scene = family()
    before = (dict(scene.blobs.objects), list(scene.log._leaves), dict(scene.keys._held))
    planned = rotate_key(scene.vault, ADMIN, Wish(FAMILY, to=ELSEWHERE, reencrypt=True), dry_run=True)
    assert (planned.key, planned.version, planned.keys) == (ELSEWHERE, 1, 4)
    assert before == (scene.blobs.objects, scene.log._leaves, scene.keys._held)


@pytest.mark.parametrize("name", ["nobody", "Fraud", "../x"])
def test_a_family_that_is_not_there_is_not_rotated(name: str) -> None:
    with pytest.raises(InvalidError):
        rotate_key(family().vault, ADMIN, Wish(name))


def test_what_is_overdue_is_recorded_once_a_period_and_fails_the_doctor() -> None:
    scene = family()
    assert record_overdue(scene.vault, ADMIN, POLICY) == []
    scene.clock.advance(timedelta(days=31))
    (told,) = record_overdue(scene.vault, OPERATOR, POLICY)
    assert told.name == FAMILY
    assert scene.events[-1].action == "rotation-overdue"
    assert record_overdue(scene.vault, OPERATOR, POLICY) == []
    (found,) = [each for each in _rotation(scene.vault, POLICY) if each.verdict is Verdict.FAIL]
    assert "due" in found.evidence
    scene.clock.advance(timedelta(days=30))
    assert [age.name for age in record_overdue(scene.vault, ADMIN, POLICY)] == [FAMILY]


def test_a_rotation_ends_what_was_overdue() -> None:
    scene = family()
    scene.clock.advance(timedelta(days=29))
    rotate(scene)
    scene.clock.advance(timedelta(days=29))
    assert record_overdue(scene.vault, ADMIN, POLICY) == []
    assert [each.verdict for each in _rotation(scene.vault, POLICY)] == [Verdict.OK]


def test_a_clock_set_back_makes_nothing_less_overdue() -> None:
    scene = family()
    scene.clock.advance(timedelta(days=31))
    record_overdue(scene.vault, ADMIN, POLICY)
    scene.clock.advance(timedelta(days=-31))
    assert Verdict.FAIL in [each.verdict for each in _rotation(scene.vault, POLICY)]


def test_an_old_version_that_somebody_enables_again_fails_the_doctor() -> None:
    scene = family()
    rotate(scene)
    scene.keys.set_enabled(KEY, 1, True)
    assert any("opens again" in each.evidence for each in _rotation(scene.vault, POLICY))


def test_a_family_that_was_never_published_has_nothing_to_rotate() -> None:
    scene = peopled()
    assert [each.verdict for each in _rotation(scene.vault, POLICY)] == [Verdict.OK]
    with pytest.raises(InvalidError, match="has no key"):
        rotate(scene)


def test_versions_published_after_a_rotation_are_wrapped_under_the_new_key() -> None:
    scene = family()
    rotate(scene, to=ELSEWHERE)
    scene.publish_approved(FOUR, models.linear(seed=9).entries)
    assert WrappedKey.parse(scene.blobs.objects[layout.wrapped_key_name(FOUR)]).key == ELSEWHERE
    require_sound(scene)
